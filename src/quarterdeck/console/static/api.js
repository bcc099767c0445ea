// The one way to the HTTP API. Everything here is documented at /docs; there are no other doors.

export const PREFIX = "/api/v1/platform/system";

// The server takes changes by a session only with this header: no other origin's page can send it.
const CLIENT = { "X-Quarterdeck-Client": "console" };

/** A refusal or a failure, with the sentence that the server said. */
export class ApiError extends Error {
  /** @param {{status: number, code: string, message: string, details?: object[],
   *   request_id?: string | null, retry_s?: number | null}} given */
  constructor(given) {
    super(given.message);
    this.status = given.status;
    this.code = given.code;
    this.details = given.details ?? [];
    this.requestId = given.request_id ?? null;
    this.retryS = given.retry_s ?? null;
  }
}

const refused = new Set();

/** Call `heard` whenever the server says that nobody is signed in. Gives the way to stop. */
export function onSignedOut(heard) {
  refused.add(heard);
  return () => refused.delete(heard);
}

/** The address of a route: segments are encoded each, empty query values are left out. */
export function address(segments, query = {}) {
  const path = segments.map((each) => encodeURIComponent(each)).join("/");
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return `${PREFIX}/${path}${text ? `?${text}` : ""}`;
}

/** GET; gives `data`. The browser's cache answers by ETag, which costs the server a hash. */
export const get = (segments, query, signal) => send("GET", address(segments, query), { signal });

/** POST with a fresh idempotency key: a repeated click or a lost answer is carried out once. */
export const post = (segments, query = {}, body = undefined) =>
  send("POST", address(segments, query), { body, headers: { "Idempotency-Key": randomKey() } });

export const put = (segments, body) => send("PUT", address(segments), { body });

export const remove = (segments, query) => send("DELETE", address(segments, query));

/** Open a session with a token; the server answers with its cookie. */
export const signIn = (token) =>
  send("POST", address(["session"]), { headers: { Authorization: `Bearer ${token}` } });

export const signOut = () => remove(["session"]);

async function send(method, url, { body, headers, signal } = {}) {
  const response = await reach(url, {
    method,
    signal,
    headers: {
      ...CLIENT,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    redirect: "error",
  });
  const answer = await response.json().catch(() => null);
  if (response.ok && answer?.success) return answer.data;
  const error = refusal(response, answer);
  // A refused sign-in is the form's own affair.
  if (error.status === 401 && !headers?.Authorization) for (const heard of refused) heard(error);
  throw error;
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const message = "The server cannot be reached. It may be restarting; this page keeps trying.";
    throw new ApiError({ status: 0, code: "UNREACHABLE", message });
  }
}

function refusal(response, answer) {
  const told = answer?.error ?? {
    code: "UNREADABLE",
    message: `The server answered ${response.status} in a form that is not understood.`,
  };
  const wait = Number(response.headers.get("retry-after"));
  return new ApiError({ ...told, status: response.status, retry_s: wait > 0 ? wait : null });
}

function randomKey() {
  // Not randomUUID: browsers offer that on https only.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
