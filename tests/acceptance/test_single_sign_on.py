"""Single sign-on over the wire: there, back, and what is refused on the way."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import servers
from acceptance.server_process import Answer, ServerProcess
from oidc_world import CLIENT_ID, CLIENT_SECRET, OidcServer, oidc_server

OURS = {
    "Sec-Fetch-Site": "same-origin",
    "X-Quarterdeck-Client": "console",
    "Content-Type": "application/json",
}


@dataclass
class Deck:
    """A server, and the provider that it trusts."""

    server: ServerProcess
    provider: OidcServer

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] = OURS) -> Answer:
        return self.server.call("POST", path, body=json.dumps(body).encode(), headers=headers)

    def begin(self, return_to: str = "/") -> Answer:
        return self.post("/session/single-sign-on", {"return_to": return_to})

    def consent(self, departure: Answer) -> dict[str, str]:
        query = parse_qs(urlsplit(departure.data["url"]).query)
        back = self.provider.authorize({name: each[0] for name, each in query.items()})
        return {name: each[0] for name, each in parse_qs(urlsplit(back).query).items()}

    def finish(self, departure: Answer, answer: dict[str, str]) -> Answer:
        cookie = departure.headers["set-cookie"].partition(";")[0]
        return self.post("/session/single-sign-on/answer", answer, {**OURS, "Cookie": cookie})


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    port = servers.free_port()
    public = f"http://127.0.0.1:{port}"
    with oidc_server(f"{public}/console/signed-in") as provider:
        settings = (
            f'[access.oidc]\nissuer = "{provider.issuer}"\nclient_id = "{CLIENT_ID}"\n'
            f'client_secret = "{CLIENT_SECRET}"\npublic_url = "{public}"\nname = "Example ID"\n'
        )
        server = ServerProcess(tmp_path_factory.mktemp("deck"), settings=settings, port=port)
        server.start()
        yield Deck(server, provider)
        assert server.stop() == 0
        assert "unexpected error" not in server.log
        assert CLIENT_SECRET not in server.log


def test_there_and_back_opens_a_session_and_leaves_a_trace(deck: Deck) -> None:
    departure = deck.begin("/dashboard/system/logs")
    assert departure.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict")
    arrived = deck.finish(departure, deck.consent(departure))
    assert arrived.status == 200, arrived.raw
    assert arrived.data["return_to"] == "/dashboard/system/logs"
    assert arrived.data["session"]["name"] == "Ann Example"
    cookie = arrived.headers["set-cookie"].partition(";")[0]
    who = deck.server.call("GET", "/session", headers={**OURS, "Cookie": cookie})
    assert (who.data["principal"], who.data["role"]) == ("jwt:u-7", "ops")
    (entry,) = deck.server.get("/audit?action=session.open&principal=jwt:u-7").data["entries"]
    assert (entry["resource"], entry["outcome"]) == ("single sign-on", "ok")


def test_ways_in_are_told_to_everybody(deck: Deck) -> None:
    answer = deck.server.call("GET", "/session/ways")
    assert answer.data == {"token": True, "single_sign_on": "Example ID"}


def test_without_a_provider_there_is_no_such_way(server: ServerProcess) -> None:
    assert server.call("GET", "/session/ways").data == {"token": True, "single_sign_on": None}
    refused = server.call("POST", "/session/single-sign-on", body=b"{}", headers=OURS)
    assert (refused.status, refused.error["message"]) == (
        404, "Single sign-on is not configured here. Sign in with a token.",
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {**OURS, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"},
    ],
    ids=["no browser", "another site", "a form"],
)
def test_another_site_begins_and_ends_nothing(deck: Deck, headers: dict[str, str]) -> None:
    for path, body in (("", {}), ("/answer", {"state": "x", "code": "y"})):
        answer = deck.post(f"/session/single-sign-on{path}", body, headers)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


def test_answer_of_another_browser_opens_nothing(deck: Deck) -> None:
    answer = deck.consent(deck.begin())
    refused = deck.finish(deck.begin(), answer)
    assert refused.status == 401
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"state": 1}', '{"state": "x", "more": 1}'])
def test_answer_that_is_none_is_refused(deck: Deck, body: str) -> None:
    answer = deck.server.call(
        "POST", "/session/single-sign-on/answer", body=body.encode(), headers=OURS
    )
    assert answer.status == 400
    assert answer.error["code"] == "VALIDATION_ERROR"


def test_provider_that_is_away_is_told(
    start_server: Callable[..., ServerProcess], deck: Deck
) -> None:
    port = servers.free_port()
    settings = (
        f'[access.oidc]\nissuer = "http://127.0.0.1:{port}"\nclient_id = "x"\n'
        'public_url = "http://127.0.0.1"\n'
    )
    alone = start_server(settings=settings)
    answer = alone.call("POST", "/session/single-sign-on", body=b"{}", headers=OURS)
    assert answer.status == 503
    assert "connection refused" in answer.error["message"]
