// One queue: how it was, how it is, its jobs by status, and why they fail.

import { html, useLayoutEffect, useMemo } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer, useNow } from "../live.js";
import { navigate, withQuery } from "../router.js";
import { Ago, Num, Time, count, span } from "../parts/format.js";
import { JobPanel } from "../parts/job_panel.js";
import { Bulk } from "../parts/operation.js";
import { PAGE, Pager, offsetOf } from "../parts/pager.js";
import { PauseButton } from "../parts/pausing.js";
import { Plot } from "../parts/plot.js";
import { Empty, Failed, Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";
import { QueueStatus } from "./queues.js";

const TABS = [
  ["", "All"],
  ["active", "Active"],
  ["waiting", "Waiting"],
  ["failed", "Failed"],
  ["completed", "Completed"],
];
const RANGES = [
  [1, "1 h"],
  [6, "6 h"],
  [24, "24 h"],
  [168, "7 d"],
];

export default function QueueView({ queue: name, query, may }) {
  const source = query.get("source") ?? "";
  const answer = useAnswer(["queues", name], { source }, { everyMs: 3000 });
  const job = query.get("job");
  return html`<p class="crumb"><a href="/dashboard/system/queues">Queues</a></p>
    <header class="head">
      <h1 class="mono">${name}</h1>
      ${answer.data && html`<${QueueStatus} queue=${answer.data} />`}
      <span class="sp"></span>
      ${answer.data && may("change") && html`<${Actions} queue=${answer.data} reload=${answer.reload} />`}
    </header>
    <${Shown} answer=${answer} what="queue" rows=${8}>
      ${(found) => html`<${Facts} queue=${found} />
        <${History} queue=${found} hours=${Number(query.get("hours")) || 1} />
        <div class="two">
          <${Jobs} queue=${found} query=${query} selected=${job} />
          ${job && html`<${Drawer} job=${job} queue=${found} may=${may} reload=${answer.reload} />`}
        </div>`}
    </${Shown}>`;
}

function Actions({ queue, reload }) {
  return html`<div class="row">
    <${Bulk} queue=${queue} onChange=${reload} />
    <${PauseButton} queue=${queue} onDone=${reload} />
  </div>`;
}

function Facts({ queue }) {
  const now = useNow(1000);
  const why = "the source cannot say";
  return html`<div class="card">
    <dl class="facts">
      <div><dt>Active</dt><dd><${Num} value=${queue.active_jobs} why=${why} /></dd></div>
      <div><dt>Waiting</dt><dd><${Num} value=${queue.waiting_jobs} why=${why} /></dd></div>
      <div><dt>Failed</dt><dd><${Num} value=${queue.failed_jobs} why=${why} /></dd></div>
      <div><dt>Done in the last hour</dt><dd><${Num} value=${queue.completed_last_hour} why=${why} /></dd></div>
      <div><dt>Oldest waits</dt><dd>${
        queue.oldest_waiting_at
          ? span((now - Date.parse(queue.oldest_waiting_at)) / 1000)
          : html`<${Num} value=${null} why=${queue.waiting_jobs === 0 ? "nothing waits" : why} />`
      }</dd></div>
      <div><dt>Empty in</dt><dd>${
        queue.eta_s === null
          ? html`<${Num} value=${null} why="it does not drain, or nothing is known of its pace" />`
          : span(queue.eta_s)
      }</dd></div>
      <div><dt>Source</dt><dd>${queue.source} <${Pill} status=${queue.source_state.health} /></dd></div>
      <div><dt>Priority</dt><dd>${queue.priority}</dd></div>
    </dl>
    ${queue.warnings.map((each) => html`<p class="stale" key=${each}>${each}</p>`)}
    ${queue.source_state.error &&
    html`<p class="stale">${queue.source_state.error} Last answer:
      <${Ago} value=${queue.source_state.answered_at} now=${now} why="never" /></p>`}
  </div>`;
}

function History({ queue, hours }) {
  const answer = useAnswer(
    ["queues", queue.name, "history"],
    { hours, source: queue.source },
    { everyMs: 15000 },
  );
  const series = answer.data?.series;
  const data = useMemo(() => series && columns(series), [series]);
  if (answer.error?.status === 404) return null;
  return html`<div class="card">
    <div class="pad row"><h2>Over time</h2><span class="sp"></span>
      ${RANGES.map(
        ([each, label]) => html`<a
          class="button" href=${withQuery({ hours: each === 1 ? null : each })}
          aria-current=${each === hours ? "true" : undefined}
        >${label}</a>`,
      )}
    </div>
    ${answer.error && !data && html`<${Failed} error=${answer.error} retry=${answer.reload} />`}
    ${data &&
    html`<div class="plots">
      <${Plot} at=${data.at} lines=${data.depth} label="Jobs" />
      <${Plot} at=${data.at} lines=${data.pace} label="Jobs a minute" />
    </div>`}
  </div>`;
}

function columns(series) {
  const of = (label, key) => ({ label, values: series.map((point) => point[key]) });
  return {
    at: series.map((point) => Date.parse(point.at) / 1000),
    depth: [of("waiting", "waiting"), of("active", "active"), of("failed", "failed")],
    pace: [of("completed", "completed_per_minute"), of("failed", "failed_per_minute")],
  };
}

function Jobs({ queue, query, selected }) {
  const status = query.get("status") ?? "";
  const can = status ? queue.capabilities.list_jobs[status] : "yes";
  return html`<div class="stack">
    <${Tabs} queue=${queue} status=${status} />
    ${status === "failed" && can !== "no" && html`<${Errors} queue=${queue} />`}
    ${can === "no"
      ? html`<${Empty} title=${`This engine cannot list ${status} jobs`}>It only counts them.</${Empty}>`
      : html`<${JobTable} queue=${queue} query=${query} status=${status} selected=${selected} />`}
  </div>`;
}

function Tabs({ queue, status }) {
  const numbers = {
    active: queue.active_jobs,
    waiting: queue.waiting_jobs,
    failed: queue.failed_jobs,
    completed: queue.completed_jobs,
  };
  return html`<nav class="tabs" aria-label="Jobs by status">
    ${TABS.map(
      ([key, label]) => html`<a
        href=${withQuery({ status: key, offset: null, job: null, q: null })}
        aria-current=${key === status ? "page" : undefined}
      >${label}${key && numbers[key] !== null ? html` <span class="dim">${count(numbers[key])}</span>` : ""}</a>`,
    )}
  </nav>`;
}

/** Why jobs fail, most often first: a click shows one of the jobs. */
function Errors({ queue }) {
  const answer = useAnswer(["queues", queue.name, "errors"], { source: queue.source }, { everyMs: 10000 });
  if (answer.error && !answer.data) return html`<${Failed} error=${answer.error} retry=${answer.reload} />`;
  if (!answer.data?.groups.length) return null;
  const { groups, examined, complete } = answer.data;
  return html`<div class="card scroll">
    <table>
      <thead><tr><th class="n">Jobs</th><th>Same error</th><th>Last</th></tr></thead>
      <tbody>${groups.map(
        (each) => html`<tr key=${each.fingerprint}>
          <td class="n">${count(each.count)}</td>
          <td class="wide"><a href=${withQuery({ job: each.sample_job_id })} title=${each.sample_message}
            ><bdi>${each.sample_message}</bdi></a></td>
          <td class="dim"><${Ago} value=${each.last_failed_at} why="this engine keeps no time" /></td>
        </tr>`,
      )}</tbody>
    </table>
    ${!complete && html`<p class="pad dim">Found in the newest ${count(examined)} failed jobs.</p>`}
  </div>`;
}

function JobTable({ queue, query, status, selected }) {
  const asked = {
    status, source: queue.source, limit: PAGE, offset: offsetOf(query), q: query.get("q") ?? "",
  };
  const answer = useAnswer(["queues", queue.name, "jobs"], asked, { everyMs: 5000 });
  return html`<div class="card">
    <div class="search" role="search"><input
      class="field" type="search" data-search aria-label="Search in these jobs" value=${asked.q}
      placeholder="Search in payloads and errors  /"
      onChange=${(event) => navigate(withQuery({ q: event.target.value, offset: null }))}
    /></div>
    <${Shown} answer=${answer} what="jobs">
      ${(found) =>
        found.jobs.length
          ? html`<div class="scroll"><table>
                <thead><tr><th>Job</th><th>Status</th><th class="n">Attempts</th><th>Error or payload</th><th>Changed</th></tr></thead>
                <tbody>${found.jobs.map((each) => html`<${JobRow} key=${each.id} job=${each} selected=${selected} />`)}</tbody>
              </table></div><${Pager} pagination=${found.pagination} />`
          : html`<${Empty} title="No jobs here">${asked.q ? "Nothing has these words." : "Nothing of this status is in the queue."}</${Empty}>`}
    </${Shown}>
  </div>`;
}

function JobRow({ job, selected }) {
  const text = job.error?.message ?? JSON.stringify(job.payload) ?? "";
  return html`<tr class=${job.id === selected ? "sel" : ""}>
    <td class="mono"><a href=${withQuery({ job: job.id })} data-row title=${job.native_id}
      >${job.native_id.length > 20 ? `…${job.native_id.slice(-12)}` : job.native_id}</a></td>
    <td><${Pill} status=${job.status} /></td>
    <td class="n"><${Num} value=${job.attempts} why="this engine does not count them" /></td>
    <td class=${`wide ${job.error ? "bad-text" : "dim mono"}`} title=${text.slice(0, 400)}><bdi>${text.slice(0, 300)}</bdi></td>
    <td class="dim"><${Time} value=${job.updated_at ?? job.created_at} why="this engine keeps no time" /></td>
  </tr>`;
}

function Drawer({ job, queue, may, reload }) {
  const close = () => navigate(withQuery({ job: null }));
  useLayoutEffect(() => {
    const heard = (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
    };
    document.addEventListener("keydown", heard);
    return () => document.removeEventListener("keydown", heard);
  }, []);
  return html`<aside class="card pad drawer" aria-label="Job">
    <div class="row"><h2>Job</h2><span class="sp"></span>
      <button type="button" class="quiet" aria-label="Close the job" onClick=${close}>✕</button></div>
    <${JobPanel}
      key=${job} job=${job} may=${may} capabilities=${queue.capabilities} onChange=${reload}
      onGone=${() => {
        close();
        reload();
      }}
    />
  </aside>`;
}
