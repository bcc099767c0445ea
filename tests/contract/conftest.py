"""Every contract test runs once over every engine in `HARNESSES`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bullmq_world import bullmq_programs
from contract.bullmq_harness import open_bullmq5, open_bullmq6
from contract.bullmq_postgres_harness import open_bullmq_postgres
from contract.celery_harness import open_celery
from contract.celery_rabbit_harness import open_celery_rabbit
from contract.foreign_harness import open_foreign
from contract.harness import EngineHarness, HarnessFactory
from contract.hybrid_harness import open_hybrid
from contract.procrastinate_harness import open_procrastinate
from contract.rq_harness import open_rq
from contract.sidekiq_harness import open_sidekiq
from contract.sql_harness import open_postgres, open_sqlite
from sidekiq_world import sidekiq_client

__all__ = ["bullmq_programs", "sidekiq_client"]

HARNESSES: dict[str, HarnessFactory] = {
    "sqlite": open_sqlite,
    "postgresql": open_postgres,
    "postgresql-foreign-columns": open_foreign,
    "hybrid": open_hybrid,
    "procrastinate": open_procrastinate,
    "bullmq-5": open_bullmq5,
    "bullmq-6": open_bullmq6,
    "bullmq-postgres": open_bullmq_postgres,
    "rq": open_rq,
    "sidekiq": open_sidekiq,
    "celery": open_celery,
    "celery-rabbitmq": open_celery_rabbit,
}


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineHarness]:
    """An engine over a fresh real source."""
    async with HARNESSES[request.param](request, tmp_path) as opened:
        yield opened
