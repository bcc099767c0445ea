// One alert, under the address that notices link to.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { viewAddress } from "../router.js";
import { AlertActions } from "../parts/alert_feed.js";
import { Num, Time } from "../parts/format.js";
import { Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";

const FEED = viewAddress(["dashboard", "system", "infrastructure"], { tab: "alerts" });

export default function Alert({ alert: id, may }) {
  const answer = useAnswer(["infrastructure", "alerts", id], {}, { everyMs: 10000 });
  return html`<p class="crumb"><a href=${FEED}>Alerts</a></p>
    <${Shown} answer=${answer} what="alert" rows=${6}>
      ${(alert) => html`<header class="head">
          <h1><bdi>${alert.message}</bdi></h1><span class="sp"></span>
          <${AlertActions} alert=${alert} may=${may} reload=${answer.reload} />
        </header>
        <div class="card pad"><${Facts} alert=${alert} /></div>`}
    </${Shown}>`;
}

function Facts({ alert }) {
  const rows = [
    ["State", html`<${Pill} status=${alert.status} />${alert.flapping ? " flapping" : ""}`],
    ["Severity", html`<${Pill} status=${alert.severity} />`],
    ["Service", alert.service],
    ["Rule", html`<code>${alert.rule}</code>`],
    ["Value", alert.value === null ? html`<${Num} value=${null} />` : String(alert.value)],
    ["Began", html`<${Time} value=${alert.started_at} />`],
    ["Changed", html`<${Time} value=${alert.updated_at} />`],
    ["Resolved", html`<${Time} value=${alert.resolved_at} why="it still fires" />`],
    ["Fired", alert.count === 1 ? "once" : `${alert.count} times`],
    ["Acknowledged", acknowledged(alert)],
    ["Silenced", alert.silenced_by ? html`by <code>${alert.silenced_by}</code>` : "no"],
    ["Held back", alert.inhibited_by ? html`by <code>${alert.inhibited_by}</code>` : "no"],
    ["Logs", html`<a href=${logsAround(alert)}>warnings and errors of that time</a>`],
    ...Object.entries(alert.labels).map(([name, value]) => [name, html`<bdi>${value}</bdi>`]),
  ];
  return html`<dl class="kv">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function acknowledged(alert) {
  if (!alert.acknowledged) return "not yet";
  return html`by ${alert.acknowledged_by ?? "somebody"}, <${Time} value=${alert.acknowledged_at} />${
    alert.note ? html`: <bdi>${alert.note}</bdi>` : ""
  }`;
}

function logsAround(alert) {
  const began = Date.parse(alert.started_at);
  const start = new Date(began - 600_000).toISOString();
  const end = new Date(began + 600_000).toISOString();
  return viewAddress(["dashboard", "system", "logs"], {
    min_level: "warning",
    start_time: start,
    end_time: end,
  });
}
