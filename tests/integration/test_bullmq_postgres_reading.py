"""Counts and pages of BullMQ on PostgreSQL: what its own programs do is what is shown."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bullmq_postgres_world import PostgresWorld, make_world, pg_world
from bullmq_world import bullmq_programs
from contract.harness import eventually
from quarterdeck.queues.adapters.bullmq_postgres.counting import CENSUS, HOUR_MS, MINUTE_MS
from quarterdeck.queues.adapters.bullmq_postgres.listing import PAGES
from quarterdeck.queues.model import JobState, Provenance

__all__ = ["bullmq_programs", "pg_world"]

FILL = """
INSERT INTO job (queue, id, seq, name, state, added_at_ms, process_at_ms, finished_at_ms)
SELECT 'q' || n % 4, n::text, n, 'send',
  (ARRAY['waiting', 'delayed', 'failed', 'completed', 'completed'])[1 + n % 5]::job_state,
  n, CASE WHEN n % 5 = 1 THEN n END, CASE WHEN n % 5 > 1 THEN n END
FROM generate_series(1, 20000) n"""

INSERT = """
INSERT INTO job (queue, id, seq, name, state, data, opts, priority, max_attempts, attempts_made,
  failed_reason, stacktrace, added_at_ms, processed_at_ms, finished_at_ms)
