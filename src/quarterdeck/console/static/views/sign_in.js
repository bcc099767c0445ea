// Signing in: with a token, which goes to the server once, or at the identity provider.

import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.mjs";
import { get, signIn } from "../api.js";
import { leave } from "../single_sign_on.js";

export default function SignIn({ why, onSignedIn }) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [provider, setProvider] = useState(null);
  const field = useRef(null);
  useLayoutEffect(() => {
    document.title = "Sign in · Quarterdeck";
    field.current.focus();
    // Who cannot be told of another way in can still use the token.
    get(["session", "ways"]).then((ways) => setProvider(ways.single_sign_on), () => {});
  }, []);
  const goThere = async () => {
    setBusy(true);
    setError(null);
    try {
      await leave();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      onSignedIn(await signIn(token.trim()));
    } catch (failure) {
      setError(failure);
      setBusy(false);
      field.current.focus();
    }
  };
  return html`<main class="alone">
    <form class="card sign-in" onSubmit=${submit}>
      <h1><img src="/console/static/icon.svg" alt="" width="28" height="28" />Quarterdeck</h1>
      ${why && html`<p class="stale" role="status">${why}</p>`}
      ${provider && html`<button type="button" class="p" disabled=${busy} onClick=${goThere}>
          Sign in with ${provider}
        </button>
        <p class="dim">or</p>`}
      <label for="token">Token</label>
      <input
        id="token" ref=${field} class="field" type="password" autocomplete="current-password"
        spellcheck="false" required value=${token} placeholder="qd_…"
        aria-describedby=${error ? "refused" : "hint"} aria-invalid=${error ? "true" : undefined}
        onInput=${(event) => setToken(event.target.value)}
      />
      ${error && html`<p id="refused" class="said bad-text" role="alert">${error.message}</p>`}
      <button type="submit" class="p" disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
      <p id="hint" class="dim">
        An administrator makes one with <code>quarterdeck token create</code>. It is sent to this
        server only, and not kept in the browser.
      </p>
    </form>
  </main>`;
}
