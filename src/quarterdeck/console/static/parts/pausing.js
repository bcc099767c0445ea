// Pausing and resuming, with what it really does in this engine.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get, post } from "../api.js";
import { refreshQueues } from "../live.js";
import { Confirm } from "./dialog.js";
import { count } from "./format.js";
import { tell } from "./notices.js";
import { Failed } from "./states.js";

const SCOPES = {
  band: (name) => html`Only this priority band is held: <strong>${name}</strong>.`,
  queue: () => "The engine can only hold the whole queue: all its priorities stop.",
  global: () => "The engine can only hold everything: all its queues stop.",
};

/** "Pause…" or "Resume…", as the queue is; nothing where the engine can do neither. */
export function PauseButton({ queue, onDone, label = true }) {
  const [asked, setAsked] = useState(false);
  const verb = queue.paused ? "Resume" : "Pause";
  if (queue.paused === null) return null;
  return html`<button
      type="button" onClick=${() => setAsked(true)} aria-label=${`${verb} ${queue.name}`}
    >${label ? `${verb}…` : verb}</button>
    ${asked &&
    html`<${PauseDialog} queue=${queue} onDone=${onDone} onClose=${() => setAsked(false)} />`}`;
}

function PauseDialog({ queue, onDone, onClose }) {
  const [detail, setDetail] = useState(null);
  const [error, setError] = useState(null);
  // As it was when the dialog opened: what a colleague does meanwhile must not turn the button round.
  const [verb] = useState(queue.paused ? "Resume" : "Pause");
  useEffect(() => {
    get(["queues", queue.name], { source: queue.source }).then(setDetail, setError);
  }, []);
  const act = async () => {
    // The reach that the dialog has named is held to: another one would be a surprise.
    const scope = detail?.capabilities.pause_scope;
    const done = await post(["queues", queue.name, verb.toLowerCase()], { source: queue.source, scope });
    refreshQueues();
    onDone?.();
    tell(told(done));
  };
  return html`<${Confirm}
    title=${`${verb} ${queue.name}?`} verb=${`${verb} the queue`} act=${act} onClose=${onClose}
  >
    ${error && html`<${Failed} error=${error} />`}
    ${!error && !detail && html`<p>Asking the engine what this does…</p>`}
    ${detail && (verb === "Resume" ? html`<${Resuming} queue=${detail} />` : html`<${Pausing} queue=${detail} />`)}
  </${Confirm}>`;
}

function told(done) {
  const word = done.status === "paused" ? "is paused" : "runs again";
  const before = done.changed ? "" : " It already was.";
  const notes = done.notes.length ? ` ${done.notes.join(" ")}` : "";
  return `${done.queue} ${word}.${before}${notes}`;
}

function Pausing({ queue }) {
  const can = queue.capabilities;
  if (can.pause === "none") return html`<p>This engine cannot pause a queue.</p>`;
  return html`<p>
      <strong>No job of it is started until somebody resumes it.</strong>${" "}
      ${waits(queue)} What runs now${runs(queue)} is not stopped.
    </p>
    <p>${SCOPES[can.pause_scope]?.(queue.name)}</p>
    <p>
      ${can.pause_durable
        ? "It stays paused when the engine or its workers restart."
        : html`<strong>It does not last:</strong> a restart of the engine or its workers ends it.`}
    </p>
    <${Notes} notes=${can.notes} />`;
}

function Resuming({ queue }) {
  return html`<p>
      <strong>Its workers start taking jobs again at once.</strong>${" "}${waits(queue)}
    </p>
    <p>${SCOPES[queue.capabilities.pause_scope] && queue.capabilities.pause_scope !== "band"
      ? "All that was held with it goes on as well."
      : ""}</p>
    <${Notes} notes=${queue.capabilities.notes} />`;
}

const Notes = ({ notes }) => notes.map((each) => html`<p class="dim" key=${each}>${each}</p>`);

const waits = (queue) =>
  queue.waiting_jobs === null
    ? "How many jobs wait is not known."
    : queue.waiting_jobs === 0
      ? "Nothing waits now."
      : `${count(queue.waiting_jobs)} wait now.`;

const runs = (queue) =>
  queue.active_jobs === null ? "" : ` (${count(queue.active_jobs)} ${queue.active_jobs === 1 ? "job" : "jobs"})`;
