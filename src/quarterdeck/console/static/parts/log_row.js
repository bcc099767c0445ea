// One line of the log in one row; opened, all of it.

import { html, useLayoutEffect, useRef } from "../vendor/htm-preact-3.1.1.mjs";
import { navigate, withQuery } from "../router.js";
import { Time, moment, useUtc } from "./format.js";
import { Pill } from "./status.js";

/** More is neither seen in a row nor worth its layout: a message may have a million characters. */
const SEEN = 400;

export function LogRow({ line, place, size, top, isOpen, details, onHeight }) {
  return html`<div
    class=${`line ${isOpen ? "open" : ""}`} role="listitem" style=${{ top: `${top}px` }}
    aria-posinset=${place + 1} aria-setsize=${size} data-place=${place}
  >
    ${line ? html`<${Top} line=${line} isOpen=${isOpen} />` : html`<div class="top"><span class="bone"></span></div>`}
    ${isOpen && line && html`<${More} line=${line} details=${details} onHeight=${onHeight} />`}
  </div>`;
}

function Top({ line, isOpen }) {
  const utc = useUtc();
  const toggle = () => navigate(withQuery({ line: isOpen ? null : line.id, around: null }), { replace: isOpen });
  return html`<button
    type="button" class="top" data-row aria-expanded=${isOpen ? "true" : "false"} onClick=${toggle}
    ><span class="mono dim"><span class="day">${moment(line.timestamp, { utc }).slice(0, 11)}</span
      ><${Time} value=${line.timestamp} date=${false} millis /></span
    ><${Pill} status=${line.level} /><span class="svc"><bdi>${line.service}</bdi></span
    ><span class="mono message"><bdi>${seen(line.message)}</bdi></span
  ></button>`;
}

/** The start of a message as one row: line breaks would be lost in it. */
const seen = (message) => message.slice(0, SEEN).replace(/\s*\n\s*/g, " ⏎ ");

/** Tells its height, for the rows below to make room. */
function More({ line, details, onHeight }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const resized = new ResizeObserver(() => onHeight(element.current.offsetHeight));
    resized.observe(element.current);
    onHeight(element.current.offsetHeight);
    return () => {
      resized.disconnect();
      onHeight(0);
    };
  }, []);
  return html`<div class="more" ref=${element}>${details(line)}</div>`;
}
