// A list of any length of which only what is seen is drawn. One row may be open, of any height.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { LogRow } from "./log_row.js";

const ROW = 28;
const MARGIN = 12;
/** Browsers stop at about 33 million pixels. */
export const MOST_ROWS = 1_000_000;

/**
 * @param {{total: number, at: (place: number) => object | null, want: (first: number, last: number)
 *   => void, open: {id: string, place: number | null} | null, details: (line: object) => any, grown: number}} given
 *   `grown`: how many lines were put in front since the list began, so that what is read stays put
 */
export function LogRows({ total, at, want, open, details, grown = 0, label }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [openHeight, setOpenHeight] = useState(0);
  const goal = useRef(null);
  const focus = useHeldFocus(grown);
  const size = Math.min(total, MOST_ROWS);
  const openPlace = open?.place ?? null;
  const extra = openPlace === null ? 0 : openHeight;
  const geometry = { openPlace, extra };
  const [first, last] = windowOf(view, size, geometry);
  useEffect(() => want(first, last), [want, first, last]);
  useView(box, setView);
  useStay(box, grown);
  useScrollTo(box, openPlace, open?.id);
  useLayoutEffect(() => reach(box.current, goal));
  const drawn = places(first, last, [openPlace, focus.place], size);
  return html`<div
    class="lines" ref=${box} role="list" aria-label=${label} tabindex="-1"
    onScroll=${() => setView(viewOf(box.current))}
    onfocusin=${focus.onFocusIn} onfocusout=${focus.onFocusOut}
    onKeyDown=${(event) => onKey(event, box.current, size, geometry, goal)}
  >
    <div style=${{ height: `${size * ROW + extra}px` }}></div>
    ${drawn.map((place) => {
      const line = at(place);
      return html`<${LogRow}
        key=${line?.id ?? place} line=${line} place=${place} size=${size} top=${topOf(place, geometry)}
        isOpen=${place === openPlace} details=${details} onHeight=${setOpenHeight}
      />`;
    })}
  </div>`;
}

const topOf = (place, { openPlace, extra }) =>
  place * ROW + (openPlace !== null && place > openPlace ? extra : 0);

function windowOf({ top, height }, size, { openPlace, extra }) {
  // Pixels of the open row's details count for no rows.
  const below = openPlace === null ? 0 : Math.min(extra, Math.max(0, top - (openPlace + 1) * ROW));
  const first = Math.floor((top - below) / ROW) - MARGIN;
  return [Math.max(0, first), Math.min(size - 1, first + Math.ceil(height / ROW) + 2 * MARGIN)];
}

/** Besides what is seen: the open row keeps its state, and the focus is not lost by scrolling. */
function places(first, last, others, size) {
  const found = new Set(others.filter((each) => each !== null && each < size));
  for (let place = first; place <= last; place += 1) found.add(place);
  return [...found].sort((a, b) => a - b);
}

const viewOf = (element) => ({ top: element.scrollTop, height: element.clientHeight });

function useView(box, setView) {
  useLayoutEffect(() => {
    const resized = new ResizeObserver(() => setView(viewOf(box.current)));
    resized.observe(box.current);
    return () => resized.disconnect();
  }, []);
}

/** Lines that come in at the top do not move what is read further down. */
function useStay(box, grown) {
  const before = useRef(grown);
  useLayoutEffect(() => {
    const element = box.current;
    if (element.scrollTop > 0) element.scrollTop += (grown - before.current) * ROW;
    before.current = grown;
  }, [grown]);
}

/** What was opened by an address is brought into sight; what is in sight already stays. */
function useScrollTo(box, place, id) {
  useLayoutEffect(() => {
    if (place === null) return;
    const element = box.current;
    const top = place * ROW;
    const isSeen = top >= element.scrollTop && top < element.scrollTop + element.clientHeight - ROW;
    if (!isSeen) element.scrollTop = Math.max(0, top - 3 * ROW);
  }, [id, place === null]);
}

/**
 * The focus stays on its row when rows before it come and go: the browser takes it from an element
 * that is moved in the document, and one that is not drawn could not keep it.
 */
function useHeldFocus(grown) {
  const element = useRef(null);
  const isDrawing = useRef(false);
  const [at, setAt] = useState(null);
  isDrawing.current = true;
  useLayoutEffect(() => {
    isDrawing.current = false;
    const held = element.current;
    if (held?.isConnected && held !== document.activeElement) held.focus({ preventScroll: true });
  });
  return {
    place: at && at.place + grown - at.grown,
    onFocusIn: (event) => {
      element.current = event.target;
      const place = placeOf(event.target);
      setAt(place === null ? null : { place, grown });
    },
    onFocusOut: () => {
      if (isDrawing.current) return;
      element.current = null;
      setAt(null);
    },
  };
}

function placeOf(element) {
  const row = element.closest("[data-place]");
  return row ? Number(row.dataset.place) : null;
}

function onKey(event, box, size, geometry, goal) {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -size, End: size }[event.key];
  if (!step || !event.target.matches("[data-row]")) return;
  event.preventDefault();
  const next = Math.max(0, Math.min(size - 1, placeOf(event.target) + step));
  const top = topOf(next, geometry);
  if (top < box.scrollTop) box.scrollTop = top;
  if (top > box.scrollTop + box.clientHeight - 2 * ROW) box.scrollTop = top - box.clientHeight + 2 * ROW;
  goal.current = next;
  reach(box, goal);
}

/** Put the focus where the keys led it, once that row is drawn and its line has come. */
function reach(box, goal) {
  if (goal.current === null) return;
  const row = box.querySelector(`[data-place="${goal.current}"] [data-row]`);
  if (!row) return;
  goal.current = null;
  row.focus({ preventScroll: true });
}
