"""A real worker of the `work` room for contract tests: URL, directory, queue names."""

import asyncio
import sys
from pathlib import Path

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from quarterdeck.state import open_database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import JobContext, Worker, WorkerOptions
from workers.script import Script, stop_on_sigterm


async def main(url: str, directory: str, *queue_names: str) -> None:
    """Work until SIGTERM."""
    stop = stop_on_sigterm()
    database = open_database(url, "worker")
    script = Script(Path(directory))

    async def handle(context: JobContext) -> None:
        job = context.job
        await script.act(job.id, job.attempt, job.payload)

    worker = Worker(
        WorkStore(database),
        dict.fromkeys(queue_names, handle),
        WorkerOptions(concurrency=4, poll_s=0.05),
    )
    await worker.run(stop)
    await database.close()


asyncio.run(main(*sys.argv[1:]))
