// Who changed what, and who was refused.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { navigate, withQuery } from "../router.js";
import { Cards, Cell, Row } from "../parts/cards.js";
import { Time } from "../parts/format.js";
import { PAGE, Pager, offsetOf } from "../parts/pager.js";
import { Empty, Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";

export default function Audit({ query }) {
  const asked = {
    limit: PAGE,
    offset: offsetOf(query),
    principal: query.get("principal") ?? "",
    action: query.get("action") ?? "",
  };
  const answer = useAnswer(["audit"], asked, { everyMs: 15000 });
  return html`<header class="head"><h1>Audit</h1><small>every change, and every refusal</small></header>
    <div class="row" role="search">
      <${Field} name="principal" label="Who" hint="token:k3n5q7x2m4aa  /" value=${asked.principal} isFirst />
      <${Field} name="action" label="Action" hint="queue.pause" value=${asked.action} />
    </div>
    <${Shown} answer=${answer} what="audit trail" rows=${8}>
      ${({ entries, pagination }) =>
        entries.length
          ? html`<div class="card"><div class="scroll"><${Table} entries=${entries} /></div>
              <${Pager} pagination=${pagination} /></div>`
          : html`<div class="card"><${Empty} title="Nothing here">No change fits.</${Empty}></div>`}
    </${Shown}>`;
}

function Field({ name, label, hint, value, isFirst = false }) {
  return html`<input
    class="field" type="search" aria-label=${label} placeholder=${hint} value=${value}
    data-search=${isFirst ? "" : undefined}
    onChange=${(event) => navigate(withQuery({ [name]: event.target.value.trim(), offset: null }))}
  />`;
}

function Table({ entries }) {
  const heads = ["When, request", "Who", "Action", "On what", "Outcome", ["From", "wide-only"]];
  return html`<${Cards} heads=${heads}>${entries.map(
    (each) => html`<${Row} key=${each.id}>
      <${Cell} class="dim named"><${Time} value=${each.at} /> <span class="mono">${each.request_id}</span></${Cell}>
      <${Cell} class="mono"><a href=${withQuery({ principal: each.principal, offset: null })} data-row>${each.principal}</a> <span class="dim">${each.role}</span></${Cell}>
      <${Cell}><a href=${withQuery({ action: each.action, offset: null })}>${each.action}</a></${Cell}>
      <${Cell} class="wide mono" title=${each.resource}><bdi>${each.resource}</bdi></${Cell}>
      <${Cell}><${Pill} status=${each.outcome} title=${each.outcome === "started" ? "it never ended: somebody must look" : undefined} /></${Cell}>
      <${Cell} class="mono dim wide-only">${each.ip_address ?? "–"}</${Cell}>
    </${Row}>`,
  )}</${Cards}>`;
}
