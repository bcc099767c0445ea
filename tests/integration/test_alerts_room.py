"""The room on both databases: rivals, restarts, silences, acknowledgements, followers, tests."""

import asyncio
from datetime import timedelta

import pytest

from quarterdeck.alerts.external import ExternalAlert
from quarterdeck.alerts.model import AlertState, Matcher, Severity, Transition
from quarterdeck.alerts.routing import Route
from quarterdeck.core.errors import Conflict, InvalidRequest, NotFound, SourceUnavailable
from quarterdeck.state import Database, migrate, open_database
from servers import MIGRATIONS
from unit.alerts_core.world import ALERT_MIGRATIONS, NOON, World, refusal
from workers.support import execute, rows, until

STEPS = (Route("ops"), Route("pager", Severity.ERROR, step=2))


@pytest.fixture
def database_url(database_url: str) -> str:
    migrate(database_url, list(dict.fromkeys([*MIGRATIONS, ALERT_MIGRATIONS])))
    return database_url


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_servers_that_look_at_once_make_one_alert_and_one_notice(
    database: Database, database_url: str
) -> None:
    second = open_database(database_url, "state")
    world = World(database)
    rival = World(second, clock=world.clock)
    for waiting in (20_000, 0, 20_000, 0):
        for each in (world, rival):
            for number in range(5):
                each.waiting(waiting, f"q{number}")
        await asyncio.gather(*(each.service.evaluate() for each in (world, rival) * 4))
        world.clock.advance(15)
    await second.close()
    made = await rows(database, "SELECT count(*), count(DISTINCT fingerprint) FROM alerts")
    assert made == [(5, 5)]
    query = "SELECT transition, count(*) FROM alert_notices GROUP BY transition ORDER BY 1"
    assert await rows(database, query) == [("firing", 5), ("reopened", 5), ("resolved", 10)]


async def test_servers_that_send_at_once_send_each_notice_once(
    database: Database, database_url: str
) -> None:
    second = open_database(database_url, "state")
    world = World(database)
    rival = World(second, clock=world.clock)
    for number in range(40):
        world.waiting(20_000, f"q{number}")
    await world.look()
    for each in (world, rival):
        each.ops.gate.clear()
    async with world.sending(), rival.sending():
        await world.ops.until_tried(1)
        await rival.ops.until_tried(1)
        for each in (world, rival):
            each.ops.gate.set()

        async def is_sent() -> bool:
            return (await world.service.stats()).waiting_notices == 0

        await until(is_sent)
    await second.close()
    ids = [notice.id for notice in world.ops.got + rival.ops.got]
    assert len(ids) == len(set(ids)) == 40
    assert world.ops.got
    assert rival.ops.got


async def test_open_alert_of_a_fingerprint_is_unique_by_the_database(
    world: World, database: Database
) -> None:
    world.waiting(20_000)
    await world.look()
    columns = (
        "fingerprint, rule, source, service, labels, state, severity, message, started_at,"
        " updated_at, count, is_flapping, memory"
    )
    with pytest.raises(Exception, match=r"(?i)unique"):
        await execute(
            database, f"INSERT INTO alerts (id, {columns}) SELECT 'other', {columns} FROM alerts"
        )


async def test_notice_and_state_are_stored_together_or_not_at_all(
    world: World, database: Database
) -> None:
    await execute(database, "ALTER TABLE alert_notices RENAME TO elsewhere")
    world.waiting(20_000)
    with pytest.raises(Exception, match="alert_notices"):
        await world.look()
    assert await rows(database, "SELECT count(*) FROM alerts") == [(0,)]
    await execute(database, "ALTER TABLE elsewhere RENAME TO alert_notices")
    await world.look()
    assert await rows(database, "SELECT count(*) FROM alert_notices") == [(1,)]


async def test_whole_life_survives_a_restart_in_each_state(database: Database) -> None:
    rule = World(database).rules[0]
    slow = [type(rule)(**{f: getattr(rule, f) for f in rule.__slots__} | {"for_s": 60.0})]
    world = World(database, STEPS, slow)
    world.waiting(20_000)
    await world.look()
    world.clock.advance(3600)
    world.service = world.build()  # pending, and nobody looked for an hour
    await world.look()
    await world.look(45)
    assert (await world.service.stats()).pending == 1
    await world.look(15)
    (alert,) = await world.service.list_alerts(1, None, world.clock.now)
    assert alert.state is AlertState.FIRING
    world.clock.advance(599)
    world.service = world.build()
    await world.look()
    await world.send()
    assert world.channels["pager"].told == []
    world.clock.advance(1)
    world.service = world.build()
    await world.look()
    world.waiting(0)
    world.service = world.build()
    await world.look(15)
    await world.send()
    assert world.ops.told == [Transition.FIRING, Transition.RESOLVED]
    assert world.channels["pager"].told == [Transition.ESCALATED, Transition.RESOLVED]
    world.waiting(20_000)
    world.service = world.build()
    await world.look(75)
    assert (await world.service.get(alert.id)).count == 2


