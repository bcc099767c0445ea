// A service's status over the last 24 hours.

import { html, useMemo } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { Unknown } from "./format.js";
import { Strip } from "./spark.js";

const useDay = (service) =>
  useAnswer(["infrastructure", "health", service, "history"], { hours: 24 }, { everyMs: 60000 }).data;

export function DayStrip({ service }) {
  return html`<${HistoryStrip} history=${useDay(service)} />`;
}

/** As small as a sparkline, without words around it. */
export function DaySpark({ service }) {
  const history = useDay(service);
  const data = useMemo(() => history && spans(history), [history]);
  return html`<span class="spark-place">
    ${data && html`<${Strip} ...${data} label="Status, last 24 hours" least=${30} />`}
  </span>`;
}

/** The strip of a history that was already asked for. */
export function HistoryStrip({ history }) {
  const data = useMemo(() => history && spans(history), [history]);
  if (!history) return html`<div class="strip"></div>`;
  const hours = Math.round((Date.parse(history.until) - Date.parse(history.since)) / 3600000);
  const uptime = history.uptime_percent;
  const label = `Last ${hours} h: ${uptime === null ? "uptime unknown" : `up ${uptime.toFixed(2)} %`}`;
  return html`<div>
    <${Strip} ...${data} label=${label} />
    <div class="axis"><span>${hours} h ago</span><span>${
      uptime === null ? html`<${Unknown} why="nothing was known in this time" />` : `${uptime.toFixed(2)} % up`
    }</span><span>now</span></div>
  </div>`;
}

function spans({ since, until, changes }) {
  const [from, to] = [Date.parse(since), Date.parse(until)];
  const known = changes.map((each) => ({ at: Date.parse(each.at), status: each.status }));
  const found = known.map((each, index) => ({
    from: Math.max(from, each.at),
    to: known[index + 1]?.at ?? to,
    status: each.status,
  }));
  return { spans: found.filter((each) => each.to > from && each.status), since: from, until: to };
}
