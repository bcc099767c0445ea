"""Small decisions of the HTTP doors."""

import json
import logging
from typing import Any

import pytest

from quarterdeck.api.context import context_of
from quarterdeck.api.layers import ContextLayer, is_public
from quarterdeck.api.metrics import Metrics
from quarterdeck.journal import JsonFormatter, without_secrets


async def seen(
    peer: str, forwarded: str | None, proxies: list[str], raw_path: bytes = b"/x"
) -> dict[str, Any]:
    """What the layer hands on for a request."""
    found: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.update(ip=context_of(scope).client_ip, path=scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        found.setdefault("headers", message.get("headers"))

    metrics = Metrics()
    layer = ContextLayer(application, proxies, metrics.requests, metrics.seconds)
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {
        "type": "http", "method": "GET", "path": "?", "raw_path": raw_path, "headers": headers,
        "client": (peer, 1),
    }  # fmt: skip
    await layer(scope, receive, send)
    return found


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("192.0.2.1", None, [], "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", [], "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", ["192.0.2.0/24"], "203.0.113.9"),
        ("192.0.2.1", "6.6.6.6, 203.0.113.9", ["192.0.2.1"], "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9, 192.0.2.7", ["192.0.2.0/24"], "203.0.113.9"),
        ("192.0.2.1", "192.0.2.7", ["192.0.2.0/24"], "192.0.2.1"),
        ("2001:db8::1", "203.0.113.9", ["2001:db8::/32"], "203.0.113.9"),
    ],
)
async def test_client_address_is_the_last_hop_nobody_vouches_for(
    peer: str, forwarded: str | None, proxies: list[str], expected: str
) -> None:
    assert (await seen(peer, forwarded, proxies))["ip"] == expected


@pytest.mark.parametrize(
    ("raw", "routed"),
    [
        (b"/queues/a%2Fb", "/queues/a%2Fb"),
        (b"/%71ueues/a%2db", "/queues/a-b"),
        (b"/queues/%2e%2E/x", "/queues/../x"),
        (b"/queues/100%25", "/queues/100%25"),
        (b"/queues/%41%5f%7e%40%5b", "/queues/A_~%40%5b"),
    ],
)
async def test_routing_sees_the_path_still_encoded(raw: bytes, routed: str) -> None:
    assert (await seen("192.0.2.1", None, [], raw))["path"] == routed


def test_public_list_matches_whole_segments() -> None:
    assert is_public("/docs/swagger-ui.css")
    assert not is_public("/docsx")
    assert not is_public("/api/v1/platform/system/queues")


@pytest.mark.parametrize(
    "text",
    [
        "token qd_ops_abcdefghij_SECRETSECRET refused",
        "Authorization: Bearer SECRETSECRET",
        "cannot reach postgresql://ops:SECRETSECRET@db/1",
    ],
)
def test_log_holds_no_secret(text: str) -> None:
    assert "SECRET" not in without_secrets(text)
    try:
        raise ValueError(text)
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, __file__, 1, text, (), (type(error), error, error.__traceback__)
        )
    line = JsonFormatter().format(record)
    assert "SECRETSECRET" not in line.replace(repr(text), "")
    assert json.loads(line)["error"]["type"] == "ValueError"
