// When alerts fired in the last 24 hours, from the times at which they began and ended.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { Spark } from "./spark.js";

const STEPS = 48;
const STEP_MS = 1_800_000;

/** How many of `alerts` fired in each half-hour: all that the server lists for 24 hours. */
export function AlertSpark({ alerts, now, status, label }) {
  return html`<${Spark}
    values=${firing(alerts, now)} status=${status} label=${`${label}, by half-hours of the last day`}
  />`;
}

function firing(alerts, now) {
  const first = now - STEPS * STEP_MS;
  const known = alerts.map((each) => ({
    from: Date.parse(each.timestamp),
    to: each.resolved_at ? Date.parse(each.resolved_at) : Infinity,
  }));
  return Array.from({ length: STEPS }, (_, step) => {
    const start = first + step * STEP_MS;
    return known.filter((each) => each.from < start + STEP_MS && each.to >= start).length;
  });
}
