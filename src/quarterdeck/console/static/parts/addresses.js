// Sending addresses with their standing.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { post } from "../api.js";
import { useAnswer } from "../live.js";
import { viewAddress } from "../router.js";
import { Cards, Cell, Row } from "./cards.js";
import { Dialog } from "./dialog.js";
import { Ago, Num } from "./format.js";
import { tell } from "./notices.js";
import { Spark } from "./spark.js";
import { Empty, Shown } from "./states.js";
import { Pill, rank } from "./status.js";

export function Addresses({ may }) {
  const answer = useAnswer(["infrastructure", "ip-reputation"], {}, { everyMs: 15000 });
  const [isAdding, setAdding] = useState(false);
  if (answer.error?.status === 404) {
    return html`<${Empty} title="No reputation here">This server does not watch sending addresses.</${Empty}>`;
  }
  return html`${may("administer") &&
    html`<div class="row end"><button type="button" onClick=${() => setAdding(true)}>Add an address…</button></div>`}
    ${isAdding && html`<${Adding} onClose=${() => setAdding(false)} onDone=${answer.reload} />`}
    <${Shown} answer=${answer} what="addresses">
      ${({ ips }) =>
        ips.length
          ? html`<${Table} ips=${ips} />`
          : html`<${Empty} title="No addresses are watched">Add those that you send from.</${Empty}>`}
    </${Shown}>`;
}

function Table({ ips }) {
  const worstFirst = [...ips].sort(
    (a, b) => rank(a.status) - rank(b.status) || a.reputation_score - b.reputation_score,
  );
  const heads = ["Address", "Provider", "Status", ["Score", "n"], "Blacklists", ["A day", "n"], ["Checked", "wide-only"]];
  return html`<div class="card scroll"><${Cards} heads=${heads}>${worstFirst.map(
    (each) => html`<${Row} key=${each.ip_address}>
      <${Cell} class="mono named"><a
        data-row href=${viewAddress(["dashboard", "system", "infrastructure", "ips", each.ip_address])}
      >${each.ip_address}</a></${Cell}>
      <${Cell}>${each.provider}${each.pool ? html` <span class="dim">${each.pool}</span>` : ""}</${Cell}>
      <${Cell}><${Pill} status=${each.status} /></${Cell}>
      <${Cell} class="n" data-label="points"><${Score} ip=${each} /></${Cell}>
      <${Cell} class="wide">${
        each.blacklists.length ? html`<span class="bad-text">${each.blacklists.join(", ")}</span>` : html`<${NoLists} ip=${each} />`
      }</${Cell}>
      <${Cell} class="n" data-label="a day"><${Num} value=${each.daily_volume} why="no mail events have come for it" /></${Cell}>
      <${Cell} class="dim wide-only"><${Ago} value=${each.checked_at} why="not checked yet" /></${Cell}>
    </${Row}>`,
  )}</${Cards}></div>`;
}

/** "None" is said only when lists have answered. */
function NoLists({ ip }) {
  if (!ip.checked_at) return html`<${Num} value=${null} why="not checked yet" />`;
  const { checked, unknown } = ip.coverage;
  return html`<span class="dim">none of ${checked}${unknown ? `, ${unknown} did not answer` : ""}</span>`;
}

export function Score({ ip }) {
  if (!ip.checked_at) return html`<${Num} value=${null} why="not checked yet" />`;
  const sure = ip.confidence === "high" ? "" : ` (confidence ${ip.confidence})`;
  return html`<span title=${`${ip.reputation_score} of 100${sure}`}
    >${ip.confidence === "high" ? "" : "≈ "}${ip.reputation_score}</span>`;
}

/** The score over the last week. */
export function ScoreSpark({ ip }) {
  const where = ["infrastructure", "ip-reputation", ip.ip_address, "history"];
  const { data } = useAnswer(where, { days: 7 }, { everyMs: 60000 });
  const scores = data?.scores.map((each) => each.reputation_score);
  return html`<span class="spark-place">
    ${scores && html`<${Spark} values=${scores} label="Score, last 7 days" status=${ip.status} />`}
  </span>`;
}

function Adding({ onClose, onDone }) {
  const [given, setGiven] = useState({ ip_address: "", provider: "", pool: "", helo: "" });
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post(["infrastructure", "ip-reputation"], {}, given);
      tell(`${given.ip_address} is watched from now on.`);
      onDone();
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  const field = (name, label, hint, required = false) => html`<div class="stack-s">
    <label for=${name}>${label}</label>
    <input id=${name} class="field" required=${required} placeholder=${hint} value=${given[name]}
      onInput=${(event) => setGiven({ ...given, [name]: event.target.value })} />
  </div>`;
  return html`<${Dialog} title="Add a sending address" onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      ${field("ip_address", "Address", "203.0.113.12", true)}
      ${field("provider", "Provider", "left empty: found out")}
      ${field("pool", "Pool", "transactional")}
      ${field("helo", "Name in HELO", "mta1.example.com")}
      ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
      <div class="row end"><button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="p">Add</button></div>
    </form>
  </${Dialog}>`;
}
