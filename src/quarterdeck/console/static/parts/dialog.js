// Dialogs on the browser's own element: it keeps the focus inside, and Escape closes it.

import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { complain } from "./notices.js";

export function Dialog({ title, onClose, children, wide = false }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    // Closing it, and not only taking it away, gives the focus back to where it was.
    return () => dialog.close();
  }, []);
  return html`<dialog
    ref=${element}
    class=${wide ? "wide" : ""}
    aria-label=${title}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
    onClick=${(event) => event.target === element.current && onClose()}
  >
    <div class="inside"><h2>${title}</h2>${children}</div>
  </dialog>`;
}

/**
 * Ask before something that has consequences. `act` is awaited; a refusal is shown in the dialog.
 * The safe button has the focus, so that a stray Enter changes nothing.
 */
export function Confirm({ title, verb, danger = false, act, onClose, children }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const cancel = useRef(null);
  useLayoutEffect(() => cancel.current.focus(), []);
  const go = async () => {
    setBusy(true);
    try {
      await act();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <div class="why">${children}</div>
    ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
    <div class="row end">
      <button type="button" ref=${cancel} onClick=${onClose}>Cancel</button>
      <button type="button" class=${danger ? "danger" : "p"} disabled=${busy} onClick=${go}>
        ${busy ? "Working…" : verb}
      </button>
    </div>
  </${Dialog}>`;
}

/** A button that asks with a `Confirm` first. */
export function Asking({ label, disabled, ...confirm }) {
  const [asked, setAsked] = useState(false);
  return html`<button
      type="button" disabled=${disabled} onClick=${() => setAsked(true)}
    >${label}</button>
    ${asked && html`<${Confirm} ...${confirm} onClose=${() => setAsked(false)} />`}`;
}

/** A button whose work is done at once, and told of if it fails. */
export function Doing({ label, act, primary = false, disabled = false, title }) {
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    try {
      await act();
    } catch (error) {
      complain(error);
    }
    setBusy(false);
  };
  return html`<button
    type="button" class=${primary ? "p" : ""} disabled=${disabled || busy} title=${title}
    onClick=${go}
  >${busy ? "Working…" : label}</button>`;
}
