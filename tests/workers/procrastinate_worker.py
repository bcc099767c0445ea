"""A real worker of Procrastinate for contract tests: URL, directory, queue names."""

import asyncio
import sys
from pathlib import Path
from typing import Any

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from procrastinate import App, JobContext, PsycopgConnector

from workers.script import Script

TASK = "contract"
RETRYING = "retrying"
"""Tries three times before it fails for good."""


async def main(url: str, directory: str, *queue_names: str) -> None:
    """Work until SIGTERM, on four jobs at once."""
    script = Script(Path(directory))
    app = App(connector=PsycopgConnector(conninfo=url))

    async def act(context: JobContext, /, **payload: Any) -> None:
        await script.act(str(context.job.id), context.job.attempts + 1, payload)

    app.task(name=TASK, pass_context=True)(act)
    app.task(name=RETRYING, pass_context=True, retry=2)(act)
    async with app.open_async():
        # Its own retries are found by polling only, every five seconds by default.
        await app.run_worker_async(
            queues=list(queue_names), concurrency=4, fetch_job_polling_interval=0.2
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
