// What just happened, told in a corner and to screen readers.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.mjs";

const LASTS_MS = 7000;
let show = () => undefined;
let number = 0;

/** Tell of something done. */
export const tell = (text) => show({ text, kind: "good" });

/** Tell of a failure; stays until it is closed. */
export const complain = (error) => show({ text: error.message, kind: "bad" });

export function Notices() {
  const [notices, setNotices] = useState([]);
  useEffect(() => {
    const close = (id) => setNotices((old) => old.filter((each) => each.id !== id));
    show = (notice) => {
      const id = (number += 1);
      setNotices((old) => [...old.slice(-3), { ...notice, id, close: () => close(id) }]);
      if (notice.kind !== "bad") setTimeout(() => close(id), LASTS_MS);
    };
  }, []);
  return html`<div class="notices" role="status" aria-live="polite">
    ${notices.map(
      (each) => html`<div key=${each.id} class=${`notice ${each.kind}`}>
        <span>${each.text}</span>
        <button type="button" class="quiet" aria-label="Close" onClick=${each.close}>✕</button>
      </div>`,
    )}
  </div>`;
}