async def test_source_that_is_away_leaves_its_alerts_and_others_go_on(world: World) -> None:
    world.waiting(20_000)
    world.status("SMTP", "down")
    await world.look()
    world.queues.is_away = True
    world.services.values.clear()
    world.status("API", "healthy")
    await world.look(330)
    found = await world.service.list_alerts(1, None, world.clock.now)
    states = {alert.service: alert.state for alert in found}
    assert states == {"email": AlertState.FIRING, "SMTP": AlertState.RESOLVED}
    stats = await world.service.stats()
    assert (stats.firing, stats.pending, stats.lag_s) == (1, 0, 0.0)
    assert stats.last_evaluation.failed == ["queue"]


async def test_silence_withholds_and_its_end_tells(world: World) -> None:
    silence = await world.service.create_silence(
        [Matcher("service", "em*")], author="ann", comment="moving", starts_at=None,
        ends_at=world.clock.now + timedelta(hours=1), now=world.clock.now,
    )  # fmt: skip
    world.waiting(20_000)
    await world.look()
    await world.send()
    assert world.ops.attempts == 0
    (alert,) = await world.service.list_alerts(1, None, world.clock.now)
    assert alert.silenced_by == silence.id
    listed = await world.service.list_silences(10, 0, is_active=True, now=world.clock.now)
    assert (listed.items, listed.total) == ([silence], 1)
    world.clock.advance(5)
    await world.service.end_silence(silence.id, "bob", world.clock.now)
    await world.service.end_silence(silence.id, "bob", world.clock.now)
    await world.send()
    assert world.ops.told == [Transition.FIRING]
    listed = await world.service.list_silences(10, 0, is_active=True, now=world.clock.now)
    assert listed.total == 0
    (ended,) = (
        await world.service.list_silences(10, 0, is_active=False, now=world.clock.now)
    ).items
    assert ended.ends_at == world.clock.now
    with pytest.raises(NotFound, match="GET /infrastructure/silences"):
        await world.service.end_silence("nothing\x00", "bob", world.clock.now)


async def test_acknowledging_keeps_the_pager_quiet(database: Database) -> None:
    world = World(database, STEPS)
    world.waiting(20_000)
    await world.look()
    (alert,) = await world.service.list_alerts(1, None, world.clock.now)
    taken = await world.service.acknowledge(alert.id, "ann", " on it ", world.clock.now)
    assert (taken.acknowledged_by, taken.note, taken.state) == ("ann", "on it", AlertState.FIRING)
    await world.look(1200)
    await world.send()
    assert world.ops.told == [Transition.FIRING, Transition.ACKNOWLEDGED]
    assert world.channels["pager"].told == []
    given = await world.service.unacknowledge(alert.id, "ann", world.clock.now)
    assert given.acknowledged_at is None
    await world.look(600)
    await world.send()
    assert world.channels["pager"].told == [Transition.ESCALATED]
    world.waiting(0)
    await world.look(15)
    with pytest.raises(Conflict, match="does not fire"):
        await world.service.acknowledge(alert.id, "ann", "", world.clock.now)
    with pytest.raises(NotFound):
        await world.service.acknowledge("alert_none", "ann", "", world.clock.now)


async def test_list_has_what_overlaps_the_window_newest_first(world: World) -> None:
    world.waiting(20_000, "old")
    await world.look()
    world.clock.advance(86_400 * 10)
    world.waiting(20_000, "ended")
    await world.look()
    world.waiting(0, "ended")
    await world.look(15)
    world.clock.advance(7200)
    world.status("API", "degraded")
    await world.look()
    list_alerts, now = world.service.list_alerts, world.clock.now
    assert [a.service for a in await list_alerts(24, None, now)] == ["API", "ended", "old"]
    assert [a.service for a in await list_alerts(1, None, now)] == ["API", "old"]
    assert [a.service for a in await list_alerts(24, Severity.WARNING, now)] == ["API"]
    with pytest.raises(NotFound, match="older than the retention"):
        await world.service.get("nothing\x00")


async def test_followers_get_each_change_once_also_across_a_restart(world: World) -> None:
    start = await world.service.last_event_id()
    first = world.service.follow(start)
    world.waiting(20_000)
    await world.look()
    ((number, alert),) = await anext(first)
    assert alert.state is AlertState.FIRING
    waiting = asyncio.ensure_future(anext(first))
    world.waiting(0)
    await world.look(15)
    ((_, ended),) = await waiting
    assert ended.state is AlertState.RESOLVED
    world.service.end_following()
    assert [batch async for batch in first] == []
    world.service = world.build()
    again = world.service.follow(number)
    assert [each for _, each in await anext(again)] == [ended]
    world.service.end_following()
    await again.aclose()  # type: ignore[attr-defined]


