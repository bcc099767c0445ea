// Services, sending addresses and alerts: what the platform stands on.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { viewAddress, withQuery } from "../router.js";
import { Addresses } from "../parts/addresses.js";
import { AlertFeed } from "../parts/alert_feed.js";
import { Num, count, ms } from "../parts/format.js";
import { DayStrip } from "../parts/day_strip.js";
import { Empty, Shown } from "../parts/states.js";
import { Pill, rank } from "../parts/status.js";

const TABS = [
  ["", "Services"],
  ["ips", "Sending IPs"],
  ["alerts", "Alerts"],
];

export default function Infrastructure({ query, may }) {
  const tab = query.get("tab") ?? "";
  return html`<header class="head"><h1>Infrastructure</h1></header>
    <nav class="tabs" aria-label="Infrastructure">
      ${TABS.map(
        ([key, label]) => html`<a
          href=${viewAddress(["dashboard", "system", "infrastructure"], { tab: key })}
          aria-current=${key === tab ? "page" : undefined}
        >${label}</a>`,
      )}
    </nav>
    ${tab === "" && html`<${Services} />`}
    ${tab === "ips" && html`<${Addresses} may=${may} />`}
    ${tab === "alerts" && html`<${AlertFeed} query=${query} may=${may} />`}`;
}

function Services() {
  const answer = useAnswer(["infrastructure", "health"], {}, { everyMs: 5000 });
  return html`<${Shown} answer=${answer} what="services" rows=${6}>
    ${({ services, monitor }) => html`
      ${!monitor.online &&
      html`<p class="stale">This server has no network, so that what you see is old. ${monitor.reason ?? ""}</p>`}
      ${!services.length && html`<${Empty} title="No services are watched">
        Name one under <code>[[health.services]]</code> in the settings.</${Empty}>`}
      <div class="grid">
        ${[...services]
          .sort((a, b) => rank(a.status) - rank(b.status))
          .map((each) => html`<${ServiceCard} key=${each.name} service=${each} />`)}
      </div>`}
  </${Shown}>`;
}

function ServiceCard({ service }) {
  const href = viewAddress(["dashboard", "system", "infrastructure", "services", service.name]);
  return html`<a class="card service" href=${href} data-row>
    <div class="row"><h2>${service.name}</h2><span class="sp"></span>
      <${Pill} status=${service.status} text=${service.stale ? `${service.status} · stale` : service.status} /></div>
    ${service.reason && html`<p class="reason">${service.reason}</p>`}
    <${ServiceFacts} service=${service} />
    <${DayStrip} service=${service.name} />
  </a>`;
}

/** The numbers that matter for a service of this kind: those that it has. */
export function ServiceFacts({ service }) {
  const why = "nothing was measured in the last minutes";
  const of = (key, label, draw) =>
    key in service
      ? html`<div><dt>${label}</dt><dd>${service[key] === null ? html`<${Num} value=${null} why=${why} />` : draw(service[key])}</dd></div>`
      : null;
  return html`<dl class="facts">
    ${of("response_time_ms", "p95", (value) => `${value.approximate ? "≈ " : ""}${ms(value.p95)}`)}
    ${of("response_time_ms", "average", (value) => ms(value.avg))}
    ${of("error_rate_percent", "Errors", (value) => `${value.toFixed(1)} %`)}
    ${of("queue_backlog", "Backlog", count)}
    ${of("connection_pool_usage_percent", "Pool in use", (value) => `${Math.round(value)} %`)}
    ${of("query_latency_ms", "Query", ms)}
  </dl>`;
}
