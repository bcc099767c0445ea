// All of one line: its fields, its whole message, the stack trace, the metadata as a tree.

import { html, useMemo, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { withQuery } from "../router.js";
import { moment } from "./format.js";
import { JsonTree } from "./json_tree.js";
import { LogAround } from "./log_around.js";
import { freshAddress, searchAddress } from "./log_search.js";

const LONG = 20_000;
/** What was done to a line on its way in, as docs/logs.md names it. */
const MARKS = {
  timestamp_missing: "it had no time: this is when it arrived",
  timestamp_unreadable: "its time could not be read: this is when it arrived",
  timestamp_out_of_range: "its time was before 1970 or more than a day ahead",
  timestamp_assumed_utc: "its time had no offset and was taken as UTC",
  level_missing: "it had no level and counts as info",
  level_unknown: "its level is not known and counts as info",
  cut: "it was longer than is kept",
  repaired: "it held bytes that are no UTF-8",
};

export function LogDetails({ line, query }) {
  const { stack_trace: stack, ...rest } = line.metadata;
  const isAround = query.get("around") === "1";
  return html`<${Links} line=${line} isAround=${isAround} />
    ${isAround && html`<${LogAround} line=${line} />`}
    <${Fields} line=${line} />
    <${Text} text=${line.message} label="Message" />
    ${typeof stack === "string" && html`<${Text} text=${stack} label="Stack trace" />`}
    ${Object.keys(rest).length > 0 &&
    html`<section aria-label="Metadata"><h2>Metadata</h2><${JsonTree} value=${rest} /></section>`}
    ${line.original && html`<${Original} text=${line.original} />`}`;
}

function Links({ line, isAround }) {
  const request = line.request_id;
  return html`<div class="row">
    <a
      class="button" href=${withQuery({ around: isAround ? null : "1" })}
      aria-current=${isAround ? "true" : undefined}
    >Around this line</a>
    ${request && html`<a class="button" href=${freshAddress({ request_id: request }, "all")}>Same request id</a>`}
    <a class="button" href=${withQuery({ line: line.id, follow: null })}>Link to this line</a>
  </div>`;
}

function Fields({ line }) {
  const rows = [
    ["Local time", moment(line.timestamp, { utc: false, millis: true })],
    ["UTC", line.timestamp],
    ["Level", line.level_original ? `${line.level} (sent as ${line.level_original})` : line.level],
    ["Service", line.service, { service: line.service }],
    ["Request", line.request_id, { request_id: line.request_id }],
    ["User", line.user_id, { user_id: line.user_id }],
    ["Tenant", line.tenant_id, { tenant_id: line.tenant_id }],
  ].filter(([, value]) => value);
  return html`<dl class="kv">
    ${rows.map(
      ([name, value, filter]) => html`<dt>${name}</dt><dd class="mono">${
        filter
          ? html`<a href=${searchAddress(filter)} title="Only lines of this"><bdi>${value}</bdi></a>`
          : html`<bdi>${value}</bdi>`
      }</dd>`,
    )}
    ${line.marks.map((mark) => html`<dt>Note</dt><dd>${MARKS[mark] ?? mark}</dd>`)}
  </dl>`;
}

function Text({ text, label }) {
  const [isWhole, setWhole] = useState(false);
  const isCut = !isWhole && text.length > LONG;
  return html`<section aria-label=${label}><h2>${label}</h2>
    <pre class="said" tabindex="0" aria-label=${label}><bdi>${isCut ? text.slice(0, LONG) : text}</bdi></pre>
    ${isCut && html`<button type="button" onClick=${() => setWhole(true)}>${text.length - LONG} more characters</button>`}
  </section>`;
}

/** What arrived, where the fields do not say all of it. */
function Original({ text }) {
  const value = useMemo(() => parsed(text), [text]);
  if (value === undefined) return html`<${Text} text=${text} label="As it arrived" />`;
  return html`<section aria-label="As it arrived"><h2>As it arrived</h2><${JsonTree} value=${value} open=${1} /></section>`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
