// Small pictures of many numbers. A gap in the data is a gap in the line.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get } from "../api.js";
import { count, moment } from "./format.js";
import { tone } from "./status.js";

const WIDTH = 84;
const HEIGHT = 22;

/** A line of values, oldest first; null is a gap. `label` says what they are. */
export function Spark({ values, label, status }) {
  const known = values.filter((each) => each !== null);
  if (!known.length) return html`<span class="unknown" title=${`${label}: no history yet`}>–</span>`;
  const top = Math.max(1, ...known);
  const step = WIDTH / Math.max(1, values.length - 1);
  let path = "";
  let isGap = true;
  values.forEach((value, index) => {
    if (value !== null) {
      const y = HEIGHT - 2 - (value / top) * (HEIGHT - 4);
      path += `${isGap ? "M" : "L"}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
      if (isGap && (values[index + 1] ?? null) === null) path += "h2";
    }
    isGap = value === null;
  });
  const text = `${label}: at most ${count(top)}, now ${count(known[known.length - 1])}`;
  return html`<svg
    class=${`spark ${tone(status)}`} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none"
    role="img" aria-label=${text}
  ><title>${text}</title>
    <path d=${path} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
  </svg>`;
}

const KEPT_MS = 60_000;
const histories = new Map();

/** The last hour of a queue's waiting jobs, asked for when the row is seen and once a minute. */
export function QueueSpark({ queue }) {
  const element = useRef(null);
  const [values, setValues] = useState(() => histories.get(key(queue))?.values ?? null);
  const isSeen = useSeen(element);
  useEffect(() => {
    if (!isSeen) return undefined;
    let isOver = false;
    const ask = async () => {
      const found = await waiting(queue);
      if (!isOver) setValues(found);
    };
    ask();
    const timer = setInterval(() => !document.hidden && ask(), KEPT_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [isSeen, queue.name, queue.source]);
  return html`<span ref=${element} class="spark-place">
    ${values && html`<${Spark} values=${values} label="Waiting, last hour" status=${queue.status} />`}
  </span>`;
}

function useSeen(element) {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver(([entry]) => setSeen(entry.isIntersecting));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return isSeen;
}

const key = (queue) => JSON.stringify([queue.source, queue.name]);

async function waiting(queue) {
  const kept = histories.get(key(queue));
  if (kept && Date.now() - kept.at < KEPT_MS) return kept.values;
  try {
    const found = await get(["queues", queue.name, "history"], { hours: 1, source: queue.source });
    const values = thinned(found.series.map((point) => point.waiting));
    histories.set(key(queue), { values, at: Date.now() });
    return values;
  } catch {
    // No history is no reason to complain in every row: the line is drawn as unknown.
    return kept?.values ?? [];
  }
}

function thinned(values, most = 60) {
  const step = Math.ceil(values.length / most);
  const groups = [];
  for (let at = 0; at < values.length; at += step) {
    const known = values.slice(at, at + step).filter((each) => each !== null);
    groups.push(known.length ? Math.max(...known) : null);
  }
  return groups;
}

/**
 * Status over time as a strip: `spans` of `{from, to, status}` in milliseconds. A span is never so
 * short that nobody sees it: `least` thousandths of the strip.
 */
export function Strip({ spans, since, until, label, least = 2 }) {
  const part = (time) => ((time - since) / (until - since)) * 1000;
  return html`<svg
    class="strip" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label=${label}
  ><title>${label}</title>
    ${spans.map(
      (each) => html`<rect
        class=${each.status ? tone(each.status) : "unk"} y="0" height="14"
        x=${Math.min(1000 - least, part(each.from))}
        width=${Math.max(least, part(each.to) - part(each.from))}
      ><title>${each.status ?? "unknown"} from ${moment(each.from)}</title></rect>`,
    )}
  </svg>`;
}
