// Status: always a word, with a colour beside it; never a colour alone.

import { html } from "../vendor/htm-preact-3.1.1.mjs";

const TONES = {
  healthy: "good", good: "good", ok: "good", completed: "good", resolved: "good",
  warning: "warn", degraded: "warn", slow: "warn", pending: "warn", processing: "warn",
  suspect: "warn", clearing: "warn", started: "warn",
  critical: "bad", down: "bad", error: "bad", failed: "bad", firing: "bad", unavailable: "bad",
  fail: "bad", confirmed: "bad", denied: "bad",
  info: "info", active: "info",
};

/** `good`, `warn`, `bad`, `info` or `unk` for any status word of the API. */
export const tone = (status) => TONES[status] ?? "unk";

/** How bad: the worst first when sorted upwards. */
export const rank = (status) => ["bad", "warn", "unk", "info", "good"].indexOf(tone(status));

export function Pill({ status, text = status ?? "unknown", title }) {
  return html`<span class=${`pill ${tone(status)}`} title=${title}>${text}</span>`;
}

/** The worst of some status words; null when there are none. */
export const worst = (words) =>
  words.reduce((found, each) => (found === null || rank(each) < rank(found) ? each : found), null);
