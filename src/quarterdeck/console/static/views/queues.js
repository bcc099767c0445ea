// All queues of all sources: what is backing up, and the first thing to do about it.

import { Component, html, useMemo } from "../vendor/htm-preact-3.1.1.mjs";
import { useNow, useQueues } from "../live.js";
import { navigate, viewAddress, withQuery } from "../router.js";
import { Ago, Num, Unknown, count, span } from "../parts/format.js";
import { PauseButton } from "../parts/pausing.js";
import { QueueSpark } from "../parts/spark.js";
import { Empty, Failed, Loading, Stale } from "../parts/states.js";
import { Pill, rank } from "../parts/status.js";

const COLUMNS = [
  { key: "name", title: "Queue", of: (each) => each.name, first: 1 },
  { key: "status", title: "Status", of: (each) => rank(each.status), first: 1 },
  { key: "active", title: "Active", of: (each) => each.active_jobs, first: -1, kind: "n wide-only" },
  { key: "waiting", title: "Waiting", of: (each) => each.waiting_jobs, first: -1, kind: "n" },
  { title: "Last hour", kind: "wide-only" },
  { key: "done", title: "Done/h", of: (each) => each.completed_last_hour, first: -1, kind: "n wide-only" },
  { key: "failed", title: "Failed", of: (each) => each.failed_jobs, first: -1, kind: "n" },
  { key: "oldest", title: "Oldest", of: (each) => age(each), first: -1, kind: "n wide-only" },
];

const age = (queue) => (queue.oldest_waiting_at ? -Date.parse(queue.oldest_waiting_at) : null);

export default function Queues({ query, may }) {
  const { queues, sources, error, at } = useQueues();
  const filter = query.get("q") ?? "";
  const only = query.get("status") ?? "";
  const sort = query.get("sort") ?? "name";
  const isDown = query.get("down") === "1";
  const shown = useMemo(
    () => sorted(filtered(queues ?? [], filter, only), sort, isDown),
    [queues, filter, only, sort, isDown],
  );
  return html`<header class="head">
      <h1>Queues</h1>
      ${queues && html`<small>${said(queues, sources)}</small>`}
    </header>
    <${Sources} sources=${sources} />
    ${queues && html`<${Stale} error=${error} at=${at} /><${Filters} filter=${filter} only=${only} />`}
    ${!queues && !error && html`<${Loading} what="queues" rows=${6} />`}
    ${!queues && error && html`<${Failed} error=${error} />`}
    ${queues && html`<${Table} queues=${shown} sort=${sort} isDown=${isDown} may=${may} all=${queues} />`}`;
}

function said(queues, sources) {
  const away = sources.filter((each) => each.health === "unavailable").length;
  const parts = [many(queues.length, "queue"), many(sources.length, "source")];
  if (away) parts.push(`${many(away, "source")} unreachable`);
  return parts.join(" · ");
}

const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Sources that do not answer as they should: their numbers are missing or old, and why. */
function Sources({ sources }) {
  const troubled = sources.filter((each) => each.health !== "ok");
  return troubled.map(
    (each) => html`<div class="stale" role="status" key=${each.name}>
      Source ${each.name} (${each.kind}) is ${each.health}${each.error ? `: ${each.error}` : ""}${
        each.answered_at ? html` · last answer <${Ago} value=${each.answered_at} />` : ""
      }
    </div>`,
  );
}

function Filters({ filter, only }) {
  return html`<div class="row" role="search">
    <input
      class="field" data-search type="search" placeholder="Filter by name or source  /"
      aria-label="Filter queues by name or source" value=${filter}
      onInput=${(event) => navigate(withQuery({ q: event.target.value }), { replace: true })}
    />
    <select
      aria-label="Only queues with this status" value=${only}
      onChange=${(event) => navigate(withQuery({ status: event.target.value }))}
    >
      <option value="">any status</option>
      ${["critical", "warning", "healthy", "unknown", "paused"].map(
        (each) => html`<option value=${each}>${each}</option>`,
      )}
    </select>
  </div>`;
}

function filtered(queues, filter, only) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return queues.filter(
    (each) =>
      words.every((word) => `${each.name} ${each.source}`.toLowerCase().includes(word)) &&
      (!only || (only === "paused" ? each.paused : each.status === only)),
  );
}

function sorted(queues, key, isDown) {
  const column = COLUMNS.find((each) => each.key === key) ?? COLUMNS[0];
  const direction = isDown ? -column.first : column.first;
  return [...queues].sort((a, b) => {
    const [left, right] = [column.of(a), column.of(b)];
    // Unknown is at the end, whichever way: it is neither much nor little.
    if (left === null || right === null) return (left === null) - (right === null) || byName(a, b);
    const order = typeof left === "string" ? left.localeCompare(right) : left - right;
    return order * direction || byName(a, b);
  });
}