VALUES ('mail', :id, nextval('job_seq'), 'x', 'failed', CAST(:data AS jsonb), '[]', 0, :attempts,
  :attempts, :reason, CAST(:trace AS jsonb), CAST(:at AS bigint), CAST(:at AS bigint),
  CAST(:at AS bigint))"""


async def test_all_that_is_still_to_run_waits(pg_world: PostgresWorld) -> None:
    bullmq = pg_world.bullmq
    first = await bullmq.add("mail", {})
    await bullmq.add("mail", {}, priority=7)
    await bullmq.add("mail", {}, lifo=True)
    await bullmq.add("mail", {}, delay=3_600_000)
    flow = {"name": "sum", "queueName": "mail", "children": [{"name": "part", "queueName": "part"}]}
    await bullmq.call("", "flow", flow)
    stats = await pg_world.stats()
    assert (stats.waiting, stats.active, stats.failed) == (5, 0, 0)
    assert stats.oldest_waiting_at == (await pg_world.job(first)).created_at
    page = await pg_world.engine.list_jobs(await pg_world.queue(), None, 10, 0)
    assert sorted(job.native_state or "" for job in page.items) == [
        "delayed", "waiting", "waiting", "waiting", "waiting-children",
    ]  # fmt: skip
    (delayed,) = [job for job in page.items if job.native_state == "delayed"]
    assert delayed.run_at is not None
    assert delayed.created_at is not None
    assert delayed.run_at - delayed.created_at == timedelta(hours=1)


async def test_the_longest_waiting_is_found_behind_any_priority(pg_world: PostgresWorld) -> None:
    old = await pg_world.bullmq.add("mail", {}, priority=90, timestamp=1_600_000_000_000)
    for priority in (0, 1, 50, 200):
        await pg_world.bullmq.add("mail", {}, priority=priority)
    assert (await pg_world.stats()).oldest_waiting_at == (await pg_world.job(old)).created_at


async def test_each_job_is_on_one_page_of_any_size(pg_world: PostgresWorld) -> None:
    await pg_world.sql(FILL)
    queue = await pg_world.queue("q1")
    stats = await pg_world.stats("q1")
    assert (stats.waiting, stats.failed, stats.completed) == (2000, 1000, 2000)
    seen = [
        job.ref.id
        for start in range(0, 5000, 90)
        for job in (await pg_world.engine.list_jobs(queue, None, 90, start)).items
    ]
    assert (len(seen), len(set(seen))) == (5000, 5000)
    # Here all places are in the order of creation, so their merger is, too.
    assert seen == sorted(seen, key=int, reverse=True)


async def test_no_page_reads_the_whole_table(pg_world: PostgresWorld) -> None:
    await pg_world.sql(FILL)
    await pg_world.sql("ANALYZE job")
    for page in PAGES.values():
        window = {"queue": "q1", "limit": 50, "offset": 100, "upto": 150}
        plan = await pg_world.sql(f"EXPLAIN {page}", **window)
        assert "Seq Scan on job" not in "\n".join(row[0] for row in plan)


async def test_a_snapshot_is_one_statement_and_reads_only_indexes(
    pg_world: PostgresWorld,
) -> None:
    await pg_world.sql(FILL)
    await pg_world.sql("ANALYZE job")
    now = int(time.time() * 1000)
    times = {"hour": now - HOUR_MS, "minute": now - MINUTE_MS}
    plan = await pg_world.sql(f"EXPLAIN {CENSUS}", **times)
    assert "Seq Scan on job" not in "\n".join(row[0] for row in plan)
    name = pg_world.url.rpartition("/")[2]
    await pg_world.sql(f"ALTER DATABASE {name} SET log_statement = 'all'")
    log = pg_world.server.directory / "log"
    engine = pg_world.open()
    before = log.stat().st_size
    assert len(await engine.snapshot()) == 5
    await engine.close()
    written = log.read_bytes()[before:].decode()
    assert written.count("removes_completed") == 1


@pytest.mark.parametrize("remove", [True, {"count": 1}], ids=["at once", "but the last"])
async def test_what_workers_remove_is_unknown_and_not_zero(
    pg_world: PostgresWorld, remove: Any
) -> None:
    await pg_world.bullmq.add_many("mail", [{}] * 3, removeOnComplete=remove)

    async def is_done() -> bool:
        stats = await pg_world.stats()
        return stats.waiting == stats.active == 0

    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await eventually(is_done)
    stats = await pg_world.stats()
    assert (stats.completed_last_hour, stats.completed_last_minute) == (None, None)
    assert stats.completed_last_hour_source is Provenance.NONE
    capabilities = pg_world.engine.capabilities(await pg_world.queue())
    assert capabilities.completed_last_hour is Provenance.NONE


async def test_what_is_removed_is_known_by_the_metrics_of_the_workers(
    pg_world: PostgresWorld,
) -> None:
    await pg_world.bullmq.add_many("mail", [{}] * 3, removeOnComplete=True)

    async def is_metered() -> bool:
        rows = await pg_world.sql("SELECT count FROM metrics WHERE kind = 'completed'")
        return [tuple(row) for row in rows] == [(3,)]

    metrics = {"maxDataPoints": 120}
    async with pg_world.bullmq.workers(pg_world.directory, "mail", metrics=metrics):
        await eventually(is_metered)
    assert await completed_of(pg_world) == (3, Provenance.METRICS)
    # As if they had been at it for longer: an older minute had 7, one too old had 100.
    points = [0] * 29 + [7] + [0] * 40 + [100] + [0] * 30
    await pg_world.sql("UPDATE metrics SET count = 999, data = :points", points=points)
    await pg_world.sql("UPDATE metrics SET prev_count = count - 3")
    assert await completed_of(pg_world) == (10, Provenance.METRICS)
    await pg_world.sql("UPDATE metrics SET data = data[1:40]")
    assert await completed_of(pg_world) == (None, Provenance.NONE)


async def completed_of(world: PostgresWorld) -> tuple[int | None, Provenance]:
    stats = await world.stats()
    return stats.completed_last_hour, stats.completed_last_hour_source


async def test_what_reaches_back_a_minute_tells_the_minute(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.add_many("mail", [{}] * 3, removeOnComplete={"count": 2})
    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await pg_world.until_state(JobState.COMPLETED, ["3"])
    await pg_world.sql("UPDATE job SET finished_at_ms = finished_at_ms - 60001 WHERE id = '2'")
    stats = await pg_world.stats()
    assert (stats.completed_last_hour, stats.completed_last_minute) == (None, 1)


async def test_what_reaches_back_an_hour_tells_the_hour(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.add_many("mail", [{}] * 3, removeOnComplete={"count": 2})
    async with pg_world.bullmq.workers(pg_world.directory, "mail"):
        await pg_world.until_state(JobState.COMPLETED, ["3"])
    await pg_world.sql("UPDATE job SET finished_at_ms = finished_at_ms - 3600001 WHERE id = '2'")
    stats = await pg_world.stats()
    assert (stats.completed_last_hour, stats.completed) == (1, 2)
    assert stats.completed_last_hour_source is Provenance.RETAINED


async def test_odd_jobs_are_shown_like_any_other(pg_world: PostgresWorld) -> None:
    odd = {
        "deep": "[" * 3000 + "]" * 3000,
        "long": "9" * 5000,
        "half": '"\\u00e9 <script>"',
        "none": "null",
        "' OR 1=1 --": '{"a": 1e400}',
    }
    for job_id, data in odd.items():
        spoilt = {"reason": "\x1b[31m</b>", "trace": '{"no": "list"}', "at": 9 * 10**18}
        await pg_world.sql(INSERT, id=job_id, data=data, attempts=-3, **spoilt)
    await pg_world.sql(
        INSERT, id="no reason", data="{}", attempts=1, reason=None, trace=None, at=-5
    )
    queue = await pg_world.queue()
    page = await pg_world.engine.list_jobs(queue, None, 50, 0)
    jobs = {job.ref.id: job for job in page.items}
    assert set(jobs) == {*odd, "no reason"}
    assert {job_id for job_id, job in jobs.items() if job.payload_error} == {"deep", "long"}
    assert (jobs["deep"].created_at, jobs["deep"].max_attempts) == (None, 1)
    assert jobs["deep"].error is not None
    assert jobs["deep"].error.stack_trace is None
    assert jobs["no reason"].error is None
    sample = await pg_world.engine.sample_failures(queue, 50)
    assert {failure.ref.id for failure in sample.failures} == set(jobs)
    for job_id in odd:
        assert await pg_world.job(job_id) == jobs[job_id]


async def test_schema_is_where_the_programs_have_it(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    world = await make_world(request, tmp_path, schema="Mail_2")
    await world.bullmq.add("mail", {})
    assert (await world.stats()).waiting == 1
    await world.engine.delete(world.ref("1"))
    assert (await world.stats()).waiting == 0
    await world.close()


async def test_only_the_queues_of_the_settings_are_shown(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.add("other", {})
    engine = pg_world.open(queues=["mail", "planned"])
    assert {queue.name for queue in await engine.snapshot()} == {"queue:mail", "queue:planned"}
    assert await engine.find_queue("queue:other") is None
    assert await engine.find_job(pg_world.ref("1", "other")) is None
    assert await engine.find_queue("queue:planned") is not None
    await engine.close()
