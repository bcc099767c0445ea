// Tables whose rows are drawn as cards on narrow pages. Browsers then forget what they are: the
// roles are said.

import { html } from "../vendor/htm-preact-3.1.1.mjs";

/** `heads` are titles, or `[title, class]`; the children are rows. */
export function Cards({ heads, children }) {
  return html`<table class="stacked" role="table">
    <thead role="rowgroup"><tr role="row">${heads.map((each) => {
      const [title, kind] = [each].flat();
      return html`<th role="columnheader" class=${kind}>${title}</th>`;
    })}</tr></thead>
    <tbody role="rowgroup">${children}</tbody>
  </table>`;
}

export const Row = ({ children }) => html`<tr role="row">${children}</tr>`;

/** `data-label` is said behind the value where the columns have no heads. */
export const Cell = ({ children, ...given }) => html`<td role="cell" ...${given}>${children}</td>`;
