"""Heartbeats and what is kept of services, on each kind of database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from quarterdeck.core.errors import Conflict, InvalidRequest, SourceUnavailable
from quarterdeck.health import heartbeats as module
from quarterdeck.health.heartbeats import Heartbeats
from quarterdeck.health.kept import Kept, Memory, Note
from quarterdeck.health.model import ServiceStatus
from quarterdeck.health.rules import Latch, MetricLatches
from quarterdeck.health.store import HealthStore
from quarterdeck.state import Database, open_database

pytest_plugins = ("health_fixtures",)

NOW = datetime(2026, 11, 25, 12, 30, 0, 123456, UTC)


@pytest.fixture
async def state(health_url: str) -> AsyncIterator[Database]:
    """A migrated database of each kind."""
    opened = open_database(health_url, "state")
    yield opened
    await opened.close()


def beating(state: Database, at: datetime = NOW) -> Heartbeats:
    return Heartbeats(HealthStore(state), lambda: at)


async def test_heartbeat_is_known_to_the_next_process(state: Database) -> None:
    heartbeats = beating(state)
    assert heartbeats.last("nightly backup") is None
    assert await heartbeats.record("nightly backup") == NOW
    assert heartbeats.last("nightly backup") == NOW
    following = beating(state)
    await following.refresh()
    assert following.last("nightly backup") == NOW


async def test_heartbeat_never_goes_back_in_time(state: Database) -> None:
    await beating(state).record("backup")
    late = beating(state, NOW - timedelta(minutes=1))
    await late.record("backup")
    assert late.last("backup") == NOW
    newer = beating(state, NOW + timedelta(minutes=1))
    await newer.record("backup")
    await late.refresh()
    assert late.last("backup") == NOW + timedelta(minutes=1)


async def test_many_heartbeats_at_once_are_all_noted(state: Database) -> None:
    heartbeats = beating(state)
    await asyncio.gather(*(heartbeats.record(f"job {n % 10}") for n in range(100)))
    assert len(await HealthStore(state).heartbeats()) == 10


async def test_made_up_names_are_refused_once_there_are_too_many(
    state: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    heartbeats = beating(state)
    await heartbeats.record("a")
    await heartbeats.record("b")
    with pytest.raises(Conflict, match="one name for each job"):
        await heartbeats.record("c")
    await heartbeats.record("a")
    assert heartbeats.last("c") is None


@pytest.mark.parametrize(
    "name", ["", "a\x00b", "a\nb", "\ud800", "x" * 201],
    ids=["empty", "NUL", "line", "surrogate", "long"],
)  # fmt: skip
async def test_name_that_cannot_be_stored_is_refused(state: Database, name: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 200 characters"):
        await beating(state).record(name)


async def test_heartbeat_is_not_acknowledged_when_it_is_not_durable(tmp_path: Path) -> None:
    gone = open_database(f"sqlite:///{tmp_path / 'none.sqlite3'}", "state")
    heartbeats = beating(gone)
    with pytest.raises(SourceUnavailable):
        await heartbeats.record("backup")
    assert heartbeats.last("backup") is None
    await gone.close()


def kept(status: ServiceStatus | None, since: datetime = NOW) -> Kept:
    latches = MetricLatches(Latch(True, 1), Latch(None, 0), 12.5, is_known=True)
    memory = Memory(NOW, "connection refused", Latch(False, 2), {"queue_backlog": latches})
    return Kept("API", status, since, NOW, {"http check of a:1": memory})


async def test_what_is_kept_comes_back_as_it_was(state: Database) -> None:
    store = HealthStore(state)
    for status in (None, *ServiceStatus):
        await store.save([kept(status)], NOW)
        assert await store.load() == [kept(status)]


async def test_later_save_takes_the_place_of_the_earlier(state: Database) -> None:
    store, later = HealthStore(state), NOW + timedelta(seconds=1)
    await store.save([kept(ServiceStatus.HEALTHY)], NOW)
    await store.save([kept(ServiceStatus.DOWN, later)], later)
    assert await store.load() == [kept(ServiceStatus.DOWN, later)]


async def test_counts_of_another_version_are_begun_anew(
    state: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store = HealthStore(state)
    await store.save([kept(ServiceStatus.DOWN)], NOW)
    change = text("UPDATE health_services SET checks = '[]'")
    await state.write(lambda connection: connection.execute(change).rowcount)
    (found,) = await store.load()
    assert (found.status, found.since, found.checks) == (ServiceStatus.DOWN, NOW, {})
    assert "'API' had counted cannot be read" in caplog.text


async def test_one_note_for_each_service(state: Database) -> None:
    store = HealthStore(state)
    await store.set_note(Note("API", "first", "jo", NOW))
    second = Note("API", "second", "al", NOW, NOW + timedelta(hours=1))
    await store.set_note(second)
    assert await store.notes() == [second]
    assert await store.clear_note("API")
    assert not await store.clear_note("API")
    assert await store.notes() == []
