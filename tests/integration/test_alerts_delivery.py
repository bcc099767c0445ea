"""Notices on their way: order, retries, dead letters, leases, channels that hang."""

import pytest

from quarterdeck.alerts.dispatcher import BACKOFF_S
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.routing import Route
from quarterdeck.state import Database, migrate
from servers import MIGRATIONS
from unit.alerts_core.world import ALERT_MIGRATIONS, World, refusal


@pytest.fixture
def database_url(database_url: str) -> str:
    migrate(database_url, list(dict.fromkeys([*MIGRATIONS, ALERT_MIGRATIONS])))
    return database_url


async def test_alert_is_told_when_it_fires_and_when_it_ends(database: Database) -> None:
    world = World(database)
    async with world.sending():
        world.waiting(12_345)
        await world.look()
        (fired,) = await world.ops.until(1)
        world.waiting(3)
        await world.look(15)
        _, ended = await world.ops.until(2)
    assert (fired.transition, ended.transition) == (Transition.FIRING, Transition.RESOLVED)
    assert fired.alert.message == "Queue size exceeded 10,000 threshold: 12,345 jobs wait in email"
    assert fired.id == f"{fired.alert.id}:1:ops"
    assert fired.link == f"https://ops.example.org/console/alerts/{fired.alert.id}"
    assert ended.id == f"{fired.alert.id}:2:ops"
    assert ended.alert.resolved_at == world.clock.now
    assert (await world.service.stats()).waiting_notices == 0


async def test_refused_notice_is_sent_again_after_each_step_and_then_given_up(
    database: Database,
) -> None:
    world = World(database)
    world.ops.refusals = [refusal() for _ in range(len(BACKOFF_S) + 1)]
    world.waiting(20_000)
    await world.look()
    await world.send()
    assert world.ops.attempts == 1
    for tries, wait_s in enumerate(BACKOFF_S, 2):
        world.clock.advance(wait_s - 1)
        await world.send()
        assert world.ops.attempts == tries - 1
        world.clock.advance(1)
        await world.send()
        assert world.ops.attempts == tries
    (dead,) = await world.service.dead_letters()
    assert (dead.channel, dead.transition, dead.attempts) == ("ops", "firing", 7)
    assert dead.error == "the receiver refused"
    assert (await world.service.stats()).dead_letters == 1
    assert world.ops.got == []


async def test_end_never_overtakes_a_beginning_that_is_retried(database: Database) -> None:
    world = World(database)
    world.ops.refusals = [refusal(after=500)]
    world.waiting(20_000)
    await world.look()
    await world.send()
    world.waiting(0)
    await world.look(15)
    world.clock.advance(484)
    await world.send()
    assert world.ops.attempts == 1
    world.clock.advance(1)
    await world.send()
    assert world.ops.told == [Transition.FIRING, Transition.RESOLVED]


async def test_end_is_not_told_where_the_beginning_was_refused_for_good(
    database: Database,
) -> None:
    world = World(database, [Route("ops"), Route("chat")])
    world.ops.refusals = [refusal(permanent=True)]
    world.waiting(20_000)
    await world.look()
    await world.send()
    world.waiting(0)
    await world.look(15)
    await world.send()
    assert world.ops.attempts == 1
    assert world.channels["chat"].told == [Transition.FIRING, Transition.RESOLVED]
    assert [each.channel for each in await world.service.dead_letters()] == ["ops"]


async def test_channel_that_hangs_delays_only_itself(database: Database) -> None:
    world = World(database, [Route("ops"), Route("stuck")])
    stuck = world.channels["stuck"]
    stuck.gate.clear()
    async with world.sending():
        world.waiting(20_000)
        await world.look()
        await stuck.until_tried(1)
        for number in range(1, 6):
            world.waiting(20_000, f"q{number}")
            await world.look(15)
            await world.ops.until(number + 1)
        assert stuck.got == []
        stuck.gate.set()
        await stuck.until(6)


async def test_unexpected_failure_of_a_channel_is_retried(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(database)
    world.ops.refusals = [RuntimeError("secret words")]
    world.waiting(20_000)
    await world.look()
    await world.send()
    world.clock.advance(BACKOFF_S[0])
    await world.send()
    assert world.ops.told == [Transition.FIRING]
    assert "the channel 'ops' failed in a way it should not" in caplog.text


async def test_notice_of_a_dead_server_is_sent_again_under_the_same_id(
    database: Database,
) -> None:
    world = World(database)
    world.waiting(20_000)
    await world.look()
    (lost,) = await world.service._outbox.claim("ops", world.clock.now, 30, 8)
    await world.send()
    assert world.ops.got == []
    world.clock.advance(31)
    await world.send()
    assert [each.id for each in world.ops.got] == [lost.notification.id]
    assert not await world.service._outbox.deliver(lost, world.clock.now)


async def test_end_is_told_where_a_dead_server_may_have_told_the_beginning(
    database: Database,
) -> None:
    world = World(database)
    world.waiting(20_000)
    await world.look()
    await world.service._outbox.claim("ops", world.clock.now, 30, 8)
    world.clock.advance(31)
    world.ops.refusals = [refusal(permanent=True)]
    await world.send()
    world.waiting(0)
    await world.look(15)
    await world.send()
    assert world.ops.told == [Transition.RESOLVED]


async def test_receiver_that_forgets_is_told_again_while_it_fires(database: Database) -> None:
    world = World(database)
    world.resend_s = 60
    world.service = world.build()
    world.waiting(20_000)
    await world.look()
    await world.send()
    world.waiting(30_000)
    await world.look(60)
    async with world.sending():
        again = (await world.ops.until(2))[1]
    assert again.id == world.ops.got[0].id
    assert again.alert.value == 30_000
    world.waiting(0)
    await world.look(15)
    await world.send()
    world.clock.advance(600)
    async with world.sending():
        world.waiting(20_000, "other")
        await world.look()
        await world.ops.until(4)
    assert world.ops.told == [*[Transition.FIRING] * 2, Transition.RESOLVED, Transition.FIRING]


async def test_notices_of_a_channel_that_is_gone_are_given_up(database: Database) -> None:
    world = World(database)
    world.waiting(20_000)
    await world.look()
    world.clock.advance(3601)
    bare = World(database, [], clock=world.clock)
    await bare.service._upkeep.once()
    (dead,) = await bare.service.dead_letters()
    assert dead.error.startswith("No such channel is configured any more")
