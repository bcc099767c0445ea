"""Putting jobs in: defaults, batches, what is refused, and rows that others insert by plain SQL."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import DBAPIError

from quarterdeck.core.errors import InvalidRequest, SourceUnavailable
from quarterdeck.state import Database
from quarterdeck.work.model import JobStatus, NewJob
from quarterdeck.work.store import WorkStore
from workers.support import ManualClock, drain, execute, rows


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> WorkStore:
    return WorkStore(database, clock)


async def test_enqueued_job_is_queued_with_the_defaults(
    store: WorkStore, clock: ManualClock
) -> None:
    job_id = await store.enqueue("email", {"to": "a@example.com"})
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.queue_name, job.status, job.priority) == ("email", JobStatus.QUEUED, 100)
    assert (job.attempt_count, job.max_attempts) == (0, 3)
    assert job.payload == {"to": "a@example.com"}
    assert job.run_at == job.created_at == job.updated_at == clock.now
    assert (job.started_at, job.last_error_message, job.progress) == (None, None, None)


@pytest.mark.parametrize(
    "payload", [None, 0, "ü \\u0000 😀", [1.5, {"a": None}], {"deep": [[[{"x": True}]]]}]
)
async def test_payload_comes_back_as_it_was_given(store: WorkStore, payload: object) -> None:
    single = await store.enqueue("q", payload)
    (batched,) = await store.enqueue_many("q", [NewJob(payload)])
    for job_id in (single, batched):
        job = await store.find_job(job_id)
        assert job is not None
        assert job.payload == payload
    assert [job.payload for job in await store.claim(["q"], "w", 30, 2)] == [payload, payload]


async def test_priority_none_is_the_default_of_the_queue(store: WorkStore) -> None:
    await store.ensure_queue("q", 7)
    await store.ensure_queue("q", 9)
    one = await store.enqueue("q", 1)
    explicit = await store.enqueue("q", 1, priority=0)
    many = await store.enqueue_many("q", [NewJob(1), NewJob(2, priority=200)])
    found = [await store.find_job(job_id) for job_id in (one, explicit, *many)]
    assert [job.priority for job in found if job] == [7, 0, 7, 200]


async def test_enqueue_many_keeps_the_order_over_several_batches(
    store: WorkStore, clock: ManualClock
) -> None:
    ids = await store.enqueue_many("q", [NewJob({"n": n}) for n in range(2500)])
    assert len(set(ids)) == 2500
    first, last = await store.find_job(ids[0]), await store.find_job(ids[-1])
    assert first is not None
    assert last is not None
    assert (first.payload["n"], last.payload["n"]) == (0, 2499)
    assert await store.enqueue_many("q", []) == []


async def test_enqueue_many_with_one_bad_job_stores_none(
    store: WorkStore, database: Database
) -> None:
    with pytest.raises(InvalidRequest, match="payload"):
        await store.enqueue_many("q", [NewJob(1), NewJob("nul\x00")])
    assert await rows(database, "SELECT count(*) FROM jobs") == [(0,)]


async def test_first_use_by_many_at_once_creates_one_queue(
    store: WorkStore, database: Database
) -> None:
    many = [store.enqueue_many("new", [NewJob({"n": n})]) for n in range(5)]
    await asyncio.gather(*(store.enqueue("new", {"n": n}) for n in range(10)), *many)
    assert await rows(database, "SELECT name FROM job_queues") == [("new",)]
    assert await rows(database, "SELECT count(*) FROM jobs") == [(15,)]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("priority", {"priority": 2**31}),
        ("max_attempts", {"max_attempts": 0}),
        ("run_at", {"run_at": datetime(2025, 1, 1)}),  # noqa: DTZ001 - the point of the test
    ],
)
async def test_number_or_time_that_cannot_be_is_refused(
    store: WorkStore, field: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest, match=field):
        await store.enqueue("q", 1, **arguments)  # type: ignore[arg-type] # as a caller might
    with pytest.raises(InvalidRequest, match="queue_name"):
        await store.ensure_queue("q:high")


async def test_unknown_or_unstorable_job_id_is_none(store: WorkStore) -> None:
    assert await store.find_job("no-such-job") is None
    assert await store.find_job("nul\x00") is None
    assert await store.cancel("nul\x00") is False


FOREIGN = "INSERT INTO jobs (id, queue_name, payload) VALUES (:id, 'q', :payload)"


async def test_foreign_row_with_nothing_but_a_payload_is_claimed(database: Database) -> None:
    store = WorkStore(database)
    await store.ensure_queue("q")
    cast = FOREIGN.replace(":payload", "CAST(:payload AS jsonb)")
    statement = cast if database.dialect == "postgresql" else FOREIGN
    await execute(database, statement, id="foreign", payload='{"n": 1}')
    assert await drain(store, ["q"]) == [1]


async def test_foreign_row_without_json_is_refused(database: Database) -> None:
    await WorkStore(database).ensure_queue("q")
    with pytest.raises((DBAPIError, SourceUnavailable)):
        await execute(database, FOREIGN.replace(":payload", "'{not json'"), id="bad")
    with pytest.raises(DBAPIError):
        await execute(database, "INSERT INTO jobs (queue_name) VALUES ('q')")
    assert await rows(database, "SELECT count(*) FROM jobs") == [(0,)]


async def test_foreign_iso_times_are_compared_as_times(sqlite_database: Database) -> None:
    clock = ManualClock()
    clock.now = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)
    store = WorkStore(sqlite_database, clock)
    await store.ensure_queue("q")
    for job_id, run_at in (("due", "2025-12-04T11:59:59.5Z"), ("later", "2025-12-04T12:00:01Z")):
        await execute(
            sqlite_database,
            "INSERT INTO jobs (id, queue_name, run_at) VALUES (:id, 'q', :run_at)",
            id=job_id, run_at=run_at,
        )  # fmt: skip
    assert [job.id for job in await store.claim(["q"], "w", 30, 9)] == ["due"]
    clock.advance(2)
    assert [job.id for job in await store.claim(["q"], "w", 30, 9)] == ["later"]
