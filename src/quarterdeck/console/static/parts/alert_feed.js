// The feed of alerts, with what one does about an alert.

import { html, useEffect, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { PREFIX, post, remove } from "../api.js";
import { useAnswer, useNow, whileSeen } from "../live.js";
import { navigate, viewAddress, withQuery } from "../router.js";
import { Dialog, Doing } from "./dialog.js";
import { Time, span } from "./format.js";
import { tell } from "./notices.js";
import { Empty, Shown } from "./states.js";
import { Pill } from "./status.js";

const ALERTS = ["infrastructure", "alerts"];

export function AlertFeed({ query, may }) {
  const hours = Number(query.get("hours")) || 24;
  const severity = query.get("severity") ?? "";
  const state = query.get("state") ?? "";
  const answer = useAnswer(ALERTS, { hours, severity }, { everyMs: 30000 });
  const silences = useAnswer(["infrastructure", "silences"], { active: true }, { everyMs: 30000 });
  const reload = () => {
    answer.reload();
    silences.reload();
  };
  useAlertStream(answer.reload);
  return html`<div class="row">
      <${Choice} name="hours" label="Time" value=${String(hours)} options=${[["24", "last 24 hours"], ["1", "last hour"], ["72", "last 3 days"], ["168", "last 7 days"]]} first="24" />
      <${Choice} name="severity" label="Severity" value=${severity} options=${[["", "any severity"], ["error", "error"], ["warning", "warning"], ["info", "info"]]} />
      <${Choice} name="state" label="State" value=${state} options=${[["", "any state"], ["firing", "firing"], ["open", "not acknowledged"], ["resolved", "resolved"]]} />
    </div>
    <${Shown} answer=${answer} what="alerts">
      ${({ alerts }) => {
        const shown = alerts.filter((each) => fits(each, state));
        return shown.length
          ? html`<div class="card">${shown.map(
              (each) => html`<${AlertLine} key=${each.id} alert=${each} may=${may} reload=${reload} />`,
            )}</div>`
          : html`<div class="card"><${Empty} title="No alerts">Nothing of this kind in the chosen time.</${Empty}></div>`;
      }}
    </${Shown}>
    <${Silences} answer=${silences} may=${may} reload=${reload} />`;
}

const fits = (alert, state) =>
  !state || (state === "open" ? alert.status === "firing" && !alert.acknowledged : alert.status === state);

/** What changes is told by the stream; the list is then asked for anew, at most once a second. */
function useAlertStream(reload) {
  useEffect(() => {
    const open = () => {
      const stream = new EventSource(`${PREFIX}/infrastructure/alerts/stream`);
      let timer = 0;
      stream.addEventListener("alert", () => {
        clearTimeout(timer);
        timer = setTimeout(reload, 1000);
      });
      return () => {
        clearTimeout(timer);
        stream.close();
      };
    };
    return whileSeen(open);
  }, [reload]);
}

function Choice({ name, label, value, options, first = "" }) {
  return html`<select
    aria-label=${label} value=${value}
    onChange=${(event) =>
      navigate(withQuery({ [name]: event.target.value === first ? null : event.target.value }))}
  >${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select>`;
}

function AlertLine({ alert, may, reload }) {
  const now = useNow(10000);
  const isFiring = alert.status === "firing";
  const end = alert.resolved_at ? Date.parse(alert.resolved_at) : now;
  const lasts = span((end - Date.parse(alert.started_at)) / 1000);
  return html`<div class="alert">
    <${Pill} status=${isFiring ? alert.severity : alert.status} />
    <div class="text">
      <a href=${viewAddress(["console", "alerts", alert.id])} data-row><bdi>${alert.message}</bdi></a>
      <span class="dim">${isFiring ? "" : `${alert.severity} · `}${alert.service} · <${Time} value=${alert.started_at} /> · ${isFiring ? "for" : "lasted"} ${lasts}${
        alert.count > 1 ? ` · ${alert.count} times` : ""
      }${alert.flapping ? " · flapping" : ""}${alert.silenced_by ? " · silenced" : ""}${
        alert.inhibited_by ? " · held back by another" : ""
      }</span>
      ${alert.acknowledged &&
      html`<span class="dim">acknowledged by ${alert.acknowledged_by ?? "somebody"}${alert.note ? html`: <bdi>${alert.note}</bdi>` : ""}</span>`}
    </div>
    <${AlertActions} alert=${alert} may=${may} reload=${reload} />
  </div>`;
}

const isWeb = (address) => /^https?:\/\//i.test(address ?? "");

export function AlertActions({ alert, may, reload }) {
  const [opened, setOpened] = useState(null);
  const close = () => setOpened(null);
  const isFiring = alert.status === "firing";
  const undo = async () => {
    await post([...ALERTS, alert.id, "unacknowledge"]);
    reload();
  };
  return html`<div class="row acts">
    ${isWeb(alert.runbook_url) &&
    html`<a class="button" href=${alert.runbook_url} target="_blank" rel="noreferrer noopener">Runbook ↗</a>`}
    ${may("change") && isFiring &&
    (alert.acknowledged
      ? html`<${Doing} label="Take back" title="Take the acknowledgement back" act=${undo} />`
      : html`<button type="button" class="p" onClick=${() => setOpened("ack")}>Acknowledge…</button>`)}
    ${may("change") && html`<button type="button" onClick=${() => setOpened("silence")}>Silence…</button>`}
    ${opened === "ack" && html`<${Acknowledging} alert=${alert} onClose=${close} onDone=${reload} />`}
    ${opened === "silence" && html`<${Silencing} alert=${alert} onClose=${close} onDone=${reload} />`}
  </div>`;
}

/** A dialog with one text and a button; `act` gets the text. */
function Asked({ title, label, verb, isRequired, act, onClose, children }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await act(text);
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      ${children}
      <label for="asked">${label}</label>
      <textarea id="asked" class="field" required=${isRequired} value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
      ${error && html`<p class="said bad-text" role="alert">${error.message}</p>`}
      <div class="row end"><button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="p">${verb}</button></div>
    </form>
  </${Dialog}>`;
}

function Acknowledging({ alert, onClose, onDone }) {
  const act = async (note) => {
    await post([...ALERTS, alert.id, "acknowledge"], {}, { note });
    tell("Acknowledged: it escalates no further.");
    onDone();
  };
  return html`<${Asked}
    title="Acknowledge this alert?" label="Note for your colleagues" verb="Acknowledge" act=${act} onClose=${onClose}
  ><p><strong>You look after it.</strong> It goes on firing and stays in the list, but nobody else is called.
    If it gets worse, everybody is told again.</p></${Asked}>`;
}

const LENGTHS = [["1", "1 hour"], ["4", "4 hours"], ["24", "1 day"], ["168", "7 days"]];

function Silencing({ alert, onClose, onDone }) {
  const [hours, setHours] = useState("1");
  const act = async (comment) => {
    const matchers = [{ name: "service", value: alert.service }];
    if (alert.rule) matchers.push({ name: "rule", value: alert.rule });
    const ends_at = new Date(Date.now() + Number(hours) * 3_600_000).toISOString();
    await post(["infrastructure", "silences"], {}, { matchers, ends_at, comment });
    tell(`${alert.service} is silenced for ${LENGTHS.find(([key]) => key === hours)[1]}.`);
    onDone();
  };
  return html`<${Asked}
    title=${`Silence ${alert.service}?`} label="Why" verb="Silence" isRequired act=${act} onClose=${onClose}
  ><p><strong>Nobody is told of this alert</strong>${alert.rule ? html` (rule <code>${alert.rule}</code> of ${alert.service})` : ""}
      until the silence ends. It is shown here all the same.</p>
    <label for="lasts">For</label>
    <select id="lasts" value=${hours} onChange=${(event) => setHours(event.target.value)}>
      ${LENGTHS.map(([key, text]) => html`<option value=${key}>${text}</option>`)}
    </select></${Asked}>`;
}

function Silences({ answer, may, reload }) {
  if (!answer.data?.silences.length) return null;
  const end = async (silence) => {
    await remove(["infrastructure", "silences", silence.id]);
    tell("The silence is over: what still fires is told.");
    reload();
  };
  return html`<h2 class="section">Silences</h2>
    <div class="card scroll" tabindex="0" role="region" aria-label="Silences"><table>
      <thead><tr><th>What</th><th>Why</th><th>By</th><th>Ends</th><th><span class="sr">Actions</span></th></tr></thead>
      <tbody>${answer.data.silences.map(
        (each) => html`<tr key=${each.id}>
          <td class="mono">${each.matchers.map((one) => `${one.name}=${one.value}`).join(" ")}</td>
          <td class="wide">${each.comment}</td><td class="dim">${each.author}</td>
          <td><${Time} value=${each.ends_at} /></td>
          <td class="n">${may("change") && html`<${Doing} label="End now" act=${() => end(each)} />`}</td></tr>`,
      )}</tbody>
    </table></div>`;
}

