"""Apprise: real requests of a real service of it, in few threads."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.alert_channels.harness import built
from contract.alert_channels.notices import HOSTILE, hostile, notice
from contract.alert_channels.receivers import Conduct, HttpReceiver, http_receiver
from quarterdeck.alerts import adapters
from quarterdeck.alerts.model import Severity, Transition
from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.core.errors import ConfigError

GOOD = {"name": "others", "kind": "apprise", "urls": ["json://127.0.0.1"]}


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def other() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


def channel(*receivers: HttpReceiver, **changes: Any) -> Any:
    urls = [f"json://user:s3cret@127.0.0.1:{each.port}/s3cret" for each in receivers]
    return built(GOOD | {"urls": urls} | changes)


@pytest.mark.parametrize(
    ("transition", "severity", "kind"),
    [
        (Transition.FIRING, Severity.ERROR, "failure"),
        (Transition.FIRING, Severity.WARNING, "warning"),
        (Transition.FIRING, Severity.INFO, "info"),
        (Transition.RESOLVED, Severity.ERROR, "success"),
    ],
)
async def test_service_hears_title_text_and_kind(
    receiver: HttpReceiver, transition: Transition, severity: Severity, kind: str
) -> None:
    await channel(receiver).send(notice(transition, severity=severity))
    [got] = receiver.received
    assert got.json["type"] == kind
    assert got.json["title"].endswith(f"{severity}: SMTP Service: 5400 jobs wait in email:high")
    assert "Rule: queue_backlog" in got.json["message"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_arrives_as_text(receiver: HttpReceiver, text: str) -> None:
    await channel(receiver).send(hostile(HOSTILE[text]))
    [got] = receiver.received
    assert "\n" not in got.json["title"]
    assert len(got.json["title"]) <= 250


async def test_only_four_at_a_time_and_the_loop_goes_on(receiver: HttpReceiver) -> None:
    receiver.conduct = Conduct.HANG
    made = channel(receiver, timeout_s=60)
    sending = [asyncio.create_task(made.send(notice(message=f"{n}"))) for n in range(9)]
    await receiver.wait_present(4)
    assert len(receiver.received) == 4
    receiver.released.set()
    await asyncio.gather(*sending)
    assert len(receiver.received) == 9
    assert receiver.most_present == 4


async def test_stuck_threads_cost_only_their_slots(receiver: HttpReceiver) -> None:
    receiver.conduct = Conduct.HANG
    made = channel(receiver, timeout_s=0.3)
    results = await asyncio.gather(
        *(made.send(notice(message=f"{n}")) for n in range(6)), return_exceptions=True
    )
    assert [type(each) for each in results] == [DeliveryError] * 6
    receiver.conduct = Conduct.GOOD
    receiver.released.set()
    await receiver.wait_present(0)
    patient = channel(receiver)
    await patient.send(notice())


async def test_services_that_have_it_are_not_told_again(
    receiver: HttpReceiver, other: HttpReceiver
) -> None:
    made = channel(receiver, other)
    other.conduct = Conduct.BREAK
    with pytest.raises(DeliveryError) as failed:
        await made.send(notice())
    assert failed.value.message.startswith("1 of 2 services of Apprise did not take it")
    assert not failed.value.is_permanent
    other.conduct = Conduct.GOOD
    await made.send(notice())
    assert (len(receiver.received), len(other.received)) == (1, 2)
    await made.send(notice())
    assert (len(receiver.received), len(other.received)) == (2, 3)


@pytest.mark.parametrize("url", ["", "s3cret", "nosuch://s3cret", "json://", "https://s3cret/"])
def test_unknown_service_is_refused_without_its_url(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError) as refused:
        built(GOOD | {"urls": ["json://127.0.0.1", url]})
    assert refused.value.message.startswith("alerts.channels 'others': urls[1]: ")
    assert "s3cret" not in refused.value.message + caplog.text


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "quarterdeck.alerts.adapters.apprise")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError) as refused:
        adapters.channel_factory("apprise")
    assert "pip install 'quarterdeck[apprise]'" in refused.value.message
