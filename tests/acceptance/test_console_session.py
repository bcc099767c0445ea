"""Sign-in over the wire: the cookie, who may send it, what it may do, and when it ends."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from acceptance.server_process import Answer, ServerProcess

OURS = {"Sec-Fetch-Site": "same-origin", "X-Quarterdeck-Client": "console"}
"""What a browser sends for a script of the console's own page."""


def sign_in(server: ServerProcess, role: str, **options: Any) -> str:
    """The `Cookie` header of a fresh session."""
    answer = server.call("POST", "/session", role=role, **options)
    assert answer.status == 200, answer.raw
    return answer.headers["set-cookie"].partition(";")[0]


def ask(
    server: ServerProcess, method: str, path: str, cookie: str, headers: Mapping[str, str] = OURS
) -> Answer:
    return server.call(method, path, headers={"Cookie": cookie, **headers})


def entries(server: ServerProcess, action: str) -> list[dict[str, Any]]:
    found = server.get(f"/audit?limit=100&action={action}").data["entries"]
    assert isinstance(found, list)
    return found


def test_sign_in_sets_a_cookie_that_no_script_reads(server: ServerProcess) -> None:
    answer = server.call("POST", "/session", role="ops")
    assert answer.data["role"] == "ops"
    assert answer.data["rights"] == ["read", "change"]
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(
        r"quarterdeck_session=[\w-]{43}; Path=/; Max-Age=43(199|200); HttpOnly; SameSite=Strict",
        answer.headers["set-cookie"],
    )


def test_cookie_is_secure_where_a_trusted_proxy_ends_tls(
    start_server: Callable[..., ServerProcess],
) -> None:
    behind = start_server(settings='[server]\ntrusted_proxies = ["127.0.0.1/32"]\n')
    for scheme, is_secure in (("https", True), ("http", False)):
        headers = {"X-Forwarded-Proto": scheme}
        answer = behind.call("POST", "/session", role="ops", headers=headers)
        assert answer.headers["set-cookie"].endswith("; Secure") is is_secure


def test_claim_of_https_by_anybody_else_is_not_believed(server: ServerProcess) -> None:
    answer = server.call("POST", "/session", role="ops", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "nonsense", "qd_ops_a_b"])
def test_bad_token_opens_nothing(server: ServerProcess, token: str) -> None:
    answer = server.call("POST", "/session", token=token)
    assert answer.error["code"] == "UNAUTHORIZED"
    assert "set-cookie" not in answer.headers


def test_token_that_only_ingests_opens_nothing_and_is_noted(server: ServerProcess) -> None:
    answer = server.call("POST", "/session", role="ingest")
    assert answer.error["code"] == "FORBIDDEN"
    assert "set-cookie" not in answer.headers
    assert entries(server, "session.open")[0]["outcome"] == "denied"


def test_session_is_its_token_with_its_role(server: ServerProcess) -> None:
    cookie = sign_in(server, "viewer")
    session = ask(server, "GET", "/session", cookie).data
    assert (session["name"], session["role"], session["rights"]) == (
        "test viewer", "viewer", ["read"],
    )  # fmt: skip
    assert session["expires_at"].endswith("Z")
    assert ask(server, "GET", "/queues", cookie).status == 200
    refused = ask(server, "POST", "/queues/queue%3Ax/pause", cookie)
    assert refused.error["code"] == "FORBIDDEN"
    assert "role" in refused.error["message"]


