// Ctrl K: type where to go. Queues, services, addresses and job ids are found by their names.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get } from "../api.js";
import { useQueues } from "../live.js";
import { navigate, viewAddress } from "../router.js";
import { PLACES } from "../routes.js";
import { Dialog } from "./dialog.js";

const SHOWN = 9;

export function Palette({ onClose, may, commands }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const targets = useTargets(may, commands);
  const found = useMemo(() => search(targets, text), [targets, text]);
  const field = useRef(null);
  useLayoutEffect(() => field.current.focus(), []);
  const choose = (target) => {
    onClose();
    if (target.act) target.act();
    else navigate(target.href);
  };
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setAt((old) => Math.max(0, Math.min(found.length - 1, old + step)));
    } else if (event.key === "Enter" && found[at]) {
      event.preventDefault();
      choose(found[at]);
    }
  };
  return html`<${Dialog} title="Go to" onClose=${onClose} wide>
    <input
      ref=${field} class="field big" role="combobox" aria-expanded="true" aria-controls="found"
      aria-activedescendant=${found[at] ? `found-${at}` : undefined}
      aria-label="A page, queue, service, address or job" placeholder="Page, queue, service, job…"
      value=${text} onKeyDown=${onKeyDown}
      onInput=${(event) => {
        setText(event.target.value);
        setAt(0);
      }}
    />
    <ul id="found" class="found" role="listbox" aria-label="Found">
      ${found.map(
        (each, index) => html`<li
          key=${each.kind + each.title} id=${`found-${index}`} role="option"
          aria-selected=${index === at ? "true" : "false"} onClick=${() => choose(each)}
        ><span>${each.title}</span><span class="dim">${each.kind}</span></li>`,
      )}
    </ul>
    ${!found.length && html`<p class="dim">Nothing has this name.</p>`}
  </${Dialog}>`;
}

function useTargets(may, commands) {
  const { queues } = useQueues();
  const [others, setOthers] = useState([]);
  useEffect(() => {
    const stopping = new AbortController();
    const ask = (path) => get(["infrastructure", path], {}, stopping.signal).catch(() => null);
    Promise.all([ask("health"), ask("ip-reputation")]).then(([health, addresses]) => {
      if (stopping.signal.aborted) return;
      setOthers([
        ...(health?.services ?? []).map((each) => place("service", each.name, "services")),
        ...(addresses?.ips ?? []).map((each) => place("sending IP", each.ip_address, "ips")),
      ]);
    });
    return () => stopping.abort();
  }, []);
  return useMemo(
    () => [
      ...PLACES.filter((each) => may(each.right)).map((each) => ({ ...each, kind: "page" })),
      ...commands.map((each) => ({ ...each, kind: "do" })),
      ...(queues ?? []).map((each) => ({
        kind: "queue",
        title: each.name,
        href: viewAddress(["dashboard", "system", "queues", each.name], { source: each.source }),
      })),
      ...others,
    ],
    [queues, others, commands],
  );
}

function place(kind, name, folder) {
  const href = viewAddress(["dashboard", "system", "infrastructure", folder, name]);
  return { kind, title: name, href };
}

function search(targets, text) {
  const wanted = text.trim().toLowerCase();
  if (/^job_[\w-]+$/.test(text.trim())) {
    const href = viewAddress(["dashboard", "system", "jobs", text.trim()]);
    return [{ kind: "job", title: text.trim(), href }];
  }
  const words = wanted.split(/\s+/);
  const fits = targets.filter((each) =>
    words.every((word) => `${each.kind} ${each.title}`.toLowerCase().includes(word)),
  );
  const logs = {
    kind: "search the logs",
    title: text.trim(),
    href: viewAddress(["dashboard", "system", "logs"], { query: text.trim() }),
  };
  return wanted ? [...fits.slice(0, SHOWN), logs] : fits.slice(0, SHOWN);
}
