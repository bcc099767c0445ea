// Answers that stay fresh: asked again while somebody looks, kept when the server is away.

import { useCallback, useEffect, useState } from "./vendor/htm-preact-3.1.1.mjs";
import { ApiError, PREFIX, get } from "./api.js";

/**
 * The answer of a GET, asked again every `everyMs` while the page is seen.
 * After a failure the last data stays, with the error beside it: stale is better than nothing.
 * @returns {{data: any, error: ApiError | null, at: number | null, reload: () => void}}
 */
export function useAnswer(segments, query = {}, { everyMs = 0, isWanted = true } = {}) {
  const key = isWanted ? JSON.stringify([segments, query]) : null;
  const [state, setState] = useState({ key: null, data: null, error: null, at: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (key === null) return undefined;
    const stopping = new AbortController();
    let timer = 0;
    const ask = async () => {
      const found = await outcome(segments, query, stopping.signal);
      if (stopping.signal.aborted) return;
      setState((old) => merged(old, key, found));
      const wait = found.error?.retryS ? found.error.retryS * 1000 : everyMs;
      if (everyMs) timer = setTimeout(askWhenSeen, wait);
    };
    const askWhenSeen = () => {
      if (!document.hidden) ask();
      else document.addEventListener("visibilitychange", ask, { once: true, signal: stopping.signal });
    };
    ask();
    return () => {
      stopping.abort();
      clearTimeout(timer);
    };
  }, [key, turn, everyMs]);
  const reload = useCallback(() => setTurn((old) => old + 1), []);
  const fits = state.key === key;
  return {
    data: fits ? state.data : null,
    error: fits ? state.error : null,
    at: fits ? state.at : null,
    reload,
  };
}

async function outcome(segments, query, signal) {
  try {
    return { data: await get(segments, query, signal), error: null };
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) return { data: null, error };
    throw error;
  }
}

function merged(old, key, found) {
  if (!found.error) return { key, data: found.data, error: null, at: Date.now() };
  const known = old.key === key ? old : { data: null, at: null };
  return { key, data: known.data, error: found.error, at: known.at };
}

/**
 * Keep something open while the page is seen. `open` gives the way to close it.
 * Browsers allow six connections to one server over all tabs: those that nobody sees hold none.
 */
export function whileSeen(open) {
  let close = null;
  const heard = () => {
    if (document.hidden) {
      close?.();
      close = null;
    } else {
      close ??= open();
    }
  };
  heard();
  document.addEventListener("visibilitychange", heard);
  return () => {
    document.removeEventListener("visibilitychange", heard);
    close?.();
  };
}

const feed = { value: { queues: null, sources: [], error: null, at: null, isLive: false } };
const followers = new Set();
let source = null;
let polling = 0;
let stopFeed = null;

/** All queues and sources, shared by whoever looks, from one stream; by polling where it fails. */
export function useQueues() {
  const [value, setValue] = useState(feed.value);
  useEffect(() => {
    followers.add(setValue);
    setValue(feed.value);
    if (followers.size === 1) stopFeed = whileSeen(openFeed);
    return () => {
      followers.delete(setValue);
      if (!followers.size) stopFeed();
    };
  }, []);
  return value;
}

/** Look again at once, after a change of ours. */
export const refreshQueues = () => (source ? undefined : poll());

function tell(changes) {
  feed.value = { ...feed.value, ...changes };
  for (const heard of followers) heard(feed.value);
}

function openFeed() {
  source = new EventSource(`${PREFIX}/queues/stream`);
  let isFirst = true;
  source.addEventListener("open", () => {
    isFirst = true;
  });
  source.addEventListener("queues", (event) => {
    const found = JSON.parse(event.data);
    tell({ ...applied(isFirst ? null : feed.value, found), error: null, at: Date.now(), isLive: true });
    isFirst = false;
  });
  source.addEventListener("error", () => {
    if (!source) return;
    tell({ isLive: false });
    // CLOSED: it was refused, and the browser will not try again. The list itself says why.
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      poll();
    }
  });
  return closeFeed;
}

function closeFeed() {
  source?.close();
  source = null;
  clearTimeout(polling);
  tell({ isLive: false });
}

async function poll() {
  clearTimeout(polling);
  const found = await outcome(["queues"], {}, undefined);
  if (!followers.size || source || document.hidden) return;
  if (found.error) tell({ error: found.error, isLive: false });
  else tell({ ...found.data, error: null, at: Date.now() });
  polling = setTimeout(poll, (found.error?.retryS ?? 5) * 1000);
}

const nameOf = (queue) => JSON.stringify([queue.source, queue.name]);

function applied(old, found) {
  if (!old?.queues) return { queues: found.queues, sources: found.sources };
  const queues = new Map(old.queues.map((each) => [nameOf(each), each]));
  for (const each of found.removed) queues.delete(nameOf(each));
  for (const each of found.queues) queues.set(nameOf(each), each);
  const sources = new Map(old.sources.map((each) => [each.name, each]));
  for (const each of found.sources) sources.set(each.name, each);
  return { queues: [...queues.values()], sources: [...sources.values()] };
}

/** A value that a timer makes anew, so that ages on the page grow. */
export function useNow(everyMs = 1000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Keep a value of the browser's own storage in step with the page. */
export function useKept(name, first) {
  const [value, setValue] = useState(() => localStorage.getItem(name) ?? first);
  const keep = useCallback((next) => {
    localStorage.setItem(name, next);
    setValue(next);
  }, []);
  return [value, keep];
}
