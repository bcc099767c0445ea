// One service: how it does, since when, and how it was.

import { html, useMemo, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { put, remove } from "../api.js";
import { useAnswer, useNow } from "../live.js";
import { viewAddress, withQuery } from "../router.js";
import { HistoryStrip } from "../parts/day_strip.js";
import { Dialog, Doing } from "../parts/dialog.js";
import { Ago, Num, Time, ms, span } from "../parts/format.js";
import { tell } from "../parts/notices.js";
import { Plot } from "../parts/plot.js";
import { Empty, Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";
import { ServiceFacts } from "./infrastructure.js";

const ALL = viewAddress(["dashboard", "system", "infrastructure"]);
const RANGES = [
  [24, "24 h"],
  [168, "7 d"],
  [720, "30 d"],
];

export default function Service({ service: name, query, may }) {
  const answer = useAnswer(["infrastructure", "health"], {}, { everyMs: 5000 });
  return html`<p class="crumb"><a href=${ALL}>Infrastructure</a></p>
    <${Shown} answer=${answer} what="service" rows=${6}>
      ${({ services }) => {
        const found = services.find((each) => each.name === name);
        return found
          ? html`<${Body} service=${found} query=${query} may=${may} reload=${answer.reload} />`
          : html`<${Empty} title="There is no such service"><a href=${ALL}>See those that are watched.</a></${Empty}>`;
      }}
    </${Shown}>`;
}

function Body({ service, query, may, reload }) {
  const now = useNow(1000);
  return html`<header class="head">
      <h1>${service.name}</h1><${Pill} status=${service.status} />
      <small>${service.since ? html`since <${Ago} value=${service.since} now=${now} />` : ""}${
        service.stale ? " · stale" : ""
      }</small>
      <span class="sp"></span>
      ${isWeb(service.runbook_url) &&
      html`<a class="button" href=${service.runbook_url} target="_blank" rel="noreferrer noopener">Runbook ↗</a>`}
      ${may("change") && html`<${Note} service=${service} reload=${reload} />`}
    </header>
    ${service.reason &&
    html`<div class="card pad"><p class="wrap">${service.reason} <span class="dim">${service.reason_source === "operator" ? "– said by an operator" : ""}</span></p></div>`}
    <div class="card pad"><${ServiceFacts} service=${service} /></div>
    <${History} service=${service} hours=${Number(query.get("hours")) || 24} />
    <${Probes} probes=${service.probes} />
    <${More} service=${service} />`;
}

const isWeb = (address) => /^https?:\/\//i.test(address ?? "");

function History({ service, hours }) {
  const answer = useAnswer(
    ["infrastructure", "health", service.name, "history"],
    { hours },
    { everyMs: 30000 },
  );
  const data = useMemo(() => answer.data && plots(answer.data.series), [answer.data]);
  return html`<div class="card">
    <div class="pad row"><h2>Over time</h2><span class="sp"></span>
      ${RANGES.map(
        ([each, label]) => html`<a
          class="button" href=${withQuery({ hours: each === 24 ? null : each })}
          aria-current=${each === hours ? "true" : undefined}
        >${label}</a>`,
      )}</div>
    <${Shown} answer=${answer} what="history">
      ${(history) => html`<div class="pad stack"><${HistoryStrip} history=${history} /><${Uptime} history=${history} /></div>
        <div class="plots">${data.map((each) => html`<${Plot} key=${each.label} ...${each} />`)}</div>`}
    </${Shown}>
  </div>`;
}

const TIMES = [
  ["average", (point) => point.avg_ms],
  ["p95", (point) => point.p95_ms],
  ["p99", (point) => point.p99_ms],
  ["our check", (point) => point.check_ms],
];
const ERRORS = [
  ["failed requests", (point) => point.error_rate_percent],
  ["failed checks", (point) => (point.checks ? (100 * point.failed_checks) / point.checks : null)],
];

/** Only the plots and lines that were ever measured. */
function plots(series) {
  const at = series.map((point) => Date.parse(point.at) / 1000);
  const drawn = (names) =>
    names
      .map(([label, of]) => ({ label, values: series.map(of) }))
      .filter((each) => each.values.some((value) => value !== null));
  return [
    { at, label: "Response time", unit: "ms", lines: drawn(TIMES) },
    { at, label: "Errors", unit: "%", lines: drawn(ERRORS) },
  ].filter((each) => each.lines.length > 0);
}

function Uptime({ history }) {
  const parts = [
    ["healthy", history.healthy_s],
    ["degraded", history.degraded_s],
    ["down", history.down_s],
    ["unknown", history.unknown_s],
  ];
  return html`<dl class="facts">
    <div><dt>Up</dt><dd>${
      history.uptime_percent === null ? html`<${Num} value=${null} why="nothing was known in this time" />` : `${history.uptime_percent.toFixed(3)} %`
    }</dd></div>
    ${parts.map(([name, seconds]) => html`<div><dt>${name}</dt><dd>${span(seconds)}</dd></div>`)}
  </dl>`;
}

function Probes({ probes }) {
  if (!probes.length) return null;
  return html`<div class="card scroll" tabindex="0" role="region" aria-label="Probes"><table>
    <thead><tr><th>Probe</th><th>Outcome</th><th>Target</th><th class="n">Took</th><th>When</th></tr></thead>
    <tbody>${probes.map(
      (each) => html`<tr key=${each.kind + each.target}>
        <td>${each.kind}</td><td><${Pill} status=${each.outcome} /></td>
        <td class="wide mono" title=${each.target}>${each.target}${each.reason ? html` <span class="bad-text">${each.reason}</span>` : ""}</td>
        <td class="n">${each.latency_ms === null ? html`<${Num} value=${null} why="this probe takes no time of its own" />` : ms(each.latency_ms)}</td>
        <td class="dim"><${Time} value=${each.checked_at} why="not probed yet" /></td></tr>`,
    )}</tbody>
  </table></div>`;
}

function More({ service }) {
  const rows = [...Object.entries(service.metrics), ...Object.entries(service.facets)];
  if (!rows.length && !service.depends_on.length) return null;
  return html`<div class="card pad"><dl class="kv">
    ${service.depends_on.length > 0 &&
    html`<dt>Depends on</dt><dd>${service.depends_on.map(
      (each) => html`<a key=${each} href=${viewAddress(["dashboard", "system", "infrastructure", "services", each])}>${each}</a> `,
    )}</dd>`}
    ${rows.map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt><dd>${
      value === null ? html`<${Num} value=${null} />` : String(value)
    }</dd>`)}
  </dl></div>`;
}

function Note({ service, reload }) {
  const [isOpen, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const where = ["infrastructure", "health", service.name, "note"];
  const submit = async (event) => {
    event.preventDefault();
    try {
      await put(where, { note: text });
      tell("The note stands as the reason.");
      setOpen(false);
      reload();
    } catch (failure) {
      setError(failure);
    }
  };
  const clear = async () => {
    await remove(where);
    tell("The note is gone.");
    reload();
  };
  return html`<div class="row">
    <button type="button" onClick=${() => setOpen(true)}>Write a note…</button>
    ${service.reason_source === "operator" && html`<${Doing} label="Take the note away" act=${clear} />`}
    ${isOpen &&
    html`<${Dialog} title=${`A note on ${service.name}`} onClose=${() => setOpen(false)}>
      <form class="stack" onSubmit=${submit}>
        <label for="note">What colleagues should know. It stands in place of the reason that we found.</label>
        <textarea id="note" class="field" required value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
        <div class="row end"><button type="button" onClick=${() => setOpen(false)}>Cancel</button>
          <button type="submit" class="p">Write it</button></div>
      </form></${Dialog}>`}
  </div>`;
}
