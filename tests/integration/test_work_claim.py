"""Claiming: the order, what is passed over, and what happens when many do it at once."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from quarterdeck.core.errors import NotFound
from quarterdeck.state import Database
from quarterdeck.work.claiming import find_lanes
from quarterdeck.work.model import Band, JobStatus, NewJob
from quarterdeck.work.store import WorkStore
from workers.support import ManualClock, cost, drain, execute, rows


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> WorkStore:
    return WorkStore(database, clock)


async def test_claim_marks_the_job_and_opens_an_attempt(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    job_id = await store.enqueue("q", {"n": 1}, priority=20)
    clock.advance(5)
    (claimed,) = await store.claim(["q"], "me", 30)
    assert (claimed.id, claimed.queue_name, claimed.payload) == (job_id, "q", {"n": 1})
    assert (claimed.priority, claimed.attempt, claimed.max_attempts) == (20, 1, 3)
    assert (claimed.lease_until - clock.now).total_seconds() == 30
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.attempt_count, job.locked_by) == (JobStatus.RUNNING, 1, "me")
    assert job.started_at == job.updated_at == claimed.started_at == clock.now
    assert job.lease_until == claimed.lease_until
    log = "SELECT job_id, status, attempt_number, finished_at FROM job_logs"
    assert await rows(database, log) == [(job_id, "attempting", 1, None)]
    assert await store.claim(["q"], "me", 30) == []


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_claims_follow_priority_then_time_then_id_across_queues(
    store: WorkStore, clock: ManualClock, limit: int
) -> None:
    expected = []
    for n in range(60):
        clock.advance(n % 3)  # some share their time: then the id decides
        queue, priority = f"q{n % 3}", (10, 100, 100, 200)[n % 4]
        job_id = await store.enqueue(queue, {"n": n}, priority=priority)
        expected.append((priority, clock.now, job_id, n))
    assert await drain(store, ["q0", "q1", "q2"], limit) == [n for *_, n in sorted(expected)]


async def test_only_the_queues_named_are_claimed_from(store: WorkStore) -> None:
    await store.enqueue("other", {"n": 1})
    assert await store.claim(["q", "unknown"], "w", 30) == []
    assert await store.claim([], "w", 30) == []
    assert await drain(store, ["other", "other"]) == [1]


async def test_delayed_job_waits_for_its_time_and_hides_nobody(
    store: WorkStore, clock: ManualClock
) -> None:
    later = clock.now.replace(hour=11)
    await store.enqueue_many("q", [NewJob({"n": -1}, 1, later) for _ in range(50)])
    await store.enqueue("q", {"n": 2}, priority=200)
    assert await drain(store, ["q"]) == [2]
    clock.now = later
    assert await drain(store, ["q"], 100) == [-1] * 50


async def test_cost_of_a_claim_does_not_grow_with_the_jobs_that_wait(
    store: WorkStore, database: Database, clock: ManualClock
) -> None:
    later = clock.now.replace(year=2030)
    found = []
    for _ in range(2):
        delayed = [NewJob(0, 1, later) for _ in range(1500)]
        due = [NewJob(0, 100) for _ in range(1500)]
        await store.enqueue_many("q", delayed + due)
        found.append(await database.write(lambda c: cost(c, lambda: find_lanes(c, ["q"], clock()))))
    assert found[0] == found[1]
    assert found[0] < 500


@pytest.mark.parametrize("band", list(Band))
async def test_paused_band_is_passed_over_and_the_others_go_on(
    store: WorkStore, band: Band
) -> None:
    by_band = {Band.HIGH: [1, 50], Band.NORMAL: [51, 150], Band.LOW: [151, 900]}
    for priority in (1, 50, 51, 150, 151, 900):
        await store.enqueue("q", {"n": priority}, priority=priority)
    await store.enqueue("other", {"n": by_band[band][0]}, priority=by_band[band][0])
    await store.pause("q", band)
    await store.pause("q", band)
    others = [p for b, ps in by_band.items() if b is not band for p in ps]
    assert await drain(store, ["q", "other"]) == sorted([*others, by_band[band][0]])
    await store.resume("q", band)
    await store.resume("q", band)
    assert await drain(store, ["q", "other"]) == by_band[band]


async def test_paused_running_job_finishes(store: WorkStore) -> None:
    await store.enqueue("q", 1)
    (job,) = await store.claim(["q"], "w", 30)
    await store.pause("q", Band.NORMAL)
    assert await store.complete(job) is True


async def test_pause_of_an_unknown_queue_is_not_found(store: WorkStore) -> None:
    for name in ("unknown", "nul\x00"):
        with pytest.raises(NotFound, match="There is no queue"):
            await store.pause(name, Band.HIGH)
        await store.resume(name, Band.HIGH)


async def test_inactive_queue_is_passed_over(store: WorkStore, database: Database) -> None:
    await store.enqueue("q", {"n": 1})
    await execute(database, "UPDATE job_queues SET is_active = false")
    assert await store.claim(["q"], "w", 30) == []
    await execute(database, "UPDATE job_queues SET is_active = true")
    assert await drain(store, ["q"]) == [1]


@pytest.mark.parametrize("foreign", [False, True])
async def test_no_claim_follows_a_pause_that_has_returned(
    store: WorkStore, database: Database, foreign: bool
) -> None:
    running = "SELECT count(*) FROM jobs WHERE status = 'running'"
    for _ in range(15):
        await store.enqueue_many("q", [NewJob(1) for _ in range(20)])
        claims = [asyncio.create_task(store.claim(["q"], f"w{n}", 30)) for n in range(12)]
        if foreign:
            insert = "INSERT INTO job_queue_pauses (queue_name, band) VALUES ('q', 1)"
            await execute(database, insert)
        else:
            await store.pause("q", Band.NORMAL)
        at_pause = await rows(database, running)
        await asyncio.gather(*claims)
        assert await rows(database, running) == at_pause
        await store.resume("q", Band.NORMAL)


async def test_many_claimers_at_once_share_no_job_and_leave_none(store: WorkStore) -> None:
    for queue in ("a", "b", "c"):
        await store.enqueue_many(queue, [NewJob({"n": f"{queue}{n}"}) for n in range(100)])

    async def work(number: int) -> list[str]:
        found = []
        while claimed := await store.claim(["a", "b", "c"], f"w{number}", 30, 1 + number % 5):
            found += [job.payload["n"] for job in claimed]
        return found

    counted = Counter(n for found in await asyncio.gather(*map(work, range(10))) for n in found)
    assert len(counted) == 300
    assert set(counted.values()) == {1}


async def test_idle_claim_on_sqlite_needs_no_write_lock(
    sqlite_database: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = WorkStore(sqlite_database)
    assert await store.claim(["q"], "w", 30) == []
    assert await store.reap_expired() == 0
    await store.fold_counts()
    other.close()
