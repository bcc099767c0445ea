// Pages of a list, by links: the page is in the address.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { withQuery } from "../router.js";
import { count } from "./format.js";

export const PAGE = 50;

export const offsetOf = (query) => Math.max(0, Number.parseInt(query.get("offset") ?? "0", 10) || 0);

export function Pager({ pagination }) {
  const { total, limit, offset } = pagination;
  const last = Math.min(offset + limit, total);
  const isMore = pagination.total_kind === "capped";
  if (offset === 0 && last === total && !isMore) return null;
  return html`<nav class="pager" aria-label="Pages">
    <span>${count(Math.min(offset + 1, total))}–${count(last)} of ${isMore ? "more than " : ""}${count(total)}</span>
    <${Step} to=${offset - limit} isThere=${offset > 0} label="Newer" />
    <${Step} to=${offset + limit} isThere=${last < total} label="Older" />
  </nav>`;
}

function Step({ to, isThere, label }) {
  if (!isThere) return html`<button type="button" disabled>${label}</button>`;
  return html`<a class="button" href=${withQuery({ offset: to > 0 ? to : null })}>${label}</a>`;
}
