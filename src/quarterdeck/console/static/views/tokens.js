// Tokens: who may come in, as what, until when. For administrators.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { post, remove } from "../api.js";
import { useAnswer } from "../live.js";
import { Cards, Cell, Row } from "../parts/cards.js";
import { Asking, Dialog } from "../parts/dialog.js";
import { Ago, Time } from "../parts/format.js";
import { tell } from "../parts/notices.js";
import { PAGE, Pager, offsetOf } from "../parts/pager.js";
import { Empty, Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";

const ROLES = [
  ["viewer", "viewer: reads everything but the audit trail"],
  ["ops", "ops: also pauses, retries, deletes, acknowledges"],
  ["ingest", "ingest: only sends logs, metrics and mail events"],
  ["admin", "admin: everything, and tokens"],
];
const SPANS = [
  ["7", "7 days"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "1 year"],
  ["", "until it is revoked"],
];
const TONES = { valid: "good", expired: "unk", revoked: "bad" };

export default function Tokens({ query }) {
  const answer = useAnswer(["tokens"], { limit: PAGE, offset: offsetOf(query) }, { everyMs: 15000 });
  const session = useAnswer(["session"]);
  const [isMaking, setMaking] = useState(false);
  return html`<header class="head"><h1>Tokens</h1><small>who may come in, as what, until when</small>
      <span class="sp"></span>
      <button type="button" class="p" onClick=${() => setMaking(true)}>New token…</button></header>
    <${Shown} answer=${answer} what="tokens" rows=${6}>
      ${({ tokens, pagination }) => html`<div class="card">
        ${tokens.length
          ? html`<div class="scroll"><${Table} tokens=${tokens} own=${session.data?.principal} reload=${answer.reload} /></div>`
          : html`<${Empty} title="No tokens">None was ever made here.</${Empty}>`}
        <${Pager} pagination=${pagination} /></div>`}
    </${Shown}>
    ${isMaking && html`<${Make} onClose=${() => setMaking(false)} onMade=${answer.reload} />`}`;
}

function Table({ tokens, own, reload }) {
  const heads = ["Name", "Role", "State", "Expires", "Last used", ["Made", "wide-only"], html`<span class="sr">Revoke</span>`];
  return html`<${Cards} heads=${heads}>${tokens.map(
    (each) => html`<${Row} key=${each.id}>
      <${Cell} class="named">
        <span class="long" title=${each.name}><bdi>${each.name}</bdi>${isOwn(each, own) ? " (yours)" : ""}</span>
        <span class="mono dim">${each.id}</span></${Cell}>
      <${Cell}>${each.role}</${Cell}>
      <${Cell}><span class=${`pill ${TONES[each.state]}`}>${each.state}</span></${Cell}>
      <${Cell} class="dim" data-label="ends">${each.expires_at ? html`<${Time} value=${each.expires_at} />` : "never"}</${Cell}>
      <${Cell} class="dim" data-label="last used">${each.last_used_at ? html`<${Ago} value=${each.last_used_at} />` : "not yet"}</${Cell}>
      <${Cell} class="dim wide-only"><${Time} value=${each.created_at} /></${Cell}>
      <${Cell}>${each.state === "valid" && html`<${Revoke} token=${each} isOwn=${isOwn(each, own)} reload=${reload} />`}</${Cell}>
    </${Row}>`,
  )}</${Cards}>`;
}

const isOwn = (token, own) => own === `token:${token.id}`;

function Revoke({ token, isOwn: isMine, reload }) {
  return html`<${Asking}
    label="Revoke…" danger verb="Revoke it" title=${`Revoke '${token.name}'?`}
    act=${async () => {
      await remove(["tokens", token.id]);
      tell(`'${token.name}' is revoked.`);
      reload();
    }}
  ><p><strong>Whatever uses it is refused from now on</strong>, and so are the sessions that were opened
    with it. There is no way back.</p>
    ${isMine && html`<p><strong>You are signed in with it: you will be signed out.</strong></p>`}
  </${Asking}>`;
}

function Make({ onClose, onMade }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${Secret} made=${made} onClose=${onClose} />`;
  const onDone = (found) => {
    setMade(found);
    onMade();
  };
  return html`<${Dialog} title="New token" onClose=${onClose}><${Form} onClose=${onClose} onDone=${onDone} /></${Dialog}>`;
}

function Form({ onClose, onDone }) {
  const [given, setGiven] = useState({ name: "", role: "viewer", days: "90" });
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const set = (name) => (event) => setGiven({ ...given, [name]: event.target.value });
  const make = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const days = given.days ? Number(given.days) : null;
      onDone(await post(["tokens"], {}, { name: given.name.trim(), role: given.role, expires_in_days: days }));
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return html`<form class="stack-s" onSubmit=${make}>
    <label for="token-name">Whose it is, or what it is for</label>
    <input id="token-name" class="field" required maxlength="100" autocomplete="off" value=${given.name} onInput=${set("name")} />
    <label for="token-role">Role</label>
    <select id="token-role" value=${given.role} onChange=${set("role")}>${options(ROLES)}</select>
    <label for="token-days">Good for</label>
    <select id="token-days" value=${given.days} onChange=${set("days")}>${options(SPANS)}</select>
    ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
    <div class="row end">
      <button type="button" onClick=${onClose}>Cancel</button>
      <button type="submit" class="p" disabled=${isBusy}>${isBusy ? "Working…" : "Make it"}</button>
    </div>
  </form>`;
}

const options = (pairs) => pairs.map(([value, words]) => html`<option value=${value}>${words}</option>`);

/** The text of a token: here once, and nowhere later. */
function Secret({ made, onClose }) {
  const field = useRef(null);
  const [told, setTold] = useState("");
  useEffect(() => field.current.select(), []);
  const copy = async () => {
    field.current.select();
    try {
      await navigator.clipboard.writeText(made.secret);
      setTold("Copied.");
    } catch {
      // Browsers give the clipboard to https and this machine only.
      setTold("The browser does not let this page copy: it is selected, press Ctrl C.");
    }
  };
  return html`<${Dialog} title="The token is made" onClose=${onClose} wide>
    <p><strong>Copy it now: it is not shown again.</strong> <${Pill} status=${made.token.role} /></p>
    <div class="row">
      <input ref=${field} class="field mono secret" readonly aria-label="The token" value=${made.secret} />
      <button type="button" class="p" onClick=${copy}>Copy</button>
    </div>
    <p role="status" class="dim">${told}</p>
    <div class="row end"><button type="button" onClick=${onClose}>I have it</button></div>
  </${Dialog}>`;
}
