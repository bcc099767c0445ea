// The whole ship: one line for each concern, the worst first, each a link to where it is looked at.

import { html, useMemo, useRef } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer, useNow, useQueues } from "../live.js";
import { viewAddress } from "../router.js";
import { ScoreSpark } from "../parts/addresses.js";
import { AlertSpark } from "../parts/alert_spark.js";
import { DaySpark } from "../parts/day_strip.js";
import { count, span } from "../parts/format.js";
import { QueueSpark, Spark } from "../parts/spark.js";
import { Loading } from "../parts/states.js";
import { Pill, rank, tone } from "../parts/status.js";

const MS_A_DAY = 86_400_000;
const INFRASTRUCTURE = ["dashboard", "system", "infrastructure"];

export default function Overview() {
  const now = useNow(5000);
  const queues = useQueues();
  const health = useAnswer(["infrastructure", "health"], {}, { everyMs: 5000 });
  const alerts = useAnswer(["infrastructure", "alerts"], { hours: 24 }, { everyMs: 10000 });
  const addresses = useAnswer(["infrastructure", "ip-reputation"], {}, { everyMs: 30000 });
  const errors = useErrors();
  const lines = [
    ...queueLines(queues, now),
    ...serviceLines(health, now),
    ...addressLines(addresses),
    ...alertLines(alerts, now),
    ...logLines(errors, now),
  ];
  const isWhole = queues.queues && [health, alerts, addresses, errors].every((each) => each.data);
  const bad = lines.filter((each) => rank(each.status) < rank("good"));
  const good = lines.filter((each) => rank(each.status) === rank("good"));
  return html`<header class="head"><h1>Overview</h1>
      <small>${isWhole ? summary(bad) : "looking…"}</small></header>
    ${!lines.length && html`<${Loading} what="overview" rows=${5} />`}
    ${isWhole && !bad.length && html`<${Calm} queues=${queues.queues} services=${health.data.services} />`}
    ${bad.length > 0 &&
    html`<div class="card">${sorted(bad).map((each) => html`<${Concern} key=${each.key} ...${each} />`)}</div>`}
    ${good.length > 0 &&
    html`<h2 class="section">In order</h2>
      <div class="card">${good.map((each) => html`<${Concern} key=${each.key} ...${each} />`)}</div>`}`;
}

function summary(bad) {
  const worst = bad.filter((each) => tone(each.status) === "bad").length;
  if (!bad.length) return "all is well";
  return `${bad.length} to look at${worst ? `, ${worst} of them now` : ""}`;
}

const sorted = (lines) => [...lines].sort((a, b) => rank(a.status) - rank(b.status));

function Calm({ queues, services }) {
  return html`<div class="card calm"><strong>All is well</strong>
    <p>${count(queues.length)} queues drain, ${count(services.length)} services answer, and no alert fires.</p>
  </div>`;
}

function Concern({ room, status, word, title, text, href, spark }) {
  return html`<a class="concern" href=${href} data-row>
    <${Pill} status=${status} text=${word ?? status} />
    <span class="dim">${room}</span>
    <span class="text"><strong>${title}</strong>${" "}<span class="dim wrap">${text}</span></span>
    ${spark ?? html`<span></span>`}
  </a>`;
}

function queueLines({ queues, sources, error }, now) {
  if (!queues) return error ? [unreachable("queues", "Queues", error, "/dashboard/system/queues")] : [];
  const isWell = (each) => each.status === "healthy" && !each.paused;
  const troubled = queues.filter((each) => !isWell(each));
  const fullest = most(queues.filter(isWell), (each) => each.waiting_jobs);
  const away = sources.filter((each) => each.health !== "ok");
  const whole = {
    key: "queues", room: "queues", status: "healthy", href: "/dashboard/system/queues",
    title: `${count(queues.length - troubled.length)} of ${count(queues.length)} queues drain`,
    text: `${count(sources.length - away.length)} of ${count(sources.length)} sources answer${
      fullest?.waiting_jobs ? ` · ${count(fullest.waiting_jobs)} wait in ${fullest.name}, the fullest` : ""
    }`,
    spark: fullest && html`<${QueueSpark} key=${fullest.name} queue=${fullest} />`,
  };
  return [
    ...away.map((each) => ({
      key: `source ${each.name}`, room: "queues", status: each.health, title: `Source ${each.name}`,
      text: each.error ?? "it answers slowly", href: "/dashboard/system/queues",
    })),
    ...troubled.map((each) => queueLine(each, now)),
    ...(queues.length > troubled.length || !queues.length ? [whole] : []),
  ];
}

