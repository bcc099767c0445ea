"""Real worker processes: killed ones lose nothing, and many share the work without a double run."""

import asyncio
import signal
from contextlib import ExitStack
from pathlib import Path

from quarterdeck.state import Database
from quarterdeck.work.model import JobStatus, NewJob
from quarterdeck.work.store import WorkStore
from workers.support import rows, statuses, until, worker_process

LOGS = "SELECT attempt_number, status, log_message FROM job_logs ORDER BY id"


def journal_of(path: Path) -> list[str]:
    """The ids that a worker process noted, one for each attempt."""
    return path.read_text().split() if path.exists() else []


async def test_job_of_a_killed_worker_runs_again_and_the_attempt_is_recorded(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    store = WorkStore(database)
    journal = tmp_path / "journal"
    job_id = await store.enqueue("q", 1)

    async def is_started() -> bool:
        return journal_of(journal) == [job_id]

    async def is_completed() -> bool:
        return await statuses(database) == {"completed": 1}

    with worker_process(database_url, "q", "hang-once", str(journal)) as first:
        await until(is_started)
        first.kill()
        first.wait()
    job = await store.find_job(job_id)
    assert job is not None
    assert job.status is JobStatus.RUNNING
    with worker_process(database_url, "q", "hang-once", str(journal)):
        await until(is_completed)
    assert journal_of(journal) == [job_id, job_id]
    lost, done = await rows(database, LOGS)
    assert lost == (1, "retry", f"lease expired: the worker {job.locked_by} stopped answering")
    assert done == (2, "success", None)


async def test_payload_that_kills_its_workers_ends_failed(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    store = WorkStore(database, backoff=lambda _: 0)
    journal = tmp_path / "journal"
    job_id = await store.enqueue("q", "poison", max_attempts=2)
    for _ in range(2):
        with worker_process(database_url, "q", "die", str(journal), "0.3") as process:
            assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL

        async def is_reaped() -> bool:
            return await store.reap_expired() == 1

        await until(is_reaped)
    job = await store.find_job(job_id)
    assert job is not None
    assert (job.status, job.attempt_count) == (JobStatus.FAILED, 2)
    assert journal_of(journal) == [job_id] * 2
    assert [status for _, status, _ in await rows(database, LOGS)] == ["retry", "failed"]


async def run_all(database: Database, url: str, directory: Path, jobs: int, workers: int) -> None:
    """Let worker processes run so many jobs, and check that each ran exactly once."""
    store = WorkStore(database)
    ids: list[str] = []
    for queue_share in range(4):
        batch = [NewJob(n, (10, 100, 100, 200)[queue_share]) for n in range(jobs // 4)]
        ids += await store.enqueue_many("q", batch)

    async def is_done() -> bool:
        return await statuses(database) == {"completed": jobs}

    journals = [directory / f"journal-{n}" for n in range(workers)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(worker_process(url, "q", "finish", str(journal), "30", "8"))
            for journal in journals
        ]
        await until(is_done, 60)
        for process in processes:
            process.terminate()
            assert await asyncio.to_thread(process.wait, 30) == 0
    ran = [job_id for journal in journals for job_id in journal_of(journal)]
    assert sorted(ran) == sorted(ids)
    assert await rows(
        database, "SELECT status, attempt_number, count(*) FROM job_logs GROUP BY 1, 2"
    ) == [("success", 1, jobs)]


async def test_processes_at_once_run_every_job_exactly_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    jobs, workers = (2000, 4) if database.dialect == "postgresql" else (400, 2)
    await run_all(database, database_url, tmp_path, jobs, workers)


async def test_sigterm_finishes_what_runs(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    store = WorkStore(database)

    async def is_started() -> bool:
        return bool(journal_of(journal))

    await store.enqueue_many("q", [NewJob(n) for n in range(50)])
    with worker_process(database_url, "q", "finish", str(journal)) as process:
        await until(is_started)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    found = await statuses(database)
    assert found.get("running", 0) == 0
    assert found["completed"] == len(journal_of(journal))
