"""A platform as its own documentation describes it: PostgreSQL tables, a migrator, BRPOP workers.

It knows nothing of Quarterdeck: only the tables, the Redis keys and what is agreed about pauses.
`hybrid_worker.py` runs it as real processes.
"""

import json
import traceback
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
from redis.asyncio import Redis

GUARD_TTL_S = 3600
BATCH = 200
BANDS = (":high", "", ":low")
Act = Callable[[str, int, Any], Awaitable[None]]
"""What a worker does with a job: id, attempt from 1, payload. Raises ConnectionError to fail."""

DUE = """
SELECT j.id, j.queue_name, j.priority, j.band, j.payload, j.attempt_count, j.max_attempts
FROM jobs j JOIN job_queues q ON q.name = j.queue_name
WHERE j.status = 'queued' AND j.run_at <= now() AND q.is_active
  AND NOT EXISTS (SELECT 1 FROM job_queue_pauses p
                  WHERE p.queue_name = j.queue_name AND p.band = j.band)
ORDER BY j.priority, j.run_at, j.created_at, j.id LIMIT $1 FOR UPDATE OF j SKIP LOCKED
"""
START = """
UPDATE jobs SET status = 'running', started_at = now(), updated_at = now(),
  attempt_count = attempt_count + 1
WHERE id = $1 AND status IN ('queued', 'migrated_to_redis')
RETURNING id, queue_name, payload, attempt_count, max_attempts
"""
ATTEMPT = """
INSERT INTO job_logs (job_id, status, attempt_number, started_at)
VALUES ($1, 'attempting', $2, now())
"""
COMPLETE = """
UPDATE jobs SET status = 'completed', completed_at = now(), updated_at = now() WHERE id = $1
"""
FAIL = """
UPDATE jobs SET status = $2, updated_at = now(), run_at = now(),
  failed_at = CASE WHEN $2 = 'failed' THEN now() ELSE failed_at END,
  last_error_message = $3, last_error_trace = $4
WHERE id = $1
"""
END_ATTEMPT = """
UPDATE job_logs SET status = $3, log_message = $4, stack_trace = $5, finished_at = now(),
  duration_ms = (extract(epoch FROM now() - started_at) * 1000)::int
WHERE job_id = $1 AND attempt_number = $2 AND status = 'attempting'
"""


def list_key(queue: str, band: int) -> str:
    return f"queue:{queue}{BANDS[band]}"


