// What is searched for, as the address says it and as the API wants it.

import { withQuery } from "../router.js";
import { count } from "./format.js";

/** Parameters of a search that are in the address by the API's own names. */
export const FILTERS = [
  "query", "level", "min_level", "service", "request_id", "user_id", "tenant_id",
  "start_time", "end_time",
];

/** Spans back from now: the value in the address, its words, and its milliseconds. */
export const RANGES = [
  ["15m", "Last 15 minutes", 15 * 60e3],
  ["1h", "Last hour", 3600e3],
  ["6h", "Last 6 hours", 6 * 3600e3],
  ["24h", "Last 24 hours", 24 * 3600e3],
  ["7d", "Last 7 days", 7 * 24 * 3600e3],
  ["30d", "Last 30 days", 30 * 24 * 3600e3],
  ["all", "All that is kept", null],
];
export const USUAL_RANGE = "24h";

/** `1 line`, `2,500 lines`. */
export const lineCount = (number) => `${count(number)} ${number === 1 ? "line" : "lines"}`;

/** The filters of an address, without those that are not given. */
export function given(query) {
  const found = FILTERS.map((name) => [name, query.get(name)]);
  return Object.fromEntries(found.filter(([, value]) => value));
}

/** The chosen span: one of `RANGES`, or null where the address has its own times. */
export function rangeOf(query) {
  if (query.get("start_time") || query.get("end_time")) return null;
  const name = query.get("range");
  return RANGES.some(([each]) => each === name) ? name : USUAL_RANGE;
}

/** The parameters of the API for an address at a moment (in ms). */
export function wanted(query, now) {
  const filters = given(query);
  const back = RANGES.find(([name]) => name === rangeOf(query))?.[2];
  return back ? { ...filters, start_time: new Date(now - back).toISOString() } : filters;
}

/** The same without bounds of time: what is followed has yet to come. */
export function withoutTimes({ start_time: _start, end_time: _end, ...filters }) {
  return filters;
}

/** This page with another search. What was opened belongs to the old one and is closed. */
export const searchAddress = (changes) => withQuery({ ...changes, line: null, around: null });

/** The page with nothing but this search: `range` only where it has no times of its own. */
export function freshAddress(filters, range = USUAL_RANGE) {
  const none = Object.fromEntries(FILTERS.map((name) => [name, null]));
  const hasTimes = filters.start_time || filters.end_time;
  const kept = hasTimes || range === USUAL_RANGE ? null : range;
  return searchAddress({ ...none, ...filters, range: kept, follow: null, panel: null });
}
