// Single sign-on: off to the identity provider, and back with its answer.

import { post } from "./api.js";
import { navigate } from "./router.js";

const RETURN_PATH = "/console/signed-in";
const GIVEN = ["state", "code", "error", "iss"];

export const isBack = () => location.pathname === RETURN_PATH;

/** Leave for the provider's page; after it, this page's address is shown again. */
export async function leave() {
  const return_to = location.pathname + location.search;
  const { url } = await post(["session", "single-sign-on"], {}, { return_to });
  location.assign(url);
}

/** Hand in what the provider sent along. Gives the session; the address is the old page's. */
export async function comeBack() {
  const query = new URLSearchParams(location.search);
  const answer = Object.fromEntries(
    GIVEN.filter((name) => query.has(name)).map((name) => [name, query.get(name)]),
  );
  // First of all: the code must not stay in the browser's history.
  navigate("/", { replace: true });
  const back = await post(["session", "single-sign-on", "answer"], {}, { state: "", ...answer });
  navigate(back.return_to, { replace: true });
  return back.session;
}
