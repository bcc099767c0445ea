// Any JSON value as a tree that opens and closes; all of it is text, whatever it looks like.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";

const LONG = 2000;
const MANY = 100;

export function JsonTree({ value, open = 2 }) {
  return html`<div class="json"><${Node} value=${value} depth=${open} /></div>`;
}

function Node({ name, value, depth }) {
  if (value === null || typeof value !== "object") return html`<${Leaf} name=${name} value=${value} />`;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  if (!entries.length) return html`<${Leaf} name=${name} text=${isList ? "[]" : "{}"} />`;
  return html`<${Branch} name=${name} entries=${entries} isList=${isList} depth=${depth} />`;
}

function Branch({ name, entries, isList, depth }) {
  // Children of a closed branch are not made: a payload may hold a hundred thousand of them.
  const [isOpen, setOpen] = useState(depth > 0 && entries.length <= MANY);
  const [shown, setShown] = useState(MANY);
  const size = isList ? `[${entries.length}]` : `{${entries.length}}`;
  return html`<details open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${name !== undefined && html`<span class="k">${name}</span>: `}${size}</summary>
    ${isOpen &&
    html`<div>
      ${entries
        .slice(0, shown)
        .map(([key, each]) => html`<${Node} key=${key} name=${key} value=${each} depth=${depth - 1} />`)}
      ${entries.length > shown &&
      html`<button type="button" onClick=${() => setShown(shown + 1000)}>
        ${entries.length - shown} more
      </button>`}
    </div>`}
  </details>`;
}

function Leaf({ name, value, text }) {
  const [isWhole, setWhole] = useState(false);
  const isText = typeof value === "string";
  const all = text ?? (isText ? value : JSON.stringify(value));
  const cut = !isWhole && all.length > LONG;
  return html`<div class="leaf">
    ${name !== undefined && html`<span class="k">${name}</span>: `}
    <span class=${isText ? "s" : "v"}><bdi>${cut ? all.slice(0, LONG) : all}</bdi></span>
    ${cut &&
    html` <button type="button" onClick=${() => setWhole(true)}>
      ${all.length - LONG} more characters
    </button>`}
  </div>`;
}
