"""What an Alertmanager is posted: labels that identify, times that end."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.notices import HOSTILE, NOON, hostile, notice
from contract.alert_channels.receivers import HttpReceiver, http_receiver
from quarterdeck.alerts.adapters.alertmanager import AlertmanagerChannel, AlertmanagerOptions
from quarterdeck.alerts.model import AlertState, Notification, Transition

NOW = NOON + timedelta(seconds=7)
STILL_FIRING = "2025-12-04T12:05:07Z"


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def channel(receiver: HttpReceiver) -> AsyncIterator[AlertmanagerChannel]:
    options = AlertmanagerOptions(
        name="am", kind="alertmanager", url=f"http://127.0.0.1:{receiver.port}/am/",
        labels={"cluster": "eu", "service": "ours"},
    )  # fmt: skip
    made = AlertmanagerChannel(options, lambda: NOW)
    yield made
    await made.close()


async def posted(channel: AlertmanagerChannel, receiver: HttpReceiver, told: Notification) -> Any:
    receiver.received.clear()
    await channel.send(told)
    return receiver.received[0].json[0] if receiver.received else None


async def test_alert_has_labels_annotations_and_a_link(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    alert = await posted(channel, receiver, notice())
    assert receiver.received[0].path == "/am/api/v2/alerts"
    assert alert == {
        "labels": {
            "alertname": "queue_backlog", "service": "ours", "severity": "error",
            "source": "queue", "cluster": "eu", "queue": "email:high",
        },
        "annotations": {
            "summary": "5400 jobs wait in email:high", "value": "5400",
            "runbook_url": "https://docs.example.org/smtp%7Cqueue%3E",
        },
        "startsAt": "2025-12-04T11:56:00Z",
        "endsAt": STILL_FIRING,
        "generatorURL": "https://ops.example.org/console/alerts/alert_1?a=1&b=2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("transition", "ends_at"),
    [
        ("firing", STILL_FIRING), ("raised", STILL_FIRING), ("reopened", STILL_FIRING),
        ("flapping", STILL_FIRING), ("test", STILL_FIRING), ("resolved", "2025-12-04T12:08:03Z"),
        ("acknowledged", None), ("unacknowledged", None), ("escalated", None),
    ],
)  # fmt: skip
async def test_transition_is_firing_over_or_left_out(
    channel: AlertmanagerChannel, receiver: HttpReceiver, transition: str, ends_at: str | None
) -> None:
    alert = await posted(channel, receiver, notice(Transition(transition)))
    assert (alert["endsAt"] if alert else None) == ends_at


async def test_flapping_alert_that_is_over_is_told_as_over(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    told = notice(Transition.FLAPPING, state=AlertState.RESOLVED, resolved_at=NOON)
    assert (await posted(channel, receiver, told))["endsAt"] == "2025-12-04T12:00:00Z"


async def test_alert_never_ends_before_it_starts(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    early = NOON - timedelta(hours=1)
    alert = await posted(channel, receiver, notice(Transition.RESOLVED, resolved_at=early))
    assert alert["endsAt"] == alert["startsAt"]


async def test_labels_of_one_alert_stay_the_same(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    first = await posted(channel, receiver, notice())
    changed = notice(Transition.RESOLVED, value=1.0, message="other", note="n", count=3)
    assert (await posted(channel, receiver, changed))["labels"] == first["labels"]


async def test_test_is_an_alert_of_its_own(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    alert = await posted(channel, receiver, notice(Transition.TEST))
    assert alert["labels"]["quarterdeck_test"] == "true"


async def test_names_of_labels_are_ones_it_takes_and_ours_win(
    channel: AlertmanagerChannel, receiver: HttpReceiver
) -> None:
    labels = {"severity": "theirs", "a.b-c": "1", "9": "2", "é": "3", "": "4", "empty": ""}
    alert = await posted(channel, receiver, notice(labels=labels))
    found = alert["labels"]
    assert (found["severity"], found["exported_severity"]) == ("error", "theirs")
    assert (found["a_b_c"], found["_9"]) == ("1", "2")
    assert "empty" not in found
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in found)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_make_valid_alerts(
    channel: AlertmanagerChannel, receiver: HttpReceiver, text: str
) -> None:
    alert = await posted(channel, receiver, hostile(HOSTILE[text]))
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in alert["labels"])
    assert all(alert["labels"].values())
    assert all(alert["annotations"].values())


def test_core_is_told_to_send_again() -> None:
    made = built({"name": "am", "kind": "alertmanager", "url": "http://127.0.0.1:1"})
    assert getattr(made, "resend_s", None) == 60.0
    hook = built({"name": "hook", "kind": "webhook", "url": "http://127.0.0.1:1"})
    assert getattr(hook, "resend_s", None) is None
