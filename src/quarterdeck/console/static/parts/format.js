// Numbers, spans and times as people read them. What is unknown is a dash that says why.

import { html, useState, useEffect } from "../vendor/htm-preact-3.1.1.mjs";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const count = (value) => WHOLE.format(value);

/** A measured number as precise as anybody reads it. */
export const figure = (value) => (Math.abs(value) < 100 ? FINE : WHOLE).format(value);

/** A number, or a dash with the reason why there is none. */
export function Num({ value, unit = "", why = "not known", fine = false }) {
  if (value === null || value === undefined) return html`<${Unknown} why=${why} />`;
  return html`<span>${(fine ? FINE : WHOLE).format(value)}${unit ? ` ${unit}` : ""}</span>`;
}

/** The dash for what nobody knows. Screen readers hear the reason. */
export function Unknown({ why = "not known" }) {
  return html`<span class="unknown" title=${why}
    ><span aria-hidden="true">–</span><span class="sr">unknown: ${why}</span></span
  >`;
}

/** Seconds as `6 m 12 s`: two units, no more. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "m", s % 60, "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "m");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

const two = (a, unitA, b, unitB) => (b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);

export const ms = (value) =>
  value >= 1000 ? `${FINE.format(value / 1000)} s` : `${FINE.format(value)} ms`;

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  for (let left = value; left >= 1000 && power < units.length - 1; left /= 1000) power += 1;
  return `${FINE.format(value / 1000 ** power)} ${units[power]}`;
}

const zoneHeard = new Set();

export const isUtc = () => localStorage.getItem("zone") === "utc";

/** Show all times in UTC, or in the browser's own zone. */
export function setUtc(utc) {
  localStorage.setItem("zone", utc ? "utc" : "local");
  for (const heard of zoneHeard) heard(utc);
}

export function useUtc() {
  const [utc, set] = useState(isUtc);
  useEffect(() => {
    zoneHeard.add(set);
    return () => zoneHeard.delete(set);
  }, []);
  return utc;
}

const pad = (value, length = 2) => String(value).padStart(length, "0");

/** `2025-12-04 12:15:30`, with milliseconds if asked for. */
export function moment(value, { utc = isUtc(), date = true, millis = false } = {}) {
  const at = new Date(value);
  const part = (name) => at[`get${utc ? "UTC" : ""}${name}`]();
  const day = `${part("FullYear")}-${pad(part("Month") + 1)}-${pad(part("Date"))}`;
  const time = `${pad(part("Hours"))}:${pad(part("Minutes"))}:${pad(part("Seconds"))}`;
  return `${date ? `${day} ` : ""}${time}${millis ? `.${pad(part("Milliseconds"), 3)}` : ""}`;
}

/** A time in the chosen zone; the other one is a hover away. */
export function Time({ value, why = "not known", ...options }) {
  const utc = useUtc();
  if (!value) return html`<${Unknown} why=${why} />`;
  const other = `${moment(value, { utc: !utc, millis: true })} ${utc ? "local time" : "UTC"}`;
  return html`<time datetime=${value} title=${other}>${moment(value, { utc, ...options })}</time>`;
}

/** How long ago, for a page that knows what time it is now. */
export function Ago({ value, now = Date.now(), why }) {
  const utc = useUtc();
  if (!value) return html`<${Unknown} why=${why} />`;
  const title = `${moment(value, { utc })} ${utc ? "UTC" : "local time"}`;
  const ago = (now - Date.parse(value)) / 1000;
  return html`<time datetime=${value} title=${title}
    >${ago < 1 ? "just now" : `${span(ago)} ago`}</time
  >`;
}
