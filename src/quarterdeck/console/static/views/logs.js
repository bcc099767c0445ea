// Logs: searched, counted, followed, exported. All of what is shown is in the address.

import { html, useCallback, useEffect, useMemo, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get } from "../api.js";
import { useAnswer } from "../live.js";
import { navigate, withQuery } from "../router.js";
import { count, ms } from "../parts/format.js";
import { LogDetails } from "../parts/log_details.js";
import { LogExport } from "../parts/log_export.js";
import { LogFacets } from "../parts/log_facets.js";
import { useFollow } from "../parts/log_follow.js";
import { LogHistogram } from "../parts/log_histogram.js";
import { useLines } from "../parts/log_lines.js";
import { LogRows, MOST_ROWS } from "../parts/log_rows.js";
import { given, lineCount, rangeOf, wanted, withoutTimes } from "../parts/log_search.js";
import { LogSearchBar } from "../parts/log_search_bar.js";
import { styled } from "../parts/log_style.js";
import { SavedSearches } from "../parts/saved_searches.js";
import { Empty, Failed, Loading } from "../parts/states.js";

// The view is drawn once its style is there.
await styled;

export default function Logs({ query, may }) {
  const asked = JSON.stringify([given(query), rangeOf(query)]);
  const [turn, setTurn] = useState(0);
  // A moment for all questions of one search: they speak of the same span.
  const now = useMemo(() => Date.now(), [asked, turn]);
  const search = useMemo(() => wanted(query, now), [asked, now]);
  const isFollowing = query.get("follow") === "1";
  const lines = useLines(isFollowing ? null : search);
  const following = useFollow(isFollowing ? withoutTimes(given(query)) : null);
  const again = () => setTurn((old) => old + 1);
  const error = following ? following.feed.error : lines.error;
  const close = () => navigate(withQuery({ panel: null }));
  const panel = query.get("panel");
  return html`<${Head} lines=${lines} following=${following} onAgain=${again} />
    <div class="card">
      <${LogSearchBar} query=${query} error=${error} onAgain=${again} />
      ${!isFollowing && html`<${LogHistogram} search=${search} until=${now} />`}
      <${LogFacets} search=${isFollowing ? withoutTimes(search) : search} query=${query} />
      ${following
        ? html`<${Followed} following=${following} query=${query} />`
        : html`<${Found} key=${asked + turn} lines=${lines} query=${query} />`}
    </div>
    ${panel === "saved" && html`<${SavedSearches} query=${query} may=${may} onClose=${close} />`}
    ${panel === "export" && html`<${LogExport} search=${search} total=${lines?.total ?? null} onClose=${close} />`}`;
}

const WORDS = { connecting: "connecting…", live: "live", waiting: "connecting again…", ended: "ended" };

function Head({ lines, following, onAgain }) {
  const isFollowing = following !== null;
  const told = isFollowing
    ? `${WORDS[following.feed.state]} · ${lineCount(following.feed.received)} came in`
    : lines.total !== null && `${lineCount(lines.total)} match · ${ms(Math.round(lines.tookMs))}`;
  return html`<header class="head"><h1>Logs</h1>
    <small role="status" class=${isFollowing ? `fresh ${following.feed.state}` : ""}>${told}</small>
    <span class="sp"></span>
    <div class="row"><button
      type="button" aria-pressed=${isFollowing ? "true" : "false"}
      onClick=${() => navigate(withQuery({ follow: isFollowing ? null : "1", line: null, around: null }))}
    >Follow</button>
    ${!isFollowing && html`<button type="button" onClick=${onAgain}>Refresh</button>`}
    <button type="button" onClick=${() => navigate(withQuery({ panel: "saved" }))}>Saved…</button>
    <button type="button" onClick=${() => navigate(withQuery({ panel: "export" }))}>Export…</button></div>
  </header>`;
}

