// What stands around every view: the rail, who is signed in, and how fresh the page is.

import { html, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { useAnswer, useKept, useNow, useQueues } from "../live.js";
import { PLACES } from "../routes.js";
import { setUtc, span, useUtc } from "./format.js";

const THEMES = { auto: "light", light: "dark", dark: "auto" };

export function useTheme() {
  const [theme, keep] = useKept("theme", "auto");
  const next = () => {
    const wanted = THEMES[theme] ?? "auto";
    keep(wanted);
    if (wanted === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = wanted;
  };
  return [theme, next];
}

export function Shell({ session, room, may, onPalette, onHelp, onSignOut, children }) {
  const [isOpen, setOpen] = useState(false);
  return html`<a class="skip" href="#main">Skip to the content</a>
    <nav class=${`rail ${isOpen ? "open" : ""}`} aria-label="Main">
      <div class="brand">
        <b><img src="/console/static/icon.svg" alt="" width="20" height="20" />Quarterdeck</b>
        <button
          type="button" class="menu" aria-expanded=${isOpen ? "true" : "false"}
          aria-label="Menu" onClick=${() => setOpen(!isOpen)}
        >☰</button>
      </div>
      <div class="places" onClick=${() => setOpen(false)}>
        <${Places} room=${room} may=${may} />
      </div>
      <${Foot} session=${session} onPalette=${onPalette} onHelp=${onHelp} onSignOut=${onSignOut} />
    </nav>
    <main id="main" tabindex="-1">${children}</main>`;
}

function Places({ room, may }) {
  const { queues } = useQueues();
  const alerts = useAnswer(["infrastructure", "alerts"], { hours: 1 }, { everyMs: 15000 });
  const numbers = {
    queues: queues?.filter((each) => each.status === "critical").length,
    infra: alerts.data?.alerts.filter((each) => each.status === "firing" && !each.acknowledged)
      .length,
  };
  const what = { queues: "critical queues", infra: "alerts that nobody has acknowledged" };
  return PLACES.filter((each) => may(each.right)).map(
    (each) => html`<a
      key=${each.room} href=${each.href} aria-current=${each.room === room ? "page" : undefined}
      title=${`g ${each.key}`}
    ><span>${each.title}</span>${
      numbers[each.room] > 0 &&
      html`<em title=${`${numbers[each.room]} ${what[each.room]}`}
        >${numbers[each.room]}<span class="sr"> ${what[each.room]}</span></em
      >`
    }</a>`,
  );
}

function Foot({ session, onPalette, onHelp, onSignOut }) {
  const [theme, nextTheme] = useTheme();
  const utc = useUtc();
  return html`<div class="foot">
    <button type="button" class="go" onClick=${onPalette}>Go to… <kbd>Ctrl K</kbd></button>
    <div class="who" title=${session.principal}>
      <span class="clip">${session.name || session.principal}</span> · ${session.role}
    </div>
    <${Freshness} />
    <div class="row">
      <button type="button" class="quiet" onClick=${nextTheme} title="Light, dark or as the system">
        ${theme} theme
      </button>
      <button type="button" class="quiet" onClick=${() => setUtc(!utc)} title="Zone of all times">
        ${utc ? "UTC" : "local time"}
      </button>
      <button type="button" class="quiet" onClick=${onHelp} aria-label="Keyboard help">?</button>
      <a href="/docs" target="_blank" rel="noreferrer" class="quiet">API</a>
      <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button>
    </div>
  </div>`;
}

function Freshness() {
  const { at, error, isLive } = useQueues();
  const now = useNow(1000);
  if (isLive) return html`<div class="fresh live">live</div>`;
  if (!at) return html`<div class="fresh">${error ? "no connection" : "connecting…"}</div>`;
  const age = Math.max(0, (now - at) / 1000);
  return html`<div class=${`fresh ${error || age > 20 ? "bad-text" : ""}`}>${span(age)} old</div>`;
}
