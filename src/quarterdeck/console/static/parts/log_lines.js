// The lines of one search, fetched by the hundred where somebody looks; few are kept.

import { useEffect, useMemo, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get } from "../api.js";

const PAGE = 100;
const KEPT_PAGES = 30;
const SETTLED_MS = 60;

/**
 * All lines of a search by their place in it, newest first.
 * @param {object | null} search parameters of the API; null: nothing is asked
 * @returns {{total: number | null, tookMs: number | null, error: Error | null, at: (place: number) =>
 *   object | null, want: (first: number, last: number) => void, find: (line: object) => Promise<number | null>}}
 */
export function useLines(search) {
  const [, redraw] = useState(0);
  const key = search && JSON.stringify(search);
  const lines = useMemo(
    () => search && new Lines(search, () => redraw((turn) => turn + 1)),
    [key],
  );
  useEffect(() => {
    lines?.want(0, PAGE - 1);
    return () => lines?.stop();
  }, [lines]);
  return lines;
}

class Lines {
  total = null;
  tookMs = null;
  error = null;
  #search;
  #onChange;
  #pages = new Map();
  #asked = new Map();
  #wanted = [0, PAGE - 1];
  #timer = 0;
  #isOver = false;

  constructor(search, onChange) {
    this.#search = search;
    this.#onChange = onChange;
  }

  /** The line at a place; null while it is not here. */
  at(place) {
    return this.#pages.get(Math.floor(place / PAGE))?.[place % PAGE] ?? null;
  }

  /** Have these places fetched. What nobody looks at any more is neither waited for nor kept. */
  want(first, last) {
    clearTimeout(this.#timer);
    this.#wanted = [first, last];
    const start = Math.floor(first / PAGE);
    const size = Math.floor(last / PAGE) - start + 1;
    const numbers = Array.from({ length: size }, (_, index) => start + index);
    // Dragging the scrollbar passes by a thousand pages: only those it stops at are asked for.
    const wait = this.total === null ? 0 : SETTLED_MS;
    this.#timer = setTimeout(() => this.#fetch(numbers), wait);
  }

  retry() {
    this.want(...this.#wanted);
  }

  /** The place of a line in this search; null: it is not in it. */
  async find(line) {
    const at = Date.parse(line.timestamp);
    const { start_time: start, end_time: end } = this.#search;
    if ((start && at < Date.parse(start)) || (end && at > Date.parse(end))) return null;
    const { pagination } = await this.#ask({ start_time: line.timestamp, limit: 1 });
    // Lines of the same microsecond stand beside it, so it is at or shortly before this place.
    const page = Math.floor(Math.max(0, pagination.total - 1) / PAGE);
    return (await this.#placeIn(page, line.id)) ?? (page > 0 ? this.#placeIn(page - 1, line.id) : null);
  }

  /** Asks by itself: what `want` fetches is given up as soon as somebody looks elsewhere. */
  async #placeIn(page, id) {
    if (!this.#pages.has(page)) {
      const { logs } = await this.#ask({ limit: PAGE, offset: page * PAGE });
      this.#pages.set(page, logs);
    }
    const place = this.#pages.get(page).findIndex((each) => each.id === id);
    return place < 0 ? null : page * PAGE + place;
  }

  stop() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const stopping of this.#asked.values()) stopping.abort();
  }

  async #fetch(numbers) {
    this.error = null;
    for (const [page, stopping] of this.#asked) {
      if (!numbers.includes(page)) stopping.abort();
    }
    await Promise.all(numbers.map((page) => this.#load(page)));
    this.#forget(numbers[0]);
  }

  async #load(page) {
    if (this.#isOver || this.#pages.has(page) || this.#asked.has(page)) return;
    const stopping = new AbortController();
    this.#asked.set(page, stopping);
    const began = performance.now();
    try {
      const found = await this.#ask({ limit: PAGE, offset: page * PAGE }, stopping.signal);
      if (this.total === null) this.#settle(found, performance.now() - began);
      this.#pages.set(page, found.logs);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
    } finally {
      this.#asked.delete(page);
      if (!this.#isOver) this.#onChange();
    }
  }

  /** From the first answer on the list ends at its newest line: what comes in moves nothing. */
  #settle(found, tookMs) {
    this.total = found.pagination.total;
    this.tookMs = tookMs;
    if (found.logs.length) this.#search = { ...this.#search, end_time: found.logs[0].timestamp };
  }

  #ask(query, signal) {
    return get(["logs"], { ...this.#search, ...query }, signal);
  }

  #forget(near) {
    const far = [...this.#pages.keys()].sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
    for (const page of far.slice(0, Math.max(0, far.length - KEPT_PAGES))) this.#pages.delete(page);
  }
}
