// One job: what it was to do, what went wrong, how often, and what can be done about it.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { post, remove } from "../api.js";
import { useAnswer } from "../live.js";
import { viewAddress } from "../router.js";
import { Asking, Doing } from "./dialog.js";
import { Num, Time, ms } from "./format.js";
import { JsonTree } from "./json_tree.js";
import { tell } from "./notices.js";
import { Shown } from "./states.js";
import { Pill } from "./status.js";

const REQUEST_KEYS = ["request_id", "requestId", "x_request_id", "correlation_id"];

export function JobPanel({ job: id, may, capabilities = null, onChange, onGone }) {
  const answer = useAnswer(["jobs", id], {}, { everyMs: 5000 });
  const changed = () => {
    answer.reload();
    onChange?.();
  };
  return html`<${Shown} answer=${answer} what="job" rows=${6}>
    ${(job) => html`<div class="stack">
      <div class="row"><${Pill} status=${job.status} /><code class="wrap">${job.native_id}</code></div>
      <${Facts} job=${job} />
      ${may("change") &&
      html`<${Actions} job=${job} can=${capabilities} onChange=${changed} onGone=${onGone} />`}
      ${job.error && html`<${Failure} error=${job.error} />`}
      <${Payload} job=${job} />
      <${History} attempts=${job.history} />
    </div>`}
  </${Shown}>`;
}

function Facts({ job }) {
  const request = requestId(job.payload);
  const queue = viewAddress(["dashboard", "system", "queues", job.queue], { source: job.source });
  return html`<dl class="kv">
    <dt>Queue</dt><dd class="mono"><a href=${queue}>${job.queue}</a> <span class="dim">${job.source}</span></dd>
    <dt>Attempts</dt>
    <dd><${Num} value=${job.attempts} why="this engine does not count them" />${
      job.max_attempts === null ? "" : ` of ${job.max_attempts}`
    }</dd>
    <dt>Created</dt><dd><${Time} value=${job.created_at} why="this engine keeps no time" /></dd>
    <dt>Changed</dt><dd><${Time} value=${job.updated_at} why="this engine keeps no time" /></dd>
    ${job.run_at && html`<dt>Runs at</dt><dd><${Time} value=${job.run_at} /></dd>`}
    ${job.native_status && html`<dt>In the engine</dt><dd class="mono">${job.native_status}</dd>`}
    ${job.location && html`<dt>Found at</dt><dd class="mono">${job.location}</dd>`}
    <dt>Logs</dt>
    <dd>${request
      ? html`<a href=${logsOf({ request_id: request })}>of its request <code>${request}</code></a>`
      : html`<a href=${logsOf({ query: `"${job.native_id}" OR job_id:"${job.native_id}"` })}>that name it</a>`}</dd>
    <dt>Link</dt><dd><a href=${viewAddress(["dashboard", "system", "jobs", job.id])}>its own page</a></dd>
  </dl>`;
}

const logsOf = (query) => viewAddress(["dashboard", "system", "logs"], { ...query, range: "7d" });

function requestId(payload) {
  if (payload === null || typeof payload !== "object") return null;
  const key = REQUEST_KEYS.find((each) => typeof payload[each] === "string" && payload[each]);
  return key ? payload[key] : null;
}

function Actions({ job, can, onChange, onGone }) {
  const retry = async () => {
    const done = await post(["jobs", job.id, "retry"]);
    const attempts = done.attempts_reset ? "Its attempts count from zero." : "Its attempts go on counting.";
    tell(`The job is ${done.status}. ${attempts}`);
    onChange();
  };
  const erase = async () => {
    await remove(["jobs", job.id]);
    tell("The job is deleted.");
    if (onGone) onGone();
    else onChange();
  };
  const canRetry = job.status === "failed" && can?.retry !== "none";
  const canDelete = can ? can.delete[job.status] !== "no" : true;
  const isRunning = job.status === "active";
  return html`<div class="row">
    ${canRetry && html`<${Doing} label="Retry" primary act=${retry} />`}
    ${canDelete
      ? html`<${Asking}
          label="Delete…" danger verb=${isRunning ? "Cancel and delete" : "Delete the job"}
          title="Delete this job?" act=${erase}
        ><p><strong>The job is removed from ${job.queue} for good</strong>, with its payload and its
          history.</p>
          ${isRunning && html`<p>It runs now. The engine is asked to cancel it first.</p>`}
        </${Asking}>`
      : html`<span class="dim">This engine deletes no ${job.status} jobs.</span>`}
  </div>`;
}

function Failure({ error }) {
  return html`<section class="stack">
    <h2>Error</h2>
    <p class="bad-text wrap"><bdi>${error.message}</bdi></p>
    ${error.stack_trace
      ? html`<pre tabindex="0" aria-label="Stack trace">${error.stack_trace}</pre>`
      : html`<p class="dim">The engine keeps no stack trace.</p>`}
  </section>`;
}

function Payload({ job }) {
  return html`<section class="stack">
    <h2>Payload</h2>
    ${job.payload_error && html`<p class="warn-text wrap">${job.payload_error}</p>`}
    ${typeof job.payload === "string"
      ? html`<pre tabindex="0" aria-label="Payload">${job.payload}</pre>`
      : html`<${JsonTree} value=${job.payload} />`}
  </section>`;
}

function History({ attempts }) {
  if (!attempts.length) return null;
  return html`<section class="stack">
    <h2>Attempts</h2>
    ${attempts.map(
      (each) => html`<details key=${each.number}>
        <summary>
          ${each.number} · <${Pill} status=${each.outcome} /> <${Time} value=${each.started_at} />
          ${each.duration_ms === null ? "" : ` · ${ms(each.duration_ms)}`}
        </summary>
        <div class="stack pad">
          <p class="wrap">${each.message ?? html`<span class="dim">No message.</span>`}</p>
          ${each.stack_trace && html`<pre tabindex="0">${each.stack_trace}</pre>`}
        </div>
      </details>`,
    )}
  </section>`;
}
