// Searches that were saved for everybody: load one, save this one, delete one.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { post, remove } from "../api.js";
import { useAnswer } from "../live.js";
import { Asking, Dialog } from "./dialog.js";
import { freshAddress, given } from "./log_search.js";
import { tell } from "./notices.js";
import { Empty, Shown } from "./states.js";

const MOST = 100;
const NOTHING = "Nothing is searched for: give a query or a filter first.";

export function SavedSearches({ query, may, onClose }) {
  const answer = useAnswer(["logs", "searches"], { limit: MOST });
  const mayChange = may("change");
  return html`<${Dialog} title="Saved searches" onClose=${onClose} wide>
    ${mayChange && html`<${Save} filters=${given(query)} onSaved=${answer.reload} />`}
    <${Shown} answer=${answer} what="saved searches">
      ${({ searches, pagination }) =>
        searches.length
          ? html`<ul class="saved">${searches.map(
                (each) => html`<${Saved} key=${each.id} search=${each} mayChange=${mayChange} reload=${answer.reload} />`,
              )}</ul>
              ${pagination.total > searches.length &&
              html`<p class="dim">The first ${MOST} by name; ${pagination.total} in all.</p>`}`
          : html`<${Empty} title="None yet">A saved search is there for everybody, under its name.</${Empty}>`}
    </${Shown}>
    <div class="row end"><button type="button" onClick=${onClose}>Close</button></div>
  </${Dialog}>`;
}

function Save({ filters, onSaved }) {
  const [name, setName] = useState("");
  const [error, setError] = useState(null);
  const isEmpty = Object.keys(filters).length === 0;
  const save = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      await post(["logs", "searches"], {}, { name: name.trim(), filter: filters });
      tell(`'${name.trim()}' is saved.`);
      setName("");
      onSaved();
    } catch (failure) {
      setError(failure);
    }
  };
  return html`<form class="stack-s" onSubmit=${save}>
    <label for="search-name">Save this search as</label>
    <div class="row"><input
      id="search-name" class="field" required maxlength="100" value=${name}
      aria-describedby="search-what" onInput=${(event) => setName(event.target.value)}
    /><button type="submit" class="p" disabled=${isEmpty}>Save</button></div>
    <p class="dim clip" id="search-what"><bdi>${isEmpty ? NOTHING : described(filters)}</bdi></p>
    ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
  </form>`;
}

function Saved({ search, mayChange, reload }) {
  const filters = Object.fromEntries(Object.entries(search.filter).filter(([, value]) => value !== null));
  return html`<li>
    <a href=${freshAddress(filters)}><bdi>${search.name}</bdi></a>
    <span class="dim mono clip"><bdi>${described(filters)}</bdi></span>
    ${mayChange &&
    html`<${Asking}
      label="Delete…" danger verb="Delete it" title=${`Delete the saved search '${search.name}'?`}
      act=${async () => {
        await remove(["logs", "searches", search.id]);
        reload();
      }}
    ><p><strong>It is gone for everybody.</strong> No log line is touched.</p></${Asking}>`}
  </li>`;
}

const described = (filters) =>
  Object.entries(filters)
    .map(([name, value]) => (name === "query" ? value : `${name}=${value}`))
    .join("  ");
