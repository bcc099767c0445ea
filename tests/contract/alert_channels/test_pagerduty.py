"""Events for PagerDuty: one incident for one alert."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.notices import HOSTILE, LINK, hostile, notice
from contract.alert_channels.receivers import HttpReceiver, http_receiver
from quarterdeck.alerts.adapters.pagerduty import PagerdutyOptions
from quarterdeck.alerts.model import Notification, Severity, Transition
from quarterdeck.alerts.ports import Channel

ACTIONS = {
    "firing": ["trigger"],
    "raised": ["trigger"],
    "reopened": ["trigger"],
    "flapping": ["trigger"],
    "escalated": ["trigger"],
    "acknowledged": ["acknowledge"],
    "unacknowledged": [],
    "resolved": ["resolve"],
    "test": ["trigger", "resolve"],
}


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        opened.status = 202
        yield opened


@pytest.fixture
async def channel(receiver: HttpReceiver) -> AsyncIterator[Channel]:
    url = f"http://127.0.0.1:{receiver.port}/v2/enqueue"
    made = built({"name": "pd", "kind": "pagerduty", "url": url, "routing_key": "R" * 32})
    yield made
    await made.close()


async def events(channel: Channel, receiver: HttpReceiver, told: Notification) -> list[Any]:
    receiver.received.clear()
    await channel.send(told)
    return [each.json for each in receiver.received]


@pytest.mark.parametrize("transition", Transition)
async def test_transition_becomes_its_documented_events(
    channel: Channel, receiver: HttpReceiver, transition: Transition
) -> None:
    found = await events(channel, receiver, notice(transition))
    assert [each["event_action"] for each in found] == ACTIONS[transition]
    assert {each["routing_key"] for each in found} <= {"R" * 32}
    keys = {each["dedup_key"] for each in found}
    if transition is Transition.TEST:
        [key] = keys
        assert key != "f" * 64
        assert len(key) <= 255
    else:
        assert keys <= {"f" * 64}


async def test_trigger_describes_the_alert(channel: Channel, receiver: HttpReceiver) -> None:
    [event] = await events(channel, receiver, notice())
    payload = event["payload"]
    assert payload["summary"] == "Firing: error: SMTP Service: 5400 jobs wait in email:high"
    assert (payload["source"], payload["component"]) == ("SMTP Service", "SMTP Service")
    assert (payload["class"], payload["timestamp"]) == ("queue_backlog", "2025-12-04T12:00:00Z")
    assert payload["custom_details"]["Message"] == "5400 jobs wait in email:high"
    assert payload["custom_details"]["queue"] == "email:high"
    assert event["links"][0] == {"href": LINK, "text": "Open the alert"}


@pytest.mark.parametrize("severity", Severity)
async def test_severity_is_one_that_pagerduty_knows(
    channel: Channel, receiver: HttpReceiver, severity: Severity
) -> None:
    [event] = await events(channel, receiver, notice(severity=severity))
    assert event["payload"]["severity"] == str(severity)
    assert event["payload"]["severity"] in {"critical", "error", "warning", "info"}


@pytest.mark.parametrize("text", HOSTILE)
async def test_events_keep_to_the_limits(
    channel: Channel, receiver: HttpReceiver, text: str
) -> None:
    [event] = await events(channel, receiver, hostile(HOSTILE[text]))
    assert 0 < len(event["payload"]["summary"]) <= 1024
    assert 0 < len(event["payload"]["source"]) <= 255
    assert len(receiver.received[0].body) < 512 * 1024
    assert event["event_action"] == "trigger"


async def test_two_tests_are_two_incidents(channel: Channel, receiver: HttpReceiver) -> None:
    first = notice(Transition.TEST)
    second = Notification("another", Transition.TEST, first.alert, first.at, None)
    one = (await events(channel, receiver, first))[0]["dedup_key"]
    other = (await events(channel, receiver, second))[0]["dedup_key"]
    assert one != other
    assert (await events(channel, receiver, first))[0]["dedup_key"] == one


def test_region_is_the_american_one_unless_told() -> None:
    options = PagerdutyOptions(name="pd", kind="pagerduty", routing_key="R")
    assert options.url == "https://events.pagerduty.com/v2/enqueue"


async def test_labels_never_hide_what_we_say(channel: Channel, receiver: HttpReceiver) -> None:
    labels = {"Message": "all is well", "Severity": "none", "Status": "fine"}
    [event] = await events(channel, receiver, notice(labels=labels))
    details = event["payload"]["custom_details"]
    assert details["Message"] == "5400 jobs wait in email:high"
    assert details["Severity"] == "error"
    assert details["Status"] == "Firing since 2025-12-04T11:56:00Z."