class Platform:
    """One connection to each store, and what the platform's programs do with them."""

    def __init__(self, postgres: "asyncpg.Connection[Any]", redis: Redis) -> None:
        self.postgres = postgres
        self.redis = redis

    @classmethod
    async def open(cls, postgres_url: str, redis_url: str) -> "Platform":
        return cls(await asyncpg.connect(postgres_url), Redis.from_url(redis_url))

    async def close(self) -> None:
        await self.postgres.close()
        await self.redis.aclose()

    async def add_queue(self, name: str) -> None:
        await self.postgres.execute(
            "INSERT INTO job_queues (name) VALUES ($1) ON CONFLICT DO NOTHING", name
        )

    async def add_jobs(
        self, queue: str, payloads: Sequence[Any], priority: int = 100, max_attempts: int = 1
    ) -> list[str]:
        """Queue jobs in order of age; gives their ids."""
        await self.add_queue(queue)
        rows = [
            (str(uuid.uuid4()), queue, priority, json.dumps(payload), max_attempts, number)
            for number, payload in enumerate(payloads)
        ]
        await self.postgres.executemany(
            "INSERT INTO jobs (id, queue_name, priority, payload, max_attempts, run_at, created_at)"
            " VALUES ($1, $2, $3, $4, $5, now() - interval '1 minute' + $6 * interval '1 ms',"
            " now() - interval '1 minute' + $6 * interval '1 ms')",
            rows,
        )
        return [row[0] for row in rows]

    async def migrate_once(self, limit: int = BATCH) -> list[str]:
        """Move due rows to Redis; gives the ids that were moved.

        Entries are pushed before the commit, so a crash repeats them instead of losing them; that
        is what the guard is for. The shared lock is the tables' agreement about pauses: whoever
        holds it looked at the pauses after any that has returned.
        """
        async with self.postgres.transaction():
            await self.postgres.execute(
                "SELECT pg_advisory_xact_lock_shared(hashtext('job_claims'))"
            )
            moved = await self._unguarded(await self.postgres.fetch(DUE, limit))
            if moved:
                await self.push(moved)
                await self.postgres.execute(
                    "UPDATE jobs SET status = 'migrated_to_redis', updated_at = now()"
                    " WHERE id = ANY($1)",
                    [row["id"] for row in moved],
                )
        return [row["id"] for row in moved]

    async def _unguarded(self, rows: Sequence[Any]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for row in rows:
            pipeline.sismember(f"recent_jobs:{row['queue_name']}", row["id"])
        seen = await pipeline.execute()
        return [row for row, known in zip(rows, seen, strict=True) if not known]

    async def push(self, rows: Sequence[Any]) -> None:
        """Put rows into their lists, as the migrator does it."""
        pipeline = self.redis.pipeline(transaction=False)
        for row in rows:
            entry = json.dumps(
                {
                    "id": row["id"], "queue_name": row["queue_name"], "priority": row["priority"],
                    "payload": json.loads(row["payload"]),
                }
            )  # fmt: skip
            guard = f"recent_jobs:{row['queue_name']}"
            pipeline.lpush(list_key(row["queue_name"], row["band"]), entry)
            pipeline.hset(f"job:{row['id']}", mapping={"entry": entry, "status": "queued"})
            pipeline.sadd(guard, row["id"])
            pipeline.expire(guard, GUARD_TTL_S)
        await pipeline.execute()

    async def take(self, queues: Sequence[str], timeout_s: float = 0.2) -> Any | None:
        """Pop the next entry of the bands in order and start its job; None: nothing to do."""
        keys = [list_key(queue, band) for band in range(3) for queue in queues]
        popped = await self.redis.brpop(keys, timeout=timeout_s)
        if popped is None:
            return None
        try:
            job_id = json.loads(popped[1])["id"]
        except (ValueError, TypeError, KeyError):
            return None
        async with self.postgres.transaction():
            row = await self.postgres.fetchrow(START, job_id)
            if row is not None:
                await self.postgres.execute(ATTEMPT, row["id"], row["attempt_count"])
        return row

    async def finish(self, row: Any, error: Exception | None = None) -> None:
        """End an attempt: completed, queued again, or failed for good."""
        async with self.postgres.transaction():
            if error is None:
                await self.postgres.execute(COMPLETE, row["id"])
                outcome, message, trace = "success", None, None
            else:
                message = str(error)
                trace = "".join(traceback.format_exception(error))
                again = row["attempt_count"] < row["max_attempts"]
                status, outcome = ("queued", "retry") if again else ("failed", "failed")
                if again:
                    await self.redis.srem(f"recent_jobs:{row['queue_name']}", row["id"])
                await self.postgres.execute(FAIL, row["id"], status, message, trace)
            await self.postgres.execute(
                END_ATTEMPT, row["id"], row["attempt_count"], outcome, message, trace
            )
        await self.redis.delete(f"job:{row['id']}")

    async def work_once(
        self, queues: Sequence[str], act: Act, timeout_s: float = 0.2
    ) -> str | None:
        """Take one job and do it; gives its id."""
        row = await self.take(queues, timeout_s)
        if row is None:
            return None
        error = None
        try:
            await act(row["id"], row["attempt_count"], json.loads(row["payload"]))
        except ConnectionError as failure:
            error = failure
        await self.finish(row, error)
        return str(row["id"])
