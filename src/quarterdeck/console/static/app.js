// Who is signed in, which view is shown, and what stands around it.

import { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useState } from "./vendor/htm-preact-3.1.1.mjs";
import { get, onSignedOut, signOut } from "./api.js";
import { followLinks, match, navigate, useAddress } from "./router.js";
import { ROUTES, isOurs } from "./routes.js";
import { comeBack, isBack } from "./single_sign_on.js";
import { KeyHelp, useKeys } from "./parts/keys.js";
import { Notices, complain } from "./parts/notices.js";
import { Palette } from "./parts/palette.js";
import { setUtc, isUtc } from "./parts/format.js";
import { Shell } from "./parts/shell.js";
import { Failed } from "./parts/states.js";

function App() {
  const [session, setSession] = useState(undefined);
  const [why, setWhy] = useState(null);
  const [error, setError] = useState(null);
  const ask = useCallback(async () => {
    setError(null);
    try {
      setSession(await get(["session"]));
    } catch (failure) {
      if (failure.status === 401) setSession(null);
      else setError(failure);
    }
  }, []);
  const arrive = async () => {
    try {
      setSession(await comeBack());
    } catch (failure) {
      setWhy(failure.message);
      setSession(null);
    }
  };
  useEffect(() => {
    if (isBack()) arrive();
    else ask();
    return onSignedOut((refusal) => {
      setSession((old) => {
        if (old) setWhy(refusal.message);
        return null;
      });
    });
  }, []);
  const onSignOut = async () => {
    // The page goes first, with all that it asks for: after the end that would be refused.
    setSession(undefined);
    await new Promise((done) => setTimeout(done));
    try {
      await signOut();
      setWhy(null);
      setSession(null);
    } catch (failure) {
      setSession(session);
      complain(failure);
    }
  };
  if (error) return html`<div class="alone"><${Failed} error=${error} retry=${ask} /></div>`;
  if (session === undefined) return null;
  if (session === null) return html`<${Lazy} load=${signInView} why=${why} onSignedIn=${setSession} />`;
  return html`<${Signed} session=${session} onSignOut=${onSignOut} /><${Notices} />`;
}

const signInView = () => import("./views/sign_in.js");

function Signed({ session, onSignOut }) {
  const { path, query } = useAddress();
  const [opened, setOpened] = useState(null);
  const may = useCallback((right) => !right || session.rights.includes(right), [session]);
  useKeys(setOpened, may);
  const found = match(ROUTES, path);
  const commands = useMemo(
    () => [
      { title: "Show times in the other zone", act: () => setUtc(!isUtc()) },
      { title: "Keyboard help", act: () => setOpened("help") },
      { title: "Sign out", act: onSignOut },
    ],
    [],
  );
  // Before it is painted: later, it would take the focus from who has begun to type.
  useLayoutEffect(() => {
    document.title = `${found?.value.title ?? "No such page"} · Quarterdeck`;
    document.getElementById("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [path]);
  const close = () => setOpened(null);
  return html`<${Shell}
      session=${session} room=${found?.value.room} may=${may} onSignOut=${onSignOut}
      onPalette=${() => setOpened("palette")} onHelp=${() => setOpened("help")}
    ><${Page} found=${found} query=${query} may=${may} session=${session} key=${path} /></${Shell}>
    ${opened === "palette" && html`<${Palette} onClose=${close} may=${may} commands=${commands} />`}
    ${opened === "help" && html`<${KeyHelp} onClose=${close} may=${may} />`}`;
}

function Page({ found, query, may, session }) {
  if (!found) {
    return html`<header class="head"><h1>There is no such page</h1></header>
      <p>The address leads nowhere. <a href="/">Go to the overview.</a></p>`;
  }
  if (!may(found.value.right)) {
    return html`<header class="head"><h1>This page is not for your role</h1></header>
      <p>Your role '${session.role}' may not see it. Ask an administrator for another token.</p>`;
  }
  return html`<${Lazy} load=${found.value.view} ...${found.taken} query=${query} may=${may} />`;
}

/** A view whose file is loaded when it is first looked at. */
function Lazy({ load, ...given }) {
  const [view, setView] = useState(null);
  const [error, setError] = useState(null);
  const fetchView = () => {
    setError(null);
    load().then((module) => setView({ draw: module.default }), setError);
  };
  useEffect(fetchView, [load]);
  if (error) return html`<${Failed} error=${error} retry=${() => location.reload()} />`;
  return view && html`<${view.draw} ...${given} />`;
}

followLinks(isOurs);
if (location.pathname === "/console") navigate("/", { replace: true });
// The view's file comes while the server says who is signed in; a failure is told where it is shown.
match(ROUTES, location.pathname)?.value.view().catch(() => undefined);
const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
