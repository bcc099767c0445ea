// One sending address: why its score is what it is, where it is listed, and how to get off.

import { html, useMemo } from "../vendor/htm-preact-3.1.1.mjs";
import { post, remove } from "../api.js";
import { useAnswer } from "../live.js";
import { navigate, viewAddress } from "../router.js";
import { Score } from "../parts/addresses.js";
import { Asking, Doing } from "../parts/dialog.js";
import { Ago, Num, Time } from "../parts/format.js";
import { tell } from "../parts/notices.js";
import { Plot } from "../parts/plot.js";
import { Empty, Shown } from "../parts/states.js";
import { Pill } from "../parts/status.js";

const DAYS = 30;
const TABLE = viewAddress(["dashboard", "system", "infrastructure"], { tab: "ips" });

export default function Address({ ip, may }) {
  const answer = useAnswer(["infrastructure", "ip-reputation"], {}, { everyMs: 15000 });
  return html`<p class="crumb"><a href=${TABLE}>Sending IPs</a></p>
    <${Shown} answer=${answer} what="address" rows=${6}>
      ${({ ips }) => {
        const found = ips.find((each) => each.ip_address === ip);
        return found
          ? html`<${Body} ip=${found} may=${may} reload=${answer.reload} />`
          : html`<${Empty} title="This address is not watched"><a href=${TABLE}>See those that are.</a></${Empty}>`;
      }}
    </${Shown}>`;
}

function Body({ ip, may, reload }) {
  return html`<header class="head">
      <h1 class="mono">${ip.ip_address}</h1><${Pill} status=${ip.status} /><span class="sp"></span>
      ${may("change") && html`<${Actions} ip=${ip} may=${may} reload=${reload} />`}
    </header>
    <div class="card"><dl class="facts">
      <div><dt>Score</dt><dd><${Score} ip=${ip} /> <span class="dim">of 100</span></dd></div>
      <div><dt>Confidence</dt><dd>${ip.confidence}</dd></div>
      <div><dt>Letters a day</dt><dd><${Num} value=${ip.daily_volume} why="no mail events have come for it" /></dd></div>
      <div><dt>Provider</dt><dd>${ip.provider}</dd></div>
      <div><dt>Pool</dt><dd>${ip.pool ?? html`<${Num} value=${null} why="none was named" />`}</dd></div>
      <div><dt>Checked</dt><dd><${Ago} value=${ip.checked_at} why="not checked yet" /></dd></div>
    </dl></div>
    ${ip.listings.map((each) => html`<${Listing} key=${each.list} listing=${each} />`)}
    <${Penalties} ip=${ip} />
    <${Coverage} coverage=${ip.coverage} />
    <${History} address=${ip.ip_address} />`;
}

function Actions({ ip, may, reload }) {
  const where = ["infrastructure", "ip-reputation", ip.ip_address];
  const check = async () => {
    await post([...where, "check"]);
    tell(`${ip.ip_address} was looked up anew.`);
    reload();
  };
  const unwatch = async () => {
    await remove(where);
    tell(`${ip.ip_address} is watched no longer.`);
    navigate(TABLE);
  };
  return html`<div class="row">
    <${Doing} label="Check now" act=${check} />
    ${may("administer") && ip.origin !== "settings" &&
    html`<${Asking} label="Remove…" danger verb="Remove" act=${unwatch} title=${`Stop watching ${ip.ip_address}?`}
    ><p>It is looked up no more, and no alert will tell of it. Its history is kept.</p></${Asking}>`}
  </div>`;
}

function Listing({ listing }) {
  return html`<section class="card pad stack" aria-label=${`Listed on ${listing.list}`}>
    <div class="row"><h2>Listed on ${listing.list}</h2><${Pill} status=${listing.state} />
      <span class="dim">${listing.tier} list · since <${Time} value=${listing.since} />${listing.stale ? " · not confirmed lately" : ""}</span></div>
    ${listing.reason && html`<p class="wrap"><bdi>${listing.reason}</bdi></p>`}
    ${listing.steps.length > 0 &&
    html`<h3>How to get off</h3><ol>${listing.steps.map((each) => html`<li key=${each} class="wrap">${each}</li>`)}</ol>`}
    ${isWeb(listing.delist_url) &&
    html`<p><a href=${listing.delist_url} target="_blank" rel="noreferrer noopener">Open the list's own removal page ↗</a></p>`}
  </section>`;
}

const isWeb = (address) => /^https?:\/\//i.test(address ?? "");

function Penalties({ ip }) {
  if (!ip.score_breakdown.length) {
    const why = ip.checked_at ? "Nothing speaks against it." : "It has not been checked yet.";
    return html`<div class="card"><${Empty} title="No points lost">${why}</${Empty}></div>`;
  }
  return html`<div class="card scroll" tabindex="0" role="region" aria-label="Points lost">
    <div class="pad"><h2>Why not 100</h2></div>
    <table><thead><tr><th>What</th><th class="n">Points lost</th><th>Why</th></tr></thead>
      <tbody>${ip.score_breakdown.map(
        (each) => html`<tr key=${each.component}>
          <td>${each.component.replaceAll("_", " ")}</td><td class="n">${each.points.toFixed(1)}</td>
          <td class="wrap">${each.why}</td></tr>`,
      )}</tbody></table>
  </div>`;
}

function Coverage({ coverage }) {
  if (!coverage.unknown) return null;
  return html`<div class="card pad stack"><h2>${coverage.unknown} lists did not answer</h2>
    <p class="dim">What they would say is not known; ${coverage.checked} others answered.</p>
    <dl class="kv">${coverage.unknown_lists.map((each) => html`<dt>${each.list}</dt><dd>${each.why}</dd>`)}</dl>
  </div>`;
}

function History({ address }) {
  const answer = useAnswer(["infrastructure", "ip-reputation", address, "history"], { days: DAYS });
  const scores = answer.data?.scores;
  const data = useMemo(
    () =>
      scores && {
        at: scores.map((each) => Date.parse(each.at) / 1000),
        lines: [{ label: "score", values: scores.map((each) => each.reputation_score) }],
      },
    [scores],
  );
  if (!data) return null;
  return html`<div class="card">
    ${scores.length > 1
      ? html`<${Plot} ...${data} label=${`Score, last ${DAYS} days`} />`
      : html`<p class="pad dim">Its history begins with the next checks.</p>`}
    ${answer.data.listings.length > 0 &&
    html`<div class="scroll" tabindex="0" role="region" aria-label="Listings"><table><thead><tr><th>List</th><th>From</th><th>Until</th><th>Why</th></tr></thead><tbody>
      ${answer.data.listings.map(
        (each) => html`<tr key=${each.list + each.since}><td>${each.list}</td>
          <td><${Time} value=${each.since} /></td><td>${each.until ? html`<${Time} value=${each.until} />` : "still"}</td>
          <td class="wide">${each.reason ?? ""}</td></tr>`,
      )}</tbody></table></div>`}
  </div>`;
}