function Found({ lines, query }) {
  const id = query.get("line");
  const place = usePlace(lines, id);
  const at = useCallback((index) => lines.at(index), [lines]);
  const want = useCallback((first, last) => lines.want(first, last), [lines]);
  const details = (line) => html`<${LogDetails} line=${line} query=${query} />`;
  if (lines.total === null) {
    // A wrong expression is told of below its field.
    if (lines.error?.details.some((each) => each.field === "query")) return null;
    return lines.error
      ? html`<div class="pad"><${Failed} error=${lines.error} retry=${() => lines.retry()} /></div>`
      : html`<${Loading} what="lines" rows=${12} />`;
  }
  return html`${lines.error && html`<${Partial} lines=${lines} />`}
    ${id && place === null && html`<${Apart} id=${id} query=${query} />`}
    ${lines.total > MOST_ROWS &&
    html`<p class="stale">The newest ${count(MOST_ROWS)} lines can be scrolled. Choose a shorter span to see the others.</p>`}
    ${lines.total > 0
      ? html`<${LogRows}
          label="Lines found" total=${lines.total} at=${at} want=${want} details=${details}
          open=${id && place !== undefined ? { id, place } : null}
        />`
      : html`<${Nothing} query=${query} />`}`;
}

function Partial({ lines }) {
  return html`<div class="stale row" role="status">Some lines could not be fetched: ${lines.error.message}
    <button type="button" onClick=${() => lines.retry()}>Try again</button></div>`;
}

function Nothing({ query }) {
  const isAll = rangeOf(query) === "all";
  return html`<${Empty} title="No line fits">
    ${isAll ? "Nothing that is kept has this." : html`Nothing in this span. <a
      href=${withQuery({ range: "all", start_time: null, end_time: null })}>Look in all that is kept</a>.`}
  </${Empty}>`;
}

/** Where the opened line is in the list: undefined while it is looked for, null if it is not there. */
function usePlace(lines, id) {
  const [found, setFound] = useState({ id: null, place: undefined });
  const isReady = lines.total !== null;
  useEffect(() => {
    if (!id || !isReady) return undefined;
    let isOver = false;
    const tell = (place) => isOver || setFound({ id, place });
    get(["logs", id]).then((line) => lines.find(line)).then(tell, () => tell(null));
    return () => {
      isOver = true;
    };
  }, [lines, id, isReady]);
  return found.id === id ? found.place : undefined;
}

/** The line of the address where the list does not have it: of another span, or filtered out. */
function Apart({ id, query }) {
  const answer = useAnswer(["logs", id]);
  return html`<section class="apart pad" aria-label="The opened line">
    <div class="row"><strong>This line is not among those found below.</strong><span class="sp"></span>
      <a class="button" href=${withQuery({ line: null, around: null })}>Close</a></div>
    ${answer.error && html`<${Failed} error=${answer.error} retry=${answer.reload} />`}
    ${answer.data && html`<${LogDetails} line=${answer.data} query=${query} />`}
  </section>`;
}

const nothing = () => undefined;

function Followed({ following, query }) {
  const { feed, reopen } = following;
  const id = query.get("line");
  const place = id ? feed.lines.findIndex((each) => each.id === id) : -1;
  const at = useCallback((index) => feed.lines[index] ?? null, [feed]);
  return html`${feed.error && !feed.error.details.some((each) => each.field === "query") &&
    html`<div class="pad"><${Failed} error=${feed.error} retry=${reopen} /></div>`}
    ${id && place < 0 && feed.lines.length > 0 && html`<${Apart} id=${id} query=${query} />`}
    ${feed.lines.length
      ? html`<${LogRows}
          label="Lines as they come in" total=${feed.lines.length} at=${at} want=${nothing} grown=${feed.received}
          details=${(line) => html`<${LogDetails} line=${line} query=${query} />`}
          open=${place >= 0 ? { id, place } : null}
        />`
      : html`<${Empty} title="Waiting for lines">Every line that fits appears here as it is stored.</${Empty}>`}`;
}