const byName = (a, b) => a.name.localeCompare(b.name) || a.source.localeCompare(b.source);

function Table({ queues, all, sort, isDown, may }) {
  const now = useNow(1000);
  if (!all.length) {
    return html`<${Empty} title="No queues yet">
      Name a source under <code>[[queues.sources]]</code> in the settings, and its queues stand here.
    </${Empty}>`;
  }
  if (!queues.length) {
    return html`<${Empty} title="No queue fits">
      <a href="/dashboard/system/queues">Show all ${all.length}.</a></${Empty}>`;
  }
  return html`<div class="card scroll"><table class="stacked" role="table">
    <thead role="rowgroup"><tr role="row">
      ${COLUMNS.map((each) => html`<${Head} ...${each} own=${each.key} key=${each.title} sort=${sort} isDown=${isDown} />`)}
      <th role="columnheader"><span class="sr">Actions</span></th>
    </tr></thead>
    <tbody role="rowgroup">
      ${queues.map(
        (each) => html`<${Row} key=${`${each.source} ${each.name}`} queue=${each} may=${may} now=${now} />`,
      )}
    </tbody>
  </table></div>`;
}

function Head({ title, own, sort, isDown, kind = "", first }) {
  if (!own) return html`<th role="columnheader" class=${kind}>${title}</th>`;
  const isSorted = own === sort;
  const isRising = (first === 1) !== isDown;
  return html`<th
    role="columnheader" class=${kind} aria-sort=${isSorted ? (isRising ? "ascending" : "descending") : undefined}
  ><a
    class="quiet" role="button"
    href=${withQuery({ sort: own === "name" ? null : own, down: isSorted && !isDown ? "1" : null })}
  >${title}${isSorted ? (isRising ? " ↑" : " ↓") : ""}</a></th>`;
}

const shown = new WeakMap();
const watch = new IntersectionObserver(
  (entries) => {
    for (const each of entries) shown.get(each.target)?.look(each.isIntersecting);
  },
  { rootMargin: "400px" },
);

/** Drawn anew only while it is on the screen, or nearly: 500 rows cost what the seen ones cost. */
class Row extends Component {
  isSeen = true;

  shouldComponentUpdate() {
    return this.isSeen;
  }

  componentDidMount() {
    shown.set(this.base, this);
    watch.observe(this.base);
  }

  componentWillUnmount() {
    watch.unobserve(this.base);
  }

  look(isSeen) {
    const comes = isSeen && !this.isSeen;
    this.isSeen = isSeen;
    if (comes) this.forceUpdate();
  }

  render({ queue, may, now }) {
    const href = viewAddress(["dashboard", "system", "queues", queue.name], { source: queue.source });
    // The roles are said: on narrow pages rows are drawn as cards, and browsers then forget them.
    return html`<tr role="row">
      <td role="cell" class="mono named"><a href=${href} data-row>${queue.name}</a>${" "}
        <span class="dim wide-only">${queue.source}</span></td>
      <td role="cell"><${QueueStatus} queue=${queue} /></td>
      <td role="cell" class="n wide-only"><${Num} value=${queue.active_jobs} why="the source cannot say" /></td>
      <td role="cell" class="n" data-label="waiting"><${Num} value=${queue.waiting_jobs} why="the source cannot say" /></td>
      <td role="cell" class="wide-only"><${QueueSpark} queue=${queue} /></td>
      <td role="cell" class="n wide-only"><${Done} queue=${queue} /></td>
      <td role="cell" class="n" data-label="failed"><${Num} value=${queue.failed_jobs} why="the source cannot say" /></td>
      <td role="cell" class="n dim wide-only"><${Oldest} queue=${queue} now=${now} /></td>
      <td role="cell" class="n">${may("change") && html`<${PauseButton} queue=${queue} />`}</td>
    </tr>`;
  }
}

export function QueueStatus({ queue }) {
  const notes = queue.warnings.join("\n");
  if (queue.paused) {
    return html`<span class="pill unk" title=${notes || undefined}>paused · ${queue.status}</span>`;
  }
  return html`<${Pill} status=${queue.status} title=${notes || undefined} />`;
}

function Done({ queue }) {
  if (queue.completed_last_hour === null) return html`<${Unknown} why="this engine keeps no count" />`;
  const isExact = queue.completed_last_hour_source === "exact";
  const from = `counted by: ${queue.completed_last_hour_source}`;
  return html`<span title=${from}>${isExact ? "" : "≈ "}${count(queue.completed_last_hour)}</span>`;
}

function Oldest({ queue, now }) {
  if (queue.oldest_waiting_at) {
    return span((now - Date.parse(queue.oldest_waiting_at)) / 1000);
  }
  const why = queue.waiting_jobs === 0 ? "nothing waits" : "the source cannot say";
  return html`<${Unknown} why=${why} />`;
}
