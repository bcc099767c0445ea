"""The sample platform's parts on a real database: backlog, producer, retention, retries."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, func, select, update

from quarterdeck.app import MIGRATIONS
from quarterdeck.demo import producer, retention
from quarterdeck.demo.backlog import (
    SETTLED,
    WAITING,
    enqueue,
    next_number,
    prepare,
    seed_backlog,
)
from quarterdeck.demo.child import Platform
from quarterdeck.demo.plan import Plan
from quarterdeck.demo.scenario import (
    EARLY_FAILURES,
    HIGH,
    MAIL,
    NORMAL,
    QUIET,
    SampleJob,
    Trouble,
    fate_of,
    job_at,
)
from quarterdeck.demo.workers import has_failed_before, run_worker
from quarterdeck.state import migrate, open_database
from quarterdeck.work.model import Band
from quarterdeck.work.store import WorkStore
from quarterdeck.work.tables import jobs

DEADLINE_S = 30.0


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    url = f"sqlite:///{tmp_path / 'platform.sqlite3'}"
    await asyncio.to_thread(migrate, url, MIGRATIONS)
    database = open_database(url, "demo")
    store = WorkStore(database, backoff=lambda _: 0.0)
    yield Platform(database, store, Plan(url, 7), asyncio.Event())
    await database.close()


async def ask(platform: Platform, query: Select[Any]) -> Any:
    return await platform.database.read(lambda c: c.execute(query).scalar())


def jobs_in(status: str) -> Select[Any]:
    return select(func.count()).select_from(jobs).where(jobs.c.status == status)


async def until(platform: Platform, query: Select[Any], least: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await ask(platform, query) < least:
            await asyncio.sleep(0.02)


async def test_backlog_has_done_failed_and_waiting_jobs(platform: Platform) -> None:
    assert await seed_backlog(platform.store, platform.plan.seed) == SETTLED + WAITING
    assert await ask(platform, jobs_in("completed")) > SETTLED / 2
    assert await ask(platform, jobs_in("failed")) >= len(EARLY_FAILURES)
    assert await ask(platform, jobs_in("queued")) >= WAITING
    assert await ask(platform, jobs_in("running")) == 0
    traces = await ask(
        platform, select(func.min(jobs.c.last_error_trace)).where(jobs.c.status == "failed")
    )
    assert "relay.py" in traces


async def test_backlog_is_made_once(platform: Platform, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'platform.sqlite3'}"
    for _ in range(2):
        await prepare(url, platform.plan.seed)
        assert await next_number(platform.database) == SETTLED + WAITING
    assert await ask(platform, select(func.count()).select_from(jobs)) == SETTLED + WAITING


async def test_producer_goes_on_where_the_last_run_stopped(platform: Platform) -> None:
    assert await next_number(platform.database) == 0
    await seed_backlog(platform.store, platform.plan.seed)
    assert await next_number(platform.database) == SETTLED + WAITING


async def test_producer_enqueues_a_campaign_whole(platform: Platform) -> None:
    assert await producer.produce_batch(platform, QUIET - 1) == QUIET
    after = await producer.produce_batch(platform, QUIET)
    assert after > QUIET + 200
    assert await ask(platform, jobs_in("queued")) == 1 + after - QUIET


async def test_full_band_gets_no_more_and_others_do(platform: Platform) -> None:
    filler = SampleJob(MAIL, NORMAL, {"sample_number": 0}, 1)
    await enqueue(platform.store, [filler] * producer.FULL)
    assert await producer.produce_batch(platform, QUIET) > QUIET
    await enqueue(platform.store, [SampleJob(MAIL, HIGH, {"sample_number": 0}, 1)])
    waiting = await platform.database.read(retention.waiting_by_band)
    assert waiting == {(MAIL, Band.NORMAL): producer.FULL, (MAIL, Band.HIGH): 1}


async def test_tidy_keeps_the_newest_failed_jobs_of_each_band(platform: Platform) -> None:
    batch = [
        SampleJob(MAIL, priority, {"sample_number": n}, 1)
        for n in range(retention.KEEP_FAILED[MAIL, Band.NORMAL] + 5)
        for priority in (HIGH, NORMAL)
    ]
    await enqueue(platform.store, batch[:10])
    await enqueue(platform.store, batch[10:])
    for job in await platform.store.claim([MAIL], "test", 30, limit=len(batch)):
        await platform.store.fail(job, "no", None)
    await retention.tidy(platform.database, platform.store)

    kept = await platform.database.read(
        lambda c: c.execute(select(jobs.c.band, func.count()).group_by(jobs.c.band)).all()
    )
    assert [tuple(row) for row in kept] == [
        (Band.HIGH, retention.KEEP_FAILED_ELSEWHERE),
        (Band.NORMAL, retention.KEEP_FAILED[MAIL, Band.NORMAL]),
    ]
    oldest = select(func.min(func.json_extract(jobs.c.payload, "$.sample_number")))
    assert await ask(platform, oldest.where(jobs.c.band == Band.NORMAL)) == 5


async def test_tidy_removes_old_finished_jobs(platform: Platform) -> None:
    await seed_backlog(platform.store, platform.plan.seed)
    long_ago = select(func.max(jobs.c.completed_at))
    before = await ask(platform, long_ago) - 2 * retention.KEEP_FINISHED
    await platform.database.write(
        lambda c: (
            c.execute(
                update(jobs).where(jobs.c.status == "completed").values(completed_at=before)
            ).rowcount
        )
    )
    await retention.tidy(platform.database, platform.store)
    assert await ask(platform, jobs_in("completed")) == 0
    assert await ask(platform, jobs_in("queued")) >= WAITING


def number_of(trouble_is_temporary: bool) -> int:
    """A mail of the first thousand that fails for good."""
    return next(
        n
        for n in range(1000)
        if job_at(7, n).queue == MAIL
        and isinstance(trouble := fate_of(7, MAIL, n).trouble_at(3), Trouble)
        and trouble.is_temporary is trouble_is_temporary
    )


@pytest.mark.parametrize(("is_temporary", "end"), [(True, "completed"), (False, "failed")])
async def test_failed_job_that_is_retried_by_hand_ends_as_its_cause_has_it(
    platform: Platform, is_temporary: bool, end: str
) -> None:
    await enqueue(platform.store, [job_at(7, number_of(is_temporary))])
    worker = asyncio.create_task(run_worker(platform, "test", (MAIL,), 1))
    await until(platform, jobs_in("failed"), 1)
    job_id = await ask(platform, select(jobs.c.id))
    assert await has_failed_before(platform.database, job_id)

    def retry_by_hand(connection: Any) -> int:
        again = {"status": "queued", "attempt_count": 0, "failed_at": None}
        return int(connection.execute(update(jobs).values(again)).rowcount)

    await platform.database.write(retry_by_hand)
    await until(platform, jobs_in(end), 1)
    platform.stop.set()
    await worker


async def test_producer_survives_a_database_that_is_gone_for_a_while(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await seed_backlog(platform.store, platform.plan.seed)
    before = await ask(platform, jobs_in("queued"))
    work = asyncio.create_task(producer.produce(platform))
    await until(platform, jobs_in("queued"), before + 1)
    path, aside = tmp_path / "platform.sqlite3", tmp_path / "aside"
    path.rename(aside)
    said = ""
    async with asyncio.timeout(DEADLINE_S):
        while "is gone" not in said:
            await asyncio.sleep(0.02)
            said += capsys.readouterr().err
    aside.rename(path)
    before = await ask(platform, jobs_in("queued"))
    await until(platform, jobs_in("queued"), before + 1)
    platform.stop.set()
    await work
