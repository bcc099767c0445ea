// Filters with counts: how many lines each level and service has in this search.

import { html, useRef } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { navigate } from "../router.js";
import { count } from "./format.js";
import { FILTERS, given, searchAddress } from "./log_search.js";

const LEVELS = ["error", "warning", "info", "debug"];
const SERVICES = 8;
/** Shown as buttons or fields of their own; every other filter is a chip that can be taken out. */
const SHOWN_ELSEWHERE = ["query", "level", "min_level", "service", "start_time", "end_time"];

export function LogFacets({ search, query }) {
  return html`<div class="facets">
    <${Levels} search=${search} query=${query} />
    <${Services} search=${search} query=${query} />
    <${Chips} query=${query} />
  </div>`;
}

function Levels({ search, query }) {
  const { level: _level, min_level: _least, ...rest } = search;
  const { counts, error, reload } = useFacet(rest, "level");
  const level = query.get("level");
  const least = query.get("min_level");
  const set = (name, value) =>
    navigate(searchAddress({ level: null, min_level: null, [name]: query.get(name) === value ? null : value }));
  return html`<div class="group" role="group" aria-label="Level">
    ${LEVELS.map(
      (each) => html`<${Choice}
        key=${each} text=${each} isOn=${level === each} onClick=${() => set("level", each)}
        number=${counts && (counts.get(each) ?? 0)}
      />`,
    )}
    <${Choice}
      text=${`${least ?? "warning"} and above`} isOn=${least !== null}
      onClick=${() => set("min_level", least ?? "warning")}
    />
    <${Missing} error=${error} reload=${reload} />
  </div>`;
}

function Services({ search, query }) {
  const { service: _service, ...rest } = search;
  const { counts, isExact, error, reload } = useFacet(rest, "service");
  const chosen = query.get("service");
  const names = [...(counts?.keys() ?? [])].slice(0, SERVICES);
  if (chosen && !names.includes(chosen)) names.unshift(chosen);
  return html`<div class="group" role="group" aria-label="Service">
    ${names.map(
      (each) => html`<${Choice}
        key=${each} text=${each || "(no service)"} isOn=${chosen === each} isExact=${isExact}
        onClick=${() => navigate(searchAddress({ service: chosen === each ? null : each }))}
        number=${counts?.get(each) ?? null}
      />`,
    )}
    <${Missing} error=${error} reload=${reload} />
  </div>`;
}

function Choice({ text, number = null, isOn, isExact = true, onClick }) {
  return html`<button type="button" aria-pressed=${isOn ? "true" : "false"} onClick=${onClick}
    ><bdi>${text}</bdi>${" "}${
      number !== null &&
      html`<span title=${isExact ? undefined : "estimated"}>${isExact ? "" : "≈"}${count(number)}</span>`
    }</button
  >`;
}

/** Part of the page failed; the rest is good. */
function Missing({ error, reload }) {
  if (!error || error.status === 400) return null;
  return html`<span class="row warn-text" role="status">counts are missing: ${error.message}
    <button type="button" onClick=${reload}>Try again</button></span>`;
}

function Chips({ query }) {
  const names = FILTERS.filter((name) => !SHOWN_ELSEWHERE.includes(name) && name in given(query));
  return names.map(
    (name) => html`<button
      key=${name} type="button" aria-pressed="true" title="Take this filter out"
      onClick=${() => navigate(searchAddress({ [name]: null }))}
    >${name}: <bdi>${query.get(name)}</bdi> ✕</button>`,
  );
}

/** Counts by value; while new ones are asked for, the old ones stay so that nothing jumps. */
function useFacet(search, field) {
  const answer = useAnswer(["logs", "facets"], { ...search, field, limit: 20 });
  const kept = useRef(null);
  if (answer.data) kept.current = answer.data;
  const values = answer.error ? null : kept.current?.values;
  return {
    counts: values ? new Map(values.map((each) => [each.value, each.count])) : null,
    isExact: kept.current?.exact ?? true,
    error: answer.error,
    reload: answer.reload,
  };
}
