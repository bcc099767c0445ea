// What the same service said before and after a line, and what else its request said.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { withQuery } from "../router.js";
import { Time } from "./format.js";
import { Shown } from "./states.js";
import { Pill } from "./status.js";

const SEEN = 300;

export function LogAround({ line }) {
  const answer = useAnswer(["logs", line.id, "context"], { before: 10, after: 10 });
  return html`<section aria-label="Around this line"><h2>Around this line</h2>
    <${Shown} answer=${answer} what="the lines around" rows=${6}>
      ${({ log, before, after, same_request: same }) => html`
        <p class="dim">The 10 lines of ${line.service || "its service"} on either side, oldest first.</p>
        <${Neighbours} lines=${[...before, log, ...after]} here=${log.id} />
        ${same.length > 1 &&
        html`<h2>Same request</h2><${Neighbours} lines=${same} here=${log.id} isOfMany />`}`}
    </${Shown}>
  </section>`;
}

function Neighbours({ lines, here, isOfMany = false }) {
  return html`<ol class="neighbours">
    ${lines.map(
      (each) => html`<li key=${each.id} class=${each.id === here ? "here" : ""}>
        <span class="mono dim"><${Time} value=${each.timestamp} millis /></span> <${Pill} status=${each.level} />
        ${isOfMany && html`<span><bdi>${each.service}</bdi></span>`}
        ${each.id === here
          ? html`<span class="mono clip"><bdi>${each.message.slice(0, SEEN)}</bdi></span>`
          : html`<a class="mono clip" href=${withQuery({ line: each.id, around: null })}
              ><bdi>${each.message.slice(0, SEEN)}</bdi></a>`}
      </li>`,
    )}
  </ol>`;
}
