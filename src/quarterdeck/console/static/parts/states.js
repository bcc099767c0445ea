// Loading, empty, failed and stale: each is designed, none is an accident.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useNow } from "../live.js";
import { span } from "./format.js";

/** While nothing has come yet: bones in the shape of a table, so that nothing jumps later. */
export function Loading({ rows = 4, what = "data" }) {
  return html`<div class="card bones" role="status" aria-label=${`Loading ${what}`}>
    ${Array.from({ length: rows }, () => html`<div class="bone"></div>`)}
  </div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><strong>${title}</strong><p>${children}</p></div>`;
}

/** A refusal or failure with its sentence, what to do, and the id that finds it in our own logs. */
export function Failed({ error, retry }) {
  return html`<div class="failed" role="alert">
    <strong>${error.code === "NOT_FOUND" ? "Not found" : "This could not be shown"}</strong>
    <p class="said">${error.message}</p>
    <p class="row">
      ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
      ${error.requestId && html`<span class="dim">request <code>${error.requestId}</code></span>`}
    </p>
  </div>`;
}

/** Above data that could not be made fresh: says how old it is, and why. */
export function Stale({ error, at }) {
  const now = useNow(1000);
  if (!error) return null;
  const age = at ? `What you see is ${span((now - at) / 1000)} old. ` : "";
  return html`<div class="stale" role="status">${age}${error.message}</div>`;
}

/** The usual four states of one answer; `children` draws the data. */
export function Shown({ answer, what, rows, children }) {
  if (answer.data) {
    return html`<${Stale} error=${answer.error} at=${answer.at} />${children(answer.data)}`;
  }
  if (answer.error) return html`<${Failed} error=${answer.error} retry=${answer.reload} />`;
  return html`<${Loading} what=${what} rows=${rows} />`;
}
