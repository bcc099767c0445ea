"""Keeps the sample platform's database small, and its lamps from being red for ever."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection, delete, select

from quarterdeck.demo.scenario import MAIL
from quarterdeck.state import Database
from quarterdeck.work.model import Band
from quarterdeck.work.store import WorkStore
from quarterdeck.work.tables import Metric, job_counts, jobs

KEEP_FINISHED = timedelta(hours=1)
KEEP_FAILED: Mapping[tuple[str, Band], int] = {(MAIL, Band.NORMAL): 120}
KEEP_FAILED_ELSEWHERE = 8
"""Ten failed jobs are still healthy or warning; so only one band is critical by its failures."""


def waiting_by_band(connection: Connection) -> dict[tuple[str, Band], int]:
    """Jobs waiting, by queue and band, from the counters."""
    return _counts(connection, Metric.WAITING)


async def tidy(database: Database, store: WorkStore) -> None:
    """Remove old finished jobs, and of the failed ones all but the newest of each band."""
    await store.remove_finished(KEEP_FINISHED)
    await store.fold_counts()
    await database.write(_trim_failed)


def _trim_failed(connection: Connection) -> None:
    for (queue, band), failed in _counts(connection, Metric.FAILED).items():
        keep = KEEP_FAILED.get((queue, band), KEEP_FAILED_ELSEWHERE)
        if failed > keep:
            surplus = (
                select(jobs.c.id)
                .where(jobs.c.queue_name == queue, jobs.c.band == band)
                .where(jobs.c.phase == Metric.FAILED)
                .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
                .offset(keep)
            )
            connection.execute(delete(jobs).where(jobs.c.id.in_(surplus)))


def _counts(connection: Connection, metric: Metric) -> dict[tuple[str, Band], int]:
    rows = connection.execute(
        select(job_counts.c.queue_name, job_counts.c.band, job_counts.c.n).where(
            job_counts.c.metric == metric, job_counts.c.minute == 0
        )
    )
    return {(queue, Band(band)): n for queue, band, n in rows}
