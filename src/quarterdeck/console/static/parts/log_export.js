// Exports of the lines that a search finds: started, followed, downloaded, removed.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get, remove } from "../api.js";
import { useAnswer } from "../live.js";
import { Dialog, Doing } from "./dialog.js";
import { bytes, count } from "./format.js";
import { lineCount } from "./log_search.js";
import { Empty, Shown } from "./states.js";
import { Pill } from "./status.js";

const FORMATS = [
  ["csv", "CSV, for spreadsheets"],
  ["json", "JSON, one object a line"],
  ["txt", "Text, one line an entry"],
];
const SHOWN = 10;
const LOOK_MS = 1000;

export function LogExport({ search, total, onClose }) {
  const answer = useAnswer(["logs", "exports"], { limit: SHOWN }, { everyMs: LOOK_MS });
  return html`<${Dialog} title="Export" onClose=${onClose} wide>
    <${Start} search=${search} total=${total} onStarted=${answer.reload} />
    <h2>Your exports</h2>
    <${Shown} answer=${answer} what="exports" rows=${2}>
      ${({ exports }) =>
        exports.length
          ? html`<ul class="exports">${exports.map(
              (each) => html`<${Export} key=${each.export_id} item=${each} reload=${answer.reload} />`,
            )}</ul>`
          : html`<${Empty} title="None yet">They are written by the server, also while this page is closed.</${Empty}>`}
    </${Shown}>
    <div class="row end"><button type="button" onClick=${onClose}>Close</button></div>
  </${Dialog}>`;
}

function Start({ search, total, onStarted }) {
  const [format, setFormat] = useState("csv");
  const [isPacked, setPacked] = useState(false);
  const start = async () => {
    await get(["logs", "export"], { ...search, format, gzip: isPacked ? "true" : "" });
    onStarted();
  };
  return html`<div class="row">
    <select aria-label="Format" value=${format} onChange=${(event) => setFormat(event.target.value)}>
      ${FORMATS.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
    </select>
    <label class="check"><input
      type="checkbox" checked=${isPacked} onChange=${(event) => setPacked(event.target.checked)}
    /> gzip</label>
    <${Doing} primary label=${total === null ? "Export the lines found" : `Export ${lineCount(total)}`} act=${start} />
  </div>`;
}

const isRunning = (item) => item.status === "processing" || item.status === "pending";

const of = (total) => (total === null ? "" : ` of ${count(total)}`);

function Export({ item, reload }) {
  const discard = async () => {
    await remove(["logs", "export", item.export_id]);
    reload();
  };
  return html`<li>
    <div class="row"><${Pill} status=${item.status} />
      <span>${item.format}${item.gzip ? ", gzip" : ""}</span>
      <span class="dim">${count(item.rows)}${of(item.total)} lines, ${bytes(item.bytes)}</span>
      <span class="sp"></span>
      ${item.download_url && html`<a class="button" href=${item.download_url} download>Download</a>`}
      ${(isRunning(item) || item.download_url) &&
      html`<${Doing} label=${isRunning(item) ? "Cancel" : "Delete"} act=${discard} />`}
    </div>
    ${isRunning(item) &&
    html`<progress aria-label="Progress of the export" max="1" value=${item.progress ?? undefined}></progress>`}
    ${item.error && html`<p class="said bad-text">${item.error}</p>`}
  </li>`;
}
