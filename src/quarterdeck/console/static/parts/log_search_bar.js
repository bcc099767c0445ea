// The search field: the query language, its help, and where an expression is wrong.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { navigate, withQuery } from "../router.js";
import { searchAddress } from "./log_search.js";
import { LogTime } from "./log_time.js";

const EXAMPLES = [
  ["timeout", "lines whose message has this word, in any case"],
  ["smtp timeout", "with both words"],
  ['"connection refused"', "with exactly this text"],
  ["level:error service:smtp", "of this level and this service"],
  ["timeout -retry", "with the first word, without the second"],
  ["bounce OR complaint", "with at least one of them"],
  ["time*", "with a word that begins so"],
  ["/refused|reset by peer/i", "that a regular expression (RE2) finds"],
  ["http.status:>=500", "with a number in the metadata"],
  ["user_id:*", "that have a user"],
  ["service:(smtp OR api) -level:debug", "groups, and their opposite"],
];

/** `error` is the API's refusal of the expression, if it is one. */
export function LogSearchBar({ query, error, onAgain }) {
  const field = useRef(null);
  const text = query.get("query") ?? "";
  const isHelping = query.get("panel") === "syntax";
  const wrong = error?.details.find((each) => each.field === "query") ?? null;
  const submit = (event) => {
    event.preventDefault();
    const to = searchAddress({ query: field.current.value.trim() });
    // The same search again looks at what has come in since.
    if (to === location.pathname + location.search) onAgain();
    else navigate(to);
  };
  return html`<form class="search" role="search" onSubmit=${submit}>
      <${Field} text=${text} field=${field} isWrong=${wrong !== null} />
      <button type="submit" class="p">Search</button>
      ${query.get("follow") !== "1" && html`<${LogTime} query=${query} />`}
      <button
        type="button" aria-expanded=${isHelping ? "true" : "false"} aria-controls="log-syntax"
        onClick=${() => navigate(withQuery({ panel: isHelping ? null : "syntax" }))}
      >Syntax</button>
    </form>
    ${wrong && html`<${Wrong} message=${wrong.message} field=${field} />`}
    ${isHelping && html`<${Syntax} />`}`;
}

function Field({ text, field, isWrong }) {
  const [value, setValue] = useState(text);
  useEffect(() => setValue(text), [text]);
  return html`<input
    ref=${field} class="field" type="search" data-search aria-label="Search the logs"
    spellcheck="false" autocapitalize="none" autocomplete="off" maxlength="4096"
    placeholder=${'level:error "connection timeout" -service:web  /'} value=${value}
    aria-invalid=${isWrong ? "true" : undefined} aria-describedby=${isWrong ? "log-wrong" : undefined}
    onInput=${(event) => setValue(event.target.value)}
  />`;
}

/** What is wrong and where; the API draws a caret below the place. */
function Wrong({ message, field }) {
  const [said, ...drawing] = message.split("\n");
  const position = Number(/^at character (\d+)/.exec(said)?.[1] ?? 0);
  const show = () => {
    const at = codeUnits(field.current.value, position - 1);
    field.current.focus();
    field.current.setSelectionRange(at, at + 1);
  };
  return html`<div class="wrong" id="log-wrong" role="alert">
    <div class="row"><strong>${said}</strong>
      ${position > 0 && html`<button type="button" onClick=${show}>Show the place</button>`}</div>
    ${drawing.length > 0 && html`<pre>${drawing.join("\n")}</pre>`}
  </div>`;
}

/** The API counts characters, the browser code units: an emoji is two of them. */
const codeUnits = (text, characters) => [...text].slice(0, characters).join("").length;

function Syntax() {
  return html`<div class="syntax" id="log-syntax">
    <dl class="kv">${EXAMPLES.map(
      ([example, what]) => html`<dt><a class="mono" href=${searchAddress({ query: example })}
        >${example}</a></dt><dd>finds lines ${what.replace(/^lines /, "")}</dd>`,
    )}</dl>
    <p class="dim">NOT or - binds tighter than AND, AND tighter than OR; the three are written in capitals.
      Fields: timestamp, level, service, message, request_id, user_id, tenant_id; any other name is a key
      of the metadata.</p>
  </div>`;
}