/** That which has the most of something; undefined when it is known of none. */
const most = (all, of) =>
  all.filter((each) => of(each) !== null).sort((a, b) => of(b) - of(a))[0];

function queueLine(queue, now) {
  const parts = [
    queue.waiting_jobs === null ? "waiting unknown" : `${count(queue.waiting_jobs)} waiting`,
    queue.failed_jobs === null ? "failed unknown" : `${count(queue.failed_jobs)} failed`,
  ];
  if (queue.oldest_waiting_at) {
    parts.push(`oldest ${span((now - Date.parse(queue.oldest_waiting_at)) / 1000)}`);
  }
  const isHeld = queue.paused && queue.status === "healthy";
  return {
    key: `queue ${queue.source} ${queue.name}`, room: "queue", title: queue.name,
    status: isHeld ? "paused" : queue.status,
    word: queue.paused && !isHeld ? `paused · ${queue.status}` : undefined,
    text: parts.join(" · "), spark: html`<${QueueSpark} queue=${queue} />`,
    href: viewAddress(["dashboard", "system", "queues", queue.name], { source: queue.source }),
  };
}

function serviceLines({ data, error }, now) {
  const href = viewAddress(INFRASTRUCTURE);
  if (!data) return error ? [unreachable("services", "Services", error, href)] : [];
  const troubled = data.services.filter((each) => each.status !== "healthy");
  const lines = troubled.map((each) => ({
    key: `service ${each.name}`, room: "service", status: each.status, title: each.name,
    text: each.reason || "no reason is known", spark: html`<${DaySpark} service=${each.name} />`,
    href: viewAddress([...INFRASTRUCTURE, "services", each.name]),
  }));
  if (!data.monitor.online) {
    lines.push({
      key: "monitor", room: "services", status: "down", word: "offline", href,
      title: "This server has no network", text: data.monitor.reason ?? "",
    });
  }
  const well = data.services.filter((each) => each.status === "healthy");
  const changed = most(well, (each) => (each.since ? Date.parse(each.since) : null));
  if (well.length) {
    lines.push({
      key: "services", room: "services", status: "healthy", href,
      text: changed ? `the last to change was ${changed.name}, ${span((now - Date.parse(changed.since)) / 1000)} ago` : "",
      spark: changed && html`<${DaySpark} key=${changed.name} service=${changed.name} />`,
      title: `${count(well.length)} of ${count(data.services.length)} services answer as they should`,
    });
  }
  return lines;
}

function addressLines({ data, error }) {
  const href = viewAddress(INFRASTRUCTURE, { tab: "ips" });
  if (error?.status === 404) return [];
  if (!data) return error ? [unreachable("addresses", "Sending IPs", error, href)] : [];
  const troubled = data.ips.filter((each) => each.status !== "good");
  const lowest = most(data.ips.filter((each) => each.status === "good"), (each) => -each.reputation_score);
  const lines = troubled.map((each) => ({
    key: `ip ${each.ip_address}`, room: "sending IP", status: each.status, title: each.ip_address,
    text: listed(each), spark: html`<${ScoreSpark} ip=${each} />`, href: viewAddress([...INFRASTRUCTURE, "ips", each.ip_address]),
  }));
  if (data.ips.length > troubled.length) {
    lines.push({
      key: "ips", room: "sending IPs", status: "good", href,
      text: `the lowest score is ${lowest.reputation_score}, of ${lowest.ip_address}`,
      spark: html`<${ScoreSpark} key=${lowest.ip_address} ip=${lowest} />`,
      title: `${count(data.ips.length - troubled.length)} of ${count(data.ips.length)} addresses stand well`,
    });
  }
  return lines;
}

