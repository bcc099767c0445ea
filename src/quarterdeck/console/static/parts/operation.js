// Bulk work on a queue's failed jobs: asked for, followed, told of.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get, post, remove } from "../api.js";
import { Asking } from "./dialog.js";
import { count } from "./format.js";

const LOOK_MS = 700;
const VERBS = { retry_failed: "Retrying failed jobs", delete_failed: "Clearing failed jobs" };

/** "Retry all" and "Clear" for the failed jobs of a queue, as far as its engine can. */
export function Bulk({ queue, onChange }) {
  const [operation, setOperation] = useState(null);
  const can = queue.capabilities;
  const failed = queue.failed_jobs;
  const where = [["queues", queue.name, "retry-failed"], { source: queue.source }];
  const number = failed === null ? "all" : count(failed);
  const started = (found) => setOperation(found);
  return html`${operation &&
    html`<${Progress} first=${operation} key=${operation.operation_id} onChange=${onChange} />`}
    ${can.retry !== "none" &&
    html`<${Asking}
      label="Retry failed…" disabled=${failed === 0} verb=${`Retry ${number} jobs`}
      title=${`Retry the failed jobs of ${queue.name}?`}
      act=${async () => started(await post(...where))}
    ><p><strong>${number} failed jobs wait again</strong> and run as soon as workers are free. Those that
      fail for the same reason will fail again.</p>
      <p>${RETRIES[can.retry]}</p>
    </${Asking}>`}
    ${can.delete.failed === "yes" &&
    html`<${Asking}
      label="Clear failed…" disabled=${failed === 0} danger verb=${`Delete ${number} jobs`}
      title=${`Delete the failed jobs of ${queue.name}?`}
      act=${async () =>
        started(await remove(["queues", queue.name, "failed"], { source: queue.source }))}
    ><p><strong>${number} failed jobs are deleted for good</strong>, with their payloads and errors. There
      is no way back.</p>
      <p>Jobs that fail after this moment stay.</p>
    </${Asking}>`}`;
}

const RETRIES = {
  native: "The engine moves each job back itself.",
  republish: "Each job is published anew: it gets a new place in the queue, and may get a new id.",
};

function Progress({ first, onChange }) {
  const [state, setState] = useState(first);
  useEffect(() => {
    if (isOver(state)) {
      onChange?.();
      return undefined;
    }
    const timer = setTimeout(async () => {
      try {
        setState(await get(["operations", state.operation_id]));
      } catch (error) {
        setState((old) => ({ ...old, unseen: error.message }));
      }
    }, LOOK_MS);
    return () => clearTimeout(timer);
  }, [state]);
  const done = `${count(state.done)}${state.total === null ? "" : ` of ${count(state.total)}`}`;
  return html`<span class="row" role="status">
    ${!isOver(state) &&
    html`<progress
      aria-label=${VERBS[state.action]} max=${state.total ?? undefined}
      value=${state.total ? state.done : undefined}
    ></progress>`}
    <span class=${state.error ? "bad-text" : "dim"}
      >${VERBS[state.action]}: ${done} · ${state.status}${state.error ? `: ${state.error}` : ""}${
        state.unseen ? ` · how far it is cannot be seen: ${state.unseen}` : ""
      }</span
    >
  </span>`;
}

const isOver = (state) => ["completed", "failed", "cancelled"].includes(state.status);
