// Who changed what, and who was refused.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer } from "../live.js";
import { navigate, withQuery } from "../router.js";
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
  return html`<table>
    <thead><tr><th>When</th><th>Who</th><th>Role</th><th>Action</th><th>On what</th><th>Outcome</th><th>From</th><th>Request</th></tr></thead>
    <tbody>${entries.map(
      (each) => html`<tr key=${each.id}>
        <td class="dim"><${Time} value=${each.at} /></td>
        <td class="mono"><a href=${withQuery({ principal: each.principal, offset: null })} data-row>${each.principal}</a></td>
        <td>${each.role}</td>
        <td><a href=${withQuery({ action: each.action, offset: null })}>${each.action}</a></td>
        <td class="wide mono" title=${each.resource}><bdi>${each.resource}</bdi></td>
        <td><${Pill} status=${each.outcome} title=${each.outcome === "started" ? "it never ended: somebody must look" : undefined} /></td>
        <td class="mono dim">${each.ip_address ?? "–"}</td>
        <td class="mono dim">${each.request_id}</td>
      </tr>`,
    )}</tbody>
  </table>`;
}
