"""What every channel must do, with every receiver that can go wrong."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from contract.alert_channels.harness import SECRET, ChannelHarness
from contract.alert_channels.notices import HOSTILE, LINK, hostile, notice
from contract.alert_channels.receivers import Conduct
from quarterdeck.alerts.adapters import CHANNELS, channel_factory
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.ports import Channel, DeliveryError

RECEIVERS_LOGS = ("aiohttp.access", "mail.log")
FAILURES = (Conduct.HANG, Conduct.RESET, Conduct.BREAK, Conduct.BUSY, Conduct.REFUSE)


async def failure(channel: Channel, transition: Transition = Transition.FIRING) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        await channel.send(notice(transition))
    assert failed.value.__cause__ is None
    return failed.value


@pytest.mark.parametrize("transition", Transition)
async def test_each_transition_is_delivered_or_left_out(
    harness: ChannelHarness, channel: Channel, transition: Transition
) -> None:
    await channel.send(notice(transition))
    assert bool(harness.texts()) is (transition not in harness.left_out)


@pytest.mark.parametrize(
    "transition", [Transition.FIRING, Transition.RAISED, Transition.REOPENED, Transition.TEST]
)
async def test_notice_says_what_where_and_how_bad(
    harness: ChannelHarness, channel: Channel, transition: Transition
) -> None:
    await channel.send(notice(transition))
    [said, *_] = harness.texts()
    for word in ("5400 jobs wait in email:high", "SMTP Service", "error", "docs.example.org"):
        assert word in said
    assert LINK in said.replace("&amp;", "&")


@pytest.mark.parametrize("conduct", FAILURES)
async def test_failing_receiver_is_a_delivery_error_of_the_right_kind(
    harness: ChannelHarness, conduct: Conduct
) -> None:
    channel = harness.channel(timeout_s=0.5 if conduct is Conduct.HANG else 10)
    harness.conduct(conduct)
    failed = await failure(channel)
    assert failed.is_permanent is (conduct is Conduct.REFUSE and harness.knows_reasons)
    assert failed.message.endswith(".")
    await channel.close()


async def test_receiver_that_hangs_costs_its_own_timeout(harness: ChannelHarness) -> None:
    channel = harness.channel(timeout_s=0.3)
    harness.conduct(Conduct.HANG)
    assert "within 0.3 s" in (await failure(channel)).message
    await channel.close()


async def test_cancelled_delivery_leaves_nothing_behind(
    harness: ChannelHarness, channel: Channel
) -> None:
    harness.conduct(Conduct.HANG)
    before = asyncio.all_tasks()
    sending = asyncio.create_task(channel.send(notice()))
    await harness.wait_busy()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await harness.wait_left()
    await asyncio.sleep(0)
    ours = {task for task in asyncio.all_tasks() - before if "quarterdeck" in repr(task)}
    assert ours == set()


async def test_endless_answer_ends_by_itself(harness: ChannelHarness) -> None:
    channel = harness.channel(timeout_s=1.5)
    harness.conduct(Conduct.FLOOD)
    if harness.survives_flood:
        await channel.send(notice())
    else:
        assert not (await failure(channel)).is_permanent
    harness.release()
    await harness.wait_left()
    await channel.close()


async def test_nobody_listening_is_a_delivery_error_for_now(harness: ChannelHarness) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        changes = _with_port(harness.entry, port)
        channel = harness.channel(**changes)
        assert not (await failure(channel)).is_permanent
        await channel.close()


async def test_unknown_host_is_a_delivery_error_for_now(harness: ChannelHarness) -> None:
    changes = _with_host(harness.entry, "no-such-host.invalid")
    channel = harness.channel(**changes)
    assert not (await failure(channel)).is_permanent
    await channel.close()


async def test_channel_delivers_again_after_a_failure_and_a_close(
    harness: ChannelHarness, channel: Channel
) -> None:
    harness.conduct(Conduct.RESET)
    await failure(channel)
    await channel.close()
    harness.conduct(Conduct.GOOD)
    before = len(harness.texts())
    await channel.send(notice())
    assert len(harness.texts()) == before + 1


@pytest.mark.parametrize("conduct", [Conduct.GOOD, *FAILURES])
async def test_secrets_stay_out_of_errors_and_logs(
    harness: ChannelHarness, conduct: Conduct, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = harness.channel(timeout_s=0.5 if conduct is Conduct.HANG else 10)
    harness.conduct(conduct)
    try:
        await channel.send(notice())
    except DeliveryError as error:
        assert SECRET not in f"{error} {error!r} {error.__cause__!r}"
        assert error.__context__ is None or error.__suppress_context__
    await channel.close()
    assert SECRET not in f"{channel!r} {channel}"
    said = [r.getMessage() for r in caplog.records if r.name not in RECEIVERS_LOGS]
    assert SECRET not in "\n".join(said)


@pytest.mark.parametrize("kind", CHANNELS)
def test_options_show_their_name_only(kind: str) -> None:
    options = channel_factory(kind).Options
    fields: dict[str, Any] = dict.fromkeys(options.__struct_fields__, SECRET)
    made = options(**(fields | {"name": "night shift"}))
    assert repr(made) == f"{options.__name__}(name='night shift', ...)"
    assert SECRET not in str(list(made.__rich_repr__()))


@pytest.mark.parametrize("transition", [Transition.FIRING, Transition.RESOLVED])
@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_are_delivered_and_harmless(
    harness: ChannelHarness, channel: Channel, text: str, transition: Transition
) -> None:
    await channel.send(hostile(HOSTILE[text], transition))
    [arrived] = harness.texts()
    assert 0 < len(arrived) < 2_000_000
    assert "\x1b" not in arrived


async def test_many_notices_at_once_all_arrive(harness: ChannelHarness, channel: Channel) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(channel.send(notice(message=f"number {number}.")))
    texts = "\n".join(harness.texts())
    assert [n for n in range(20) if f"number {n}." not in texts] == []


def _with_port(entry: dict[str, Any], port: str) -> dict[str, Any]:
    if "port" in entry:
        return {"port": int(port)}
    if "urls" in entry:
        return {"urls": [_other_port(url, port) for url in entry["urls"]]}
    return {"url": _other_port(entry["url"], port)}


def _other_port(url: str, port: str) -> str:
    head, _, tail = url.rpartition("127.0.0.1:")
    return f"{head}127.0.0.1:{port}/{tail.partition('/')[2]}"


def _with_host(entry: dict[str, Any], host: str) -> dict[str, Any]:
    if "server" in entry:
        return {"server": host}
    if "urls" in entry:
        return {"urls": [url.replace("127.0.0.1", host) for url in entry["urls"]]}
    return {"url": entry["url"].replace("127.0.0.1", host)}
