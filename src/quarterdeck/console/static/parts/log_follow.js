// Following: lines as they are stored, by server-sent events.

import { useEffect, useMemo, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { ApiError, PREFIX, get } from "../api.js";
import { whileSeen } from "../live.js";

const KEPT = 5000;
const DRAW_MS = 200;

/**
 * The newest lines of a search, newest first, growing while they come in; the oldest of more than
 * 5,000 are dropped. `state` is `connecting`, `live`, `waiting` (it will connect again) or `ended`.
 * @param {object | null} search parameters of the API without times; null: nothing is followed
 */
export function useFollow(search) {
  const key = search && JSON.stringify(search);
  const [turn, setTurn] = useState(0);
  const [, redraw] = useState(0);
  const followed = useMemo(
    () => search && new Followed(search, () => redraw((old) => old + 1)),
    [key, turn],
  );
  useEffect(() => followed && whileSeen(() => followed.open()), [followed]);
  return followed && { feed: followed, reopen: () => setTurn((old) => old + 1) };
}

class Followed {
  state = "connecting";
  error = null;
  /** How many lines have come in since it began. */
  received = 0;
  lines = [];
  #search;
  #onChange;
  #fresh = [];
  #timer = 0;
  #isSeeded = false;

  constructor(search, onChange) {
    this.#search = search;
    this.#onChange = onChange;
  }

  /** Connect; gives the way to stop. Opened again, it catches up with what came in meanwhile. */
  open() {
    this.#isSeeded = false;
    this.#become("connecting");
    const source = new EventSource(`${PREFIX}/logs/tail?${new URLSearchParams(this.#search)}`);
    const stopping = new AbortController();
    source.addEventListener("open", () => {
      // Asked for only now: what is stored from here on comes by the stream, so none is missed.
      if (!this.#isSeeded) this.#seed(source, stopping.signal);
      this.#become("live");
    });
    source.addEventListener("log", (event) => {
      this.#fresh.push(JSON.parse(event.data));
      if (this.#isSeeded) this.#timer ||= setTimeout(() => this.#take(), DRAW_MS);
    });
    source.addEventListener("error", (event) => this.#broke(source, event));
    return () => {
      source.close();
      stopping.abort();
      clearTimeout(this.#timer);
      this.#timer = 0;
    };
  }

  async #seed(source, signal) {
    try {
      const { logs } = await get(["logs"], { ...this.#search, limit: 100 }, signal);
      const found = new Set(logs.map((each) => each.id));
      const others = this.lines.filter((each) => !found.has(each.id));
      // Where these do not reach back to what was there, lines between them would be missing.
      this.lines = others.length < this.lines.length ? [...logs, ...others] : logs;
      this.#fresh = this.#fresh.filter((each) => !found.has(each.id));
      this.#isSeeded = true;
      this.#take();
    } catch (error) {
      if (error.name === "AbortError") return;
      source.close();
      this.#become("ended", error);
    }
  }

  #take() {
    this.#timer = 0;
    this.received += this.#fresh.length;
    const fresh = this.#fresh.slice(-KEPT).reverse();
    this.lines = [...fresh, ...this.lines.slice(0, KEPT - fresh.length)];
    this.#fresh = [];
    this.#onChange();
  }

  #broke(source, event) {
    if (event.data) {
      source.close();
      const told = JSON.parse(event.data);
      this.#become("ended", new ApiError({ ...told, status: 503 }));
    } else if (source.readyState === EventSource.CLOSED) {
      const message = "The stream was refused or has ended. What was received stays here.";
      this.#become("ended", new ApiError({ status: 0, code: "UNREACHABLE", message }));
    } else {
      this.#become("waiting");
    }
  }

  #become(state, error = null) {
    this.state = state;
    this.error = error;
    this.#onChange();
  }
}
