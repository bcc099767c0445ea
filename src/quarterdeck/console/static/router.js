// Addresses: every view's state is in its URL, so that it can be sent to a colleague.

import { useEffect, useState } from "./vendor/htm-preact-3.1.1.mjs";

const listeners = new Set();

/** Go to an address of ours. `replace` leaves no step in the browser's history. */
export function navigate(to, { replace = false } = {}) {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  for (const heard of listeners) heard();
}

/** `{path, query}` of the page, anew whenever it changes. */
export function useAddress() {
  const [place, setPlace] = useState(read);
  useEffect(() => {
    const heard = () => setPlace(read());
    listeners.add(heard);
    addEventListener("popstate", heard);
    return () => {
      listeners.delete(heard);
      removeEventListener("popstate", heard);
    };
  }, []);
  return place;
}

/** This page's address with some query values changed; null or "" takes one out. */
export function withQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** The address of a view: encoded segments below the root, and a query. */
export function viewAddress(segments, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const text = search.toString();
  return `/${segments.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Find the first of `[pattern, value]` that fits; `:name` takes one segment, decoded. */
export function match(routes, path) {
  const given = path.split("/").filter(Boolean);
  for (const [pattern, value] of routes) {
    const wanted = pattern.split("/").filter(Boolean);
    if (wanted.length !== given.length) continue;
    const taken = {};
    const fits = wanted.every((part, index) => {
      if (!part.startsWith(":")) return part === given[index];
      taken[part.slice(1)] = decoded(given[index]);
      return true;
    });
    if (fits) return { value, taken };
  }
  return null;
}

/** Let links to our own pages change the view instead of loading the document anew. */
export function followLinks(isOurs) {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    if (event.shiftKey || event.altKey) return;
    const link = event.target.closest?.("a[href]");
    if (!link || link.target || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !isOurs(to.pathname) || to.hash) return;
    event.preventDefault();
    navigate(to.pathname + to.search);
  });
}

function read() {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
