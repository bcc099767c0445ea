// Which span of time is searched: back from now, or between two moments.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { navigate } from "../router.js";
import { moment, useUtc } from "./format.js";
import { RANGES, USUAL_RANGE, rangeOf, searchAddress } from "./log_search.js";

const OWN = "own";

export function LogTime({ query }) {
  const range = rangeOf(query);
  const [isEditing, setEditing] = useState(false);
  const choose = (event) => {
    const value = event.target.value;
    setEditing(value === OWN);
    if (value === OWN) return;
    const kept = value === USUAL_RANGE ? null : value;
    navigate(searchAddress({ range: kept, start_time: null, end_time: null }));
  };
  const isOwn = range === null || isEditing;
  return html`<select aria-label="Span of time" value=${isOwn ? OWN : range} onChange=${choose}>
      ${RANGES.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
      <option value=${OWN}>Between two times…</option>
    </select>
    ${isOwn && html`<${Between} query=${query} onDone=${() => setEditing(false)} />`}`;
}

function Between({ query, onDone }) {
  const utc = useUtc();
  const set = (name) => (event) => {
    const text = event.target.value;
    const value = text ? new Date(`${text}${utc ? "Z" : ""}`).toISOString() : null;
    onDone();
    navigate(searchAddress({ [name]: value, range: null }));
  };
  const zone = utc ? "UTC" : "local time";
  return html`<span class="between">
    <${Moment} name="start_time" label=${`From (${zone})`} query=${query} utc=${utc} onSet=${set} />
    <span aria-hidden="true">–</span>
    <${Moment} name="end_time" label=${`Until (${zone})`} query=${query} utc=${utc} onSet=${set} />
  </span>`;
}

function Moment({ name, label, query, utc, onSet }) {
  const given = query.get(name);
  const isReadable = given && !Number.isNaN(Date.parse(given));
  return html`<input
    class="field" type="datetime-local" step="1" aria-label=${label} title=${label}
    value=${isReadable ? moment(given, { utc }).replace(" ", "T") : ""} onChange=${onSet(name)}
  />`;
}