async def test_events_of_rivals_are_seen_by_followers(
    database: Database, database_url: str
) -> None:
    second = open_database(database_url, "state")
    rival = World(second)
    following = World(database).service.follow(0)
    assert await anext(following) == []
    rival.waiting(20_000)
    await rival.look()
    found = await anext(following)
    assert [alert.service for _, alert in found] == ["email"]
    await following.aclose()  # type: ignore[attr-defined]
    await second.close()


def external(is_resolved: bool = False, **changes: object) -> ExternalAlert:
    values: dict[str, object] = {
        "rule": "DiskFull", "service": "db-1", "labels": {"alertname": "DiskFull"},
        "severity": Severity.WARNING, "message": "90 %", "starts_at": NOON - timedelta(hours=3),
        "ends_at": None, "is_resolved": is_resolved, "runbook_url": None, "fingerprint": "f1",
    }  # fmt: skip
    return ExternalAlert(**(values | changes))  # type: ignore[arg-type]


async def test_alert_of_somebody_else_lives_the_same_life(world: World) -> None:
    take = world.service.take_external
    await take([external()])
    await take([external()])
    await take([external(severity=Severity.ERROR)])
    await world.look(3600)
    (alert,) = await world.service.list_alerts(1, None, world.clock.now)
    assert (alert.rule, alert.source, alert.service) == ("DiskFull", "alertmanager", "db-1")
    assert (alert.started_at, alert.severity) == (NOON - timedelta(hours=3), Severity.ERROR)
    await take([external(is_resolved=True), external(is_resolved=True, fingerprint="unheard-of")])
    await take([external(starts_at=world.clock.now)])
    await world.send()
    assert world.ops.told == [
        Transition.FIRING, Transition.RAISED, Transition.RESOLVED, Transition.REOPENED,
    ]  # fmt: skip
    assert (await world.service.get(alert.id)).count == 2


async def test_alert_of_somebody_else_ends_by_its_time_unless_it_is_told_again(
    world: World,
) -> None:
    for minutes in (5, 10):
        await world.service.take_external([external(ends_at=NOON + timedelta(minutes=minutes))])
    await world.look(540)
    assert (await world.service.stats()).firing == 1
    await world.look(60)
    assert (await world.service.stats()).firing == 0
    await world.send()
    assert world.ops.told == [Transition.FIRING, Transition.RESOLVED]


async def test_test_notices_go_through_the_outbox_and_are_reported(database: Database) -> None:
    world = World(database, STEPS)
    world.channels["pager"].refusals = [refusal()]
    async with world.sending():
        tried = await world.service.send_test(None, "ann")
    assert [(each.channel, each.delivered, each.error) for each in tried] == [
        ("ops", True, None), ("pager", False, "the receiver refused"),
    ]  # fmt: skip
    assert world.ops.told == [Transition.TEST]
    assert await world.service.dead_letters() == []
    with pytest.raises(InvalidRequest, match="configured are: ops, pager"):
        await world.service.send_test("nowhere", "ann")


async def test_room_evaluates_when_poked_and_stops_when_told(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(world.service.run(stop))
    world.waiting(20_000)
    world.service.poke()
    await world.ops.until(1)
    world.waiting(0)
    world.clock.advance(15)
    world.service.poke()
    await world.ops.until(2)
    stop.set()
    await running
    await world.service.close()


async def test_old_alerts_go_with_their_notices_and_firing_ones_stay(
    world: World, database: Database
) -> None:
    world.waiting(20_000, "firing")
    world.waiting(20_000, "ended")
    await world.look()
    world.waiting(0, "ended")
    await world.look(15)
    world.clock.advance(91 * 86_400)
    await world.service._upkeep.once()
    assert await rows(database, "SELECT service FROM alerts") == [("firing",)]
    assert await rows(database, "SELECT count(*) FROM alert_notices") == [(1,)]
    assert await rows(database, "SELECT count(*) FROM alert_events") == [(0,)]


async def test_database_that_is_gone_is_said_and_the_room_goes_on_after(
    sqlite_url: str, tmp_path: object
) -> None:
    migrate(sqlite_url, list(dict.fromkeys([*MIGRATIONS, ALERT_MIGRATIONS])))
    database = open_database(sqlite_url, "state")
    world = World(database)
    world.waiting(20_000)
    path = database.path  # type: ignore[attr-defined]
    hidden = path.rename(path.with_suffix(".away"))
    with pytest.raises(SourceUnavailable, match="is gone"):
        await world.look()
    hidden.rename(path)
    await world.look()
    await world.send()
    assert world.ops.told == [Transition.FIRING]
    await database.close()
