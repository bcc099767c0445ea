"""What Slack is sent: words beside colours, and never a mention."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.notices import HOSTILE, hostile, notice
from contract.alert_channels.receivers import HttpReceiver, http_receiver
from quarterdeck.alerts.adapters.slack import escaped
from quarterdeck.alerts.model import Severity, Transition
from quarterdeck.alerts.ports import Channel, DeliveryError


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def channel(receiver: HttpReceiver) -> AsyncIterator[Channel]:
    url = f"http://127.0.0.1:{receiver.port}/services/T/B/s3cret"
    made = built({"name": "slack", "kind": "slack", "url": url})
    yield made
    await made.close()


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """All text objects of Block Kit in a message."""
    if isinstance(value, dict):
        if value.get("type") in {"mrkdwn", "plain_text"}:
            yield value
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


async def sent(channel: Channel, receiver: HttpReceiver, told: Any) -> Any:
    await channel.send(told)
    return receiver.received[-1].json


@pytest.mark.parametrize("severity", Severity)
async def test_severity_is_in_words_beside_its_colour(
    channel: Channel, receiver: HttpReceiver, severity: Severity
) -> None:
    message = await sent(channel, receiver, notice(severity=severity))
    assert message["text"] == f"Firing: {severity}: SMTP Service: 5400 jobs wait in email:high"
    [attachment] = message["attachments"]
    assert attachment["color"].startswith("#")
    shown = [each["text"] for each in texts(attachment)]
    assert f"*Severity*\n{severity}" in shown
    assert "*Service*\nSMTP Service" in shown
    assert "5400 jobs wait in email:high" in shown


async def test_times_are_shown_in_the_readers_zone(
    channel: Channel, receiver: HttpReceiver
) -> None:
    message = await sent(channel, receiver, notice())
    date = "<!date^1764849360^{date_short_pretty} {time_secs}|2025-12-04 11:56:00 UTC>"
    assert f"*Since*\n{date}" in [each["text"] for each in texts(message)]


async def test_resolved_says_how_long_it_lasted_in_green(
    channel: Channel, receiver: HttpReceiver
) -> None:
    message = await sent(channel, receiver, notice(Transition.RESOLVED))
    assert message["attachments"][0]["color"] == "#2e7d32"
    assert "*Lasted*\n12 min 3 s" in [each["text"] for each in texts(message)]
    assert message["text"].startswith("Resolved: error: ")


async def test_links_are_links_and_cannot_be_broken(
    channel: Channel, receiver: HttpReceiver
) -> None:
    message = await sent(channel, receiver, notice())
    links = [each["text"] for each in texts(message)][-1]
    assert links == (
        "<https://ops.example.org/console/alerts/alert_1?a=1&amp;b=2|Open the alert> · "
        "<https://docs.example.org/smtp%7Cqueue%3E|Runbook>"
    )


@pytest.mark.parametrize("transition", Transition)
@pytest.mark.parametrize("text", HOSTILE)
async def test_foreign_text_is_never_markup(
    channel: Channel, receiver: HttpReceiver, text: str, transition: Transition
) -> None:
    message = await sent(channel, receiver, hostile(HOSTILE[text], transition))
    assert "<" not in message["text"]
    assert message["mrkdwn"] is False
    assert 0 < len(message["text"]) <= 4000
    for each in texts(message):
        limit = 3000 if each["type"] == "plain_text" else 2000
        assert 0 < len(each["text"].encode("utf-16-le")) // 2 <= limit * 2
        rest = each["text"]
        for ours in ("<!date^1764849360^", "<https://x.org/"):
            rest = rest.replace(ours, "")
        assert "<" not in rest
        assert each.get("verbatim", each["type"] == "plain_text") is True


async def test_sections_keep_to_the_limits_of_slack(
    channel: Channel, receiver: HttpReceiver
) -> None:
    message = await sent(channel, receiver, notice(message="&🔥" * 50_000, note="&" * 50_000))
    [section] = [each for each in texts(message) if each["type"] == "plain_text"]
    assert 2900 < len(section["text"].encode("utf-16-le")) // 2 <= 3000
    assert section["text"].endswith("…")
    assert len(json.dumps(message)) < 40_000


@pytest.mark.parametrize("text", ["a&b", "<", ">>>", "🔥", "plain"])
def test_escaping_is_undone_by_entities(text: str) -> None:
    undone = escaped(text, 100).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert undone == text


def test_escaping_never_cuts_an_entity() -> None:
    assert {escaped("&&&&", limit) for limit in range(1, 30)} == {
        "…", "&amp;…", "&amp;&amp;…", "&amp;&amp;&amp;…", "&amp;&amp;&amp;&amp;",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(b"invalid_payload", True), (b"no_service\n", True), (b"your token s3cret is bad", False)],
    ids=["known", "known-with-a-line-break", "foreign"],
)
async def test_reason_is_shown_only_in_slacks_own_words(
    channel: Channel, receiver: HttpReceiver, answer: bytes, shown: bool
) -> None:
    receiver.status, receiver.answer = 403, answer
    with pytest.raises(DeliveryError) as failed:
        await channel.send(notice())
    assert failed.value.is_permanent
    assert (f"({answer.decode().strip()})" in failed.value.message) is shown
    assert "s3cret" not in failed.value.message
