"""Jobs in any state, put into the documented tables by plain SQL, as a platform would."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from acceptance.server_process import ServerProcess
from quarterdeck.core.clock import utc_now
from quarterdeck.core.ids import uuid7
from quarterdeck.queues.model import JobRef
from quarterdeck.queues.rules import encode_job_id
from quarterdeck.state import Database

BANDS = {"high": 10, "normal": 100, "low": 200}


def seed(server: ServerProcess, queue: str, band: str = "normal", **counts: int) -> list[str]:
    """Put `counts` jobs (`waiting=3, failed=1`...) into a band; gives their public ids."""
    ids: list[str] = []

    def fill(connection: Connection) -> None:
        connection.execute(
            text("INSERT OR IGNORE INTO job_queues (name) VALUES (:name)"), {"name": queue}
        )
        for state, count in counts.items():
            rows = [_row(queue, BANDS[band]) for _ in range(count)]
            ids.extend(row["id"] for row in rows)
            _insert(connection, rows)
            _move(connection, state, [row["id"] for row in rows])

    server.state(lambda database: database.write(fill))
    return [public_id(native) for native in ids]


def insert_job(server: ServerProcess, **columns: Any) -> str:
    """Put one job with exactly these columns; gives its public id."""

    def fill(connection: Connection) -> None:
        queue = {"name": columns["queue_name"]}
        connection.execute(text("INSERT OR IGNORE INTO job_queues (name) VALUES (:name)"), queue)
        # As a corrupt file would have it: what our own schema refuses to take.
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({values})"), columns)

    server.state(lambda database: database.write(fill))
    return public_id(columns["id"])


def public_id(native: str, source: str = "quarterdeck") -> str:
    return encode_job_id(JobRef(source, native))


def scalar(server: ServerProcess, sql: str, **values: Any) -> Any:
    """One value of the state database."""

    async def read(database: Database) -> Any:
        return await database.read(lambda c: c.execute(text(sql), values).scalar())

    return server.state(read)


def execute(server: ServerProcess, sql: str, **values: Any) -> None:
    async def write(database: Database) -> None:
        await database.write(lambda c: c.execute(text(sql), values).rowcount)

    server.state(write)


def stamp(moment: datetime) -> str:
    """A time as SQLite holds it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _row(queue: str, priority: int) -> dict[str, Any]:
    return {"id": uuid7(), "queue": queue, "priority": priority, "now": stamp(utc_now())}


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(
        text(
            "INSERT INTO jobs (id, queue_name, priority, payload, run_at, created_at, updated_at)"
            " VALUES (:id, :queue, :priority, '{\"n\": 1}', :now, :now, :now)"
        ),
        rows,
    )


_MOVES = {
    "active": "status = 'running', attempt_count = 1, started_at = :now",
    "completed": "status = 'completed', attempt_count = 1, completed_at = :now",
    "failed": "status = 'failed', attempt_count = 3, failed_at = :now, "
    "last_error_message = 'SMTP connection timeout', last_error_trace = 'Traceback...'",
}


def _move(connection: Connection, state: str, ids: list[str]) -> None:
    if state in _MOVES:
        connection.execute(
            text(f"UPDATE jobs SET {_MOVES[state]} WHERE id = :id"),
            [{"id": job_id, "now": stamp(utc_now())} for job_id in ids],
        )
