"""The webhook: its document, its headers, and the receiver of the documents."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.notices import LINK, NOON, RUNBOOK, notice
from contract.alert_channels.receivers import HttpReceiver, http_receiver
from quarterdeck.alerts.adapters.webhook import WebhookChannel, WebhookOptions
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.api.alert_schemas import AlertItem
from quarterdeck.core.errors import ConfigError

PAGE = (Path(__file__).parents[3] / "docs" / "alert-channels.md").read_text()
SECRET = "0123456789abcdef-shared"
GOOD = {"name": "hook", "kind": "webhook", "url": "http://127.0.0.1:1/", "secret": SECRET}


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def channel(receiver: HttpReceiver) -> AsyncIterator[WebhookChannel]:
    options = WebhookOptions(
        name="hook", kind="webhook", url=f"http://127.0.0.1:{receiver.port}/a%2Fb?c=d%26",
        secret=SECRET, headers={"Authorization": "Bearer x", "X-Team": "ops"},
    )  # fmt: skip
    made = WebhookChannel(options, lambda: NOON)
    yield made
    await made.close()


def documented(language: str, number: int = 0) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found[number]


def documented_check() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(documented("python"), names)
    check: Callable[..., bool] = names["is_genuine"]
    return check


async def test_notice_is_the_documented_document(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    await channel.send(notice())
    [got] = receiver.received
    assert got.path == "/a%2Fb?c=d%26"
    example = json.loads(documented("json"))
    assert list(got.json) == list(example)
    assert list(got.json["alert"]) == list(example["alert"])
    assert got.json["alert"] == example["alert"] | {
        "id": "alert_1", "fingerprint": "f" * 64, "runbook_url": RUNBOOK,
    }  # fmt: skip
    assert got.json["link"] == LINK
    assert (got.json["transition"], got.json["at"]) == ("firing", "2025-12-04T12:00:00Z")


def test_alert_has_the_fields_of_the_api() -> None:
    assert list(json.loads(documented("json"))["alert"]) == list(AlertItem.__struct_fields__)


async def test_resolved_and_acknowledged_alerts_say_when(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    await channel.send(notice(Transition.RESOLVED))
    await channel.send(notice(Transition.ACKNOWLEDGED))
    resolved, acknowledged = (each.json["alert"] for each in receiver.received)
    assert (resolved["status"], resolved["resolved_at"]) == ("resolved", "2025-12-04T12:08:03Z")
    assert acknowledged["acknowledged"] is True
    assert acknowledged["acknowledged_by"] == "alice"
    assert acknowledged["note"] == "On it.\nReally."


async def test_signature_passes_the_check_of_the_documents(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    await channel.send(notice(message="Grüße 🔥"))
    [got] = receiver.received
    check, signed = documented_check(), got.headers["x-quarterdeck-signature"]
    now = NOON.timestamp()
    assert check(signed, got.body, SECRET, now + 10)
    assert not check(signed, got.body, SECRET, now + 301)
    assert not check(signed, got.body + b" ", SECRET, now)
    assert not check(signed, got.body, SECRET + "x", now)
    assert not check(signed.replace("t=1764849600", "t=1764849601"), got.body, SECRET, now)


async def test_signature_of_the_platform_is_that_of_the_body(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    await channel.send(notice())
    [got] = receiver.received
    expected = hmac.new(SECRET.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-penguinmails-signature"] == f"sha256={expected}"


async def test_headers_are_ours_and_those_of_the_settings(
    channel: WebhookChannel, receiver: HttpReceiver
) -> None:
    await channel.send(notice())
    await channel.send(notice())
    first, second = (each.headers for each in receiver.received)
    assert first["idempotency-key"] == second["idempotency-key"] == "alert_1:firing:1"
    assert first["content-type"] == "application/json"
    assert first["user-agent"] == "quarterdeck"
    assert (first["authorization"], first["x-team"]) == ("Bearer x", "ops")


async def test_nothing_is_signed_without_a_secret(receiver: HttpReceiver) -> None:
    channel = built(GOOD | {"secret": "", "url": f"http://127.0.0.1:{receiver.port}/"})
    await channel.send(notice())
    await channel.close()
    assert not [name for name in receiver.received[0].headers if "signature" in name]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_counts_as_taken(receiver: HttpReceiver, status: int) -> None:
    receiver.status, receiver.answer = status, b""
    channel = built(GOOD | {"url": f"http://127.0.0.1:{receiver.port}/"})
    await channel.send(notice())
    await channel.close()


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [
        (301, True), (307, True), (400, True), (401, True), (404, True), (410, True), (422, True),
        (408, False), (425, False), (429, False), (500, False), (502, False), (503, False),
    ],
)  # fmt: skip
async def test_status_says_whether_to_try_again(
    receiver: HttpReceiver, status: int, is_permanent: bool
) -> None:
    receiver.status = status
    receiver.headers = {"Retry-After": "7", "Location": "http://127.0.0.1:1/elsewhere"}
    channel = built(GOOD | {"url": f"http://127.0.0.1:{receiver.port}/"})
    with pytest.raises(DeliveryError) as failed:
        await channel.send(notice())
    await channel.close()
    assert failed.value.is_permanent is is_permanent
    assert failed.value.retry_after_s == (None if is_permanent else 7.0)
    assert f"127.0.0.1 answered {status}" in failed.value.message
    assert "elsewhere" not in failed.value.message
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url": ""}, "url"),
        ({"url": "ftp://example.org/s3cret"}, "url"),
        ({"url": "http:///s3cret"}, "url"),
        ({"url": "http://example.org:99999/s3cret"}, "url"),
        ({"secret": "short-s3cret"}, "secret"),
        ({"headers": {"X-Quarterdeck-Signature": "x"}}, "headers"),
        ({"headers": {"host": "x"}}, "headers"),
        ({"headers": {"a b": "x"}}, "headers"),
        ({"headers": {"A": "s3cret\r\nB: x"}}, "headers"),
        ({"headers": {"A": "s3crét"}}, "headers"),
    ],
    ids=[
        "no-url", "no-http", "no-host", "no-port", "short-secret", "our-header", "host-header",
        "no-header-name", "line-break", "no-ascii",
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(GOOD | changes)
    assert refused.value.message.startswith(f"alerts.channels 'hook': {named}: ")
    assert "s3cr" not in refused.value.message