def test_session_draws_on_the_console_bucket_like_its_own_page(server: ServerProcess) -> None:
    answer = ask(server, "GET", "/session", sign_in(server, "ops"), {})
    assert answer.headers["ratelimit-policy"].startswith('"console"')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Quarterdeck-Client": "console"},
        {"X-Quarterdeck-Client": "console", "Origin": "http://elsewhere.example"},
        {"X-Quarterdeck-Client": "console", "Origin": "null"},
        {"X-Quarterdeck-Client": "console", "Sec-Fetch-Site": "none"},
        {"X-Quarterdeck-Client": "console", "Sec-Fetch-Site": "same-site"},
        {"X-Quarterdeck-Client": "console", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_change_that_did_not_come_from_our_page_is_refused(
    server: ServerProcess, headers: dict[str, str]
) -> None:
    cookie = sign_in(server, "ops")
    for method, path in (("POST", "/queues/queue%3Ax/pause"), ("DELETE", "/session")):
        assert ask(server, method, path, cookie, headers).error["code"] == "FORBIDDEN"
    assert ask(server, "GET", "/session", cookie).status == 200


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_other_sites_page_reads_nothing(server: ServerProcess, site: str) -> None:
    answer = ask(server, "GET", "/queues", sign_in(server, "ops"), {"Sec-Fetch-Site": site})
    assert answer.error["code"] == "FORBIDDEN"


def test_change_from_our_page_is_carried_out(server: ServerProcess) -> None:
    """On plain http, where browsers leave Sec-Fetch-Site out, the origin vouches for the page."""
    cookie = sign_in(server, "ops")
    origin = {"X-Quarterdeck-Client": "console", "Origin": f"http://127.0.0.1:{server.port}"}
    origin["Host"] = f"127.0.0.1:{server.port}"
    for headers in (OURS, origin):
        assert ask(server, "POST", "/jobs/job_x/retry", cookie, headers).status == 404


def test_token_that_is_sent_counts_before_the_cookie(server: ServerProcess) -> None:
    headers = {"Cookie": sign_in(server, "viewer")}
    assert server.call("GET", "/session", role="ops", headers=headers).data["role"] == "ops"
    assert server.call("GET", "/session", token="nonsense", headers=headers).status == 401


def test_sign_out_ends_the_session_and_takes_the_cookie_away(server: ServerProcess) -> None:
    cookie = sign_in(server, "ops")
    other = sign_in(server, "ops")
    answer = ask(server, "DELETE", "/session", cookie)
    assert answer.data == {"status": "ended"}
    assert answer.headers["set-cookie"].startswith("quarterdeck_session=; Path=/; Max-Age=0;")
    again = ask(server, "GET", "/queues", cookie)
    assert again.status == 401
    assert again.error["message"] == "Your session has ended. Sign in again."
    assert ask(server, "GET", "/queues", other).status == 200
    assert server.get("/queues").status == 200


def test_sign_out_with_a_token_ends_no_session(server: ServerProcess) -> None:
    assert server.delete("/session").data == {"status": "ended"}
    assert server.get("/session").data["kind"] == "token"


def test_revoked_token_ends_its_sessions_at_once(server: ServerProcess) -> None:
    token = server.run("token", "create", "--name", "lent", "--role", "ops").stdout.strip()
    opened = server.call("POST", "/session", token=token)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert ask(server, "GET", "/queues", cookie).status == 200
    token_id = opened.data["principal"].removeprefix("token:")
    assert server.run("token", "revoke", token_id).returncode == 0
    assert ask(server, "GET", "/queues", cookie).status == 401


def test_session_outlives_a_restart(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    cookie = sign_in(server, "ops")
    assert server.stop() == 0
    server.start()
    assert ask(server, "GET", "/session", cookie).data["role"] == "ops"


@pytest.mark.parametrize(
    "cookie",
    ["quarterdeck_session=", "quarterdeck_session=x", "quarterdeck_session=" + "x" * 43,
     "a=b; quarterdeck_session=é"],
)  # fmt: skip
def test_made_up_cookie_is_401(server: ServerProcess, cookie: str) -> None:
    answer = server.call("GET", "/queues", headers={"Cookie": cookie})
    assert answer.error["code"] == "UNAUTHORIZED"


def test_cookie_among_others_is_found(server: ServerProcess) -> None:
    cookie = f"theme=dark; {sign_in(server, 'ops')}; x"
    assert ask(server, "GET", "/session", cookie).data["role"] == "ops"


def test_repeated_sign_in_of_one_key_opens_one_session(server: ServerProcess) -> None:
    """A replayed answer holds no cookie: a session's value is kept nowhere."""
    headers = {"Idempotency-Key": "sign-in-1"}
    first, second = (server.call("POST", "/session", role="ops", headers=headers) for _ in range(2))
    assert "set-cookie" in first.headers
    assert "set-cookie" not in second.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_signing_in_and_out_leaves_audit_rows(server: ServerProcess) -> None:
    cookie = sign_in(server, "admin")
    principal = ask(server, "GET", "/session", cookie).data["principal"]
    ask(server, "DELETE", "/session", cookie)
    for action in ("session.open", "session.end"):
        newest = entries(server, action)[0]
        assert (newest["principal"], newest["role"], newest["outcome"]) == (
            principal, "admin", "ok",
        )  # fmt: skip


def test_no_value_of_a_session_reaches_log_or_audit(server: ServerProcess) -> None:
    value = sign_in(server, "ops").partition("=")[2]
    ask(server, "GET", "/queues", f"quarterdeck_session={value}")
    assert value not in server.log
    assert value not in json.dumps(server.get("/audit?limit=100").data)
