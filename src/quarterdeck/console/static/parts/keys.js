// The keyboard: letters act only where nobody is writing.

import { html, useLayoutEffect } from "../vendor/htm-preact-3.1.1.mjs";
import { navigate } from "../router.js";
import { PLACES } from "../routes.js";
import { Dialog } from "./dialog.js";

const WRITING = "input, textarea, select, [contenteditable]";
const FOLLOWS_MS = 1200;

/** Listen for the shortcuts. `open` is called with `palette` or `help`. */
export function useKeys(open, may) {
  useLayoutEffect(() => {
    let went = 0;
    const heard = (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        open("palette");
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.target.closest?.(WRITING) || document.querySelector("dialog[open]")) return;
      const place = PLACES.find((each) => each.key === event.key && may(each.right));
      if (place && Date.now() - went < FOLLOWS_MS) navigate(place.href);
      else if (event.key === "g") went = Date.now();
      else if (event.key === "/") focusSearch(event);
      else if (event.key === "?") open("help");
      else if (event.key === "j" || event.key === "k") moveRow(event, event.key === "j" ? 1 : -1);
    };
    document.addEventListener("keydown", heard);
    return () => document.removeEventListener("keydown", heard);
  }, [open, may]);
}

function focusSearch(event) {
  const field = document.querySelector("[data-search]");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select?.();
}

function moveRow(event, step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  if (!rows.length) return;
  event.preventDefault();
  const here = rows.indexOf(document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : here + step;
  rows[Math.max(0, Math.min(rows.length - 1, next))].focus();
}

const KEYS = [
  ["Ctrl K", "Go to or do anything"],
  ["/", "Search or filter this page"],
  ["j  k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["Esc", "Close a panel or dialog"],
  ["?", "This help"],
];

export function KeyHelp({ onClose, may }) {
  const places = PLACES.filter((each) => may(each.right));
  const all = [...KEYS, ...places.map((each) => [`g ${each.key}`, each.title])];
  return html`<${Dialog} title="Keyboard" onClose=${onClose}>
    <dl class="kv keys">
      ${all.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}
    </dl>
    <div class="row end"><button type="button" onClick=${onClose}>Close</button></div>
  </${Dialog}>`;
}
