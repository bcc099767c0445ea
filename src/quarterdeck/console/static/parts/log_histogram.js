// Lines over time by level. A span is chosen by dragging, or with the arrow keys, and zoomed into.

import { html, useMemo, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { navigate } from "../router.js";
import { count, moment, useUtc } from "./format.js";
import { searchAddress } from "./log_search.js";

const BUCKETS = 80;
const HEIGHT = 56;
/** From the bottom up: what matters most stands on the base line, where it can be compared. */
const LEVELS = ["error", "warning", "info", "debug"];

export function LogHistogram({ search, until }) {
  const answer = useAnswer(["logs", "histogram"], { ...search, buckets: BUCKETS });
  const kept = useRef(null);
  if (answer.data) kept.current = answer.data;
  if (answer.error) return html`<${Missing} error=${answer.error} reload=${answer.reload} />`;
  if (!kept.current) return html`<div class="histogram-box bones" role="status" aria-label="Loading the histogram"></div>`;
  return html`<${Bars} found=${kept.current} search=${search} until=${until} isOld=${!answer.data} />`;
}

function Missing({ error, reload }) {
  if (error.status === 400) return null;
  return html`<div class="histogram-box row warn-text" role="status">No histogram: ${error.message}
    <button type="button" onClick=${reload}>Try again</button></div>`;
}

function Bars({ found, search, until, isOld }) {
  const utc = useUtc();
  const place = useRef(null);
  const [chosen, setChosen] = useState(null);
  const buckets = useMemo(() => filled(found, search, until), [found]);
  const zoom = () => {
    if (!chosen) return;
    const [first, last] = ordered(chosen);
    setChosen(null);
    navigate(searchAddress(bounds(buckets[first].start, buckets[last].end)));
  };
  if (!buckets.length) return html`<div class="histogram-box dim">No lines, so nothing to draw.</div>`;
  const words = spoken(buckets, chosen, utc);
  return html`<div class=${`histogram-box ${isOld ? "old" : ""}`}>
    <div
      ref=${place} class="histogram-field" tabindex="0" role="slider" aria-label="Lines over time"
      aria-valuemin="0" aria-valuemax=${buckets.length - 1} aria-valuenow=${chosen?.[1] ?? 0}
      aria-valuetext=${words} aria-describedby="histogram-keys"
      onKeyDown=${(event) => onKey(event, chosen, setChosen, buckets, zoom)}
      ...${dragging(place, buckets.length, chosen, setChosen, zoom)}
    ><${Drawing} buckets=${buckets} chosen=${chosen} /></div>
    <div class="axis"><time>${moment(buckets[0].start, { utc })}</time>
      <span aria-hidden="true">${chosen ? words : ""}</span>
      <time>${moment(buckets.at(-1).end, { utc })}</time></div>
    <span class="sr" id="histogram-keys">Arrow keys choose a step, with Shift a span; Enter zooms in,
      minus zooms out, Escape chooses nothing.</span>
    <${ZoomOut} buckets=${buckets} isZoomed=${Boolean(search.end_time)} />
  </div>`;
}

function ZoomOut({ buckets, isZoomed }) {
  if (!isZoomed) return null;
  return html`<button type="button" class="zoom-out" onClick=${() => zoomOut(buckets)}>Zoom out</button>`;
}

function zoomOut(buckets) {
  const [start, end] = [buckets[0].start, buckets.at(-1).end];
  navigate(searchAddress(bounds(start - (end - start), end + (end - start))));
}

function Drawing({ buckets, chosen }) {
  const most = Math.max(1, ...buckets.map((each) => each.total));
  const [first, last] = chosen ? ordered(chosen) : [0, -1];
  return html`<svg
    class="histogram" viewBox=${`0 0 ${buckets.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true"
  >
    ${buckets.map((each, index) => html`<${Bar} key=${index} bucket=${each} x=${index} most=${most} />`)}
    ${chosen &&
    html`<rect class="chosen" x=${first} y="0" width=${last - first + 1} height=${HEIGHT}></rect>`}
  </svg>`;
}

function Bar({ bucket, x, most }) {
  let y = HEIGHT;
  return LEVELS.filter((level) => bucket.counts[level]).map((level) => {
    // One line among a million is still seen.
    const height = Math.max(1, (bucket.counts[level] / most) * (HEIGHT - 2));
    y -= height;
    return html`<rect class=${`bar-${level}`} x=${x + 0.08} y=${y} width="0.84" height=${height}></rect>`;
  });
}

/**
 * Steps of one width from the search's start to its end. The API's are as fine as the lines it
 * found are close together, and those without lines are left out: here they are put together.
 */
function filled({ steps, step_s: step }, search, until) {
  const times = steps.map((each) => Date.parse(each.start));
  const first = search.start_time ? Date.parse(search.start_time) : times[0];
  if (first === undefined) return [];
  const newest = (times.at(-1) ?? first) + step * 1000;
  const last = search.end_time ? Date.parse(search.end_time) : Math.max(until, newest - 1);
  // A multiple of the API's width, counted from the same zero: no step of its is torn apart.
  const width = step * 1000 * Math.max(1, Math.ceil((last - first) / (step * 1000 * BUCKETS)));
  const base = Math.floor(first / width);
  const size = Math.max(1, Math.floor(last / width) - base + 1);
  const buckets = Array.from({ length: size }, (_, index) => {
    const start = (base + index) * width;
    return { start, end: start + width, counts: {}, total: 0 };
  });
  steps.forEach((each, index) => add(buckets[Math.floor(times[index] / width) - base], each));
  return buckets;
}

function add(bucket, { counts, total }) {
  bucket.total += total;
  for (const [level, lines] of Object.entries(counts)) {
    bucket.counts[level] = (bucket.counts[level] ?? 0) + lines;
  }
}

const ordered = ([a, b]) => [Math.min(a, b), Math.max(a, b)];

/** Both bounds of a search are inclusive: the end is just before the next step. */
const bounds = (start, end) => ({
  start_time: new Date(start).toISOString(),
  end_time: new Date(Math.min(end, Date.now() + 864e5) - 1).toISOString(),
  range: null,
});

function spoken(buckets, chosen, utc) {
  const [first, last] = chosen ? ordered(chosen) : [0, buckets.length - 1];
  const part = buckets.slice(first, last + 1);
  const sum = (of) => count(part.reduce((all, each) => all + (of(each) ?? 0), 0));
  const from = moment(buckets[first].start, { utc });
  const to = moment(buckets[last].end, { utc, date: false });
  return `${from} to ${to}: ${sum((each) => each.total)} lines, ${sum((each) => each.counts.error)} errors`;
}

/** Handlers of the pointer: a span from where it went down to where it is; released, it is zoomed. */
function dragging(place, size, chosen, setChosen, zoom) {
  const at = (event) => {
    const box = place.current.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return Math.max(0, Math.min(size - 1, Math.floor(part * size)));
  };
  return {
    onPointerDown: (event) => {
      if (event.button) return;
      place.current.setPointerCapture(event.pointerId);
      setChosen([at(event), at(event)]);
    },
    onPointerMove: (event) => {
      if (chosen && place.current.hasPointerCapture(event.pointerId)) setChosen([chosen[0], at(event)]);
    },
    onPointerUp: () => zoom(),
    onPointerCancel: () => setChosen(null),
  };
}

function onKey(event, chosen, setChosen, buckets, zoom) {
  const size = buckets.length;
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -size, End: size, PageUp: -10, PageDown: 10 }[event.key];
  if (step) {
    const here = chosen?.[1] ?? (step > 0 ? -1 : size);
    const next = Math.max(0, Math.min(size - 1, here + step));
    setChosen([event.shiftKey && chosen ? chosen[0] : next, next]);
  } else if (event.key === "Enter") zoom();
  else if (event.key === "-") zoomOut(buckets);
  else if (event.key === "Escape") setChosen(null);
  else return;
  event.preventDefault();
}