const listed = (ip) =>
  ip.blacklists.length
    ? `score ${ip.reputation_score} · on ${ip.blacklists.join(", ")}`
    : `score ${ip.reputation_score}`;

function alertLines({ data, error }, now) {
  const href = viewAddress(INFRASTRUCTURE, { tab: "alerts" });
  if (!data) return error ? [unreachable("alerts", "Alerts", error, href)] : [];
  const firing = data.alerts.filter((each) => each.status === "firing");
  const lines = firing
    .filter((each) => !each.acknowledged)
    .map((each) => ({
      key: `alert ${each.id}`, room: "alert", status: each.severity, title: each.message,
      text: `${each.service} · for ${span((now - Date.parse(each.started_at)) / 1000)}`,
      href: viewAddress(["console", "alerts", each.id]),
      spark: html`<${AlertSpark}
        alerts=${data.alerts.filter((other) => other.fingerprint === each.fingerprint)}
        now=${now} status=${each.severity} label="This alert"
      />`,
    }));
  const cared = firing.length - lines.length;
  if (!lines.length) {
    lines.push({
      key: "alerts", room: "alerts", status: "good", href, text: "in the last 24 hours: " + past(data.alerts),
      title: cared ? `${count(cared)} alerts fire, all acknowledged` : "No alert fires",
      spark: html`<${AlertSpark} alerts=${data.alerts} now=${now} label="Alerts that fired" />`,
    });
  }
  return lines;
}

/** Sums of `[time, number]` for each of the last 24 hours, the oldest first. */
function hourly(numbers, now) {
  const sums = Array(24).fill(0);
  for (const [time, number] of numbers) {
    const hour = 23 - Math.floor((now - Date.parse(time)) / 3_600_000);
    if (hour >= 0) sums[Math.min(hour, 23)] += number;
  }
  return sums;
}

function past(alerts) {
  const resolved = alerts.filter((each) => each.status === "resolved").length;
  return resolved ? `${count(resolved)} resolved` : "none";
}

/** Errors of the last 24 hours by the hour, or so. The end moves by whole minutes only. */
function useErrors() {
  const minute = Math.floor(useNow(30000) / 60000) * 60000;
  const asked = useMemo(
    () => ({ level: "error", buckets: 24, start_time: new Date(minute - MS_A_DAY).toISOString() }),
    [Math.floor(minute / 300000)],
  );
  const answer = useAnswer(["logs", "histogram"], asked, { everyMs: 30000 });
  // While another window of time is asked for, the last one stays: the page must not jump.
  const kept = useRef(null);
  if (answer.data) kept.current = answer.data;
  return { ...answer, data: kept.current };
}

function logLines({ data, error }, now) {
  const href = viewAddress(["dashboard", "system", "logs"], { level: "error" });
  if (!data) return error ? [unreachable("logs", "Logs", error, href)] : [];
  const hour = now - 3_600_000;
  const lines = data.steps.map((each) => [each.start, each.total]);
  const recent = data.steps
    .filter((each) => Date.parse(each.start) + data.step_s * 1000 > hour)
    .reduce((sum, each) => sum + each.total, 0);
  return [{
    key: "logs", room: "logs", href, status: recent ? "warning" : "good",
    word: recent ? "errors" : "quiet",
    title: recent ? `${count(recent)} error line${recent === 1 ? "" : "s"} in about the last hour` : "No error lines in the last hour",
    text: `${count(data.total)} in 24 hours`,
    spark: html`<${Spark} values=${hourly(lines, now)} label="Error lines an hour, last 24 hours" />`,
  }];
}

const unreachable = (key, title, error, href) => ({
  key, room: key, status: "unknown", title: `${title}: not known`, text: error.message, href,
});
