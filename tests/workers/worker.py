"""A worker process: `worker.py URL QUEUE HANDLER JOURNAL [LEASE_S [CONCURRENCY]]`.

Every attempt appends a line to the journal, before it does what HANDLER says: `finish`,
`hang-once` (the first attempt never ends), or `die` (kills its process, as a poison payload does).
SIGTERM stops the worker, and finishes what runs.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from quarterdeck.state import open_database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import JobContext, Worker, WorkerOptions


async def main(
    url: str, queue: str, handler: str, journal: str, lease_s: str = "1", concurrency: str = "4"
) -> None:
    database = open_database(url, "state")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(context: JobContext) -> None:
        with Path(journal).open("a") as file:
            file.write(f"{context.job.id}\n")
        if handler == "hang-once" and context.job.attempt == 1:
            await asyncio.Event().wait()
        if handler == "die":
            os.kill(os.getpid(), signal.SIGKILL)

    options = WorkerOptions(
        concurrency=int(concurrency), lease_s=float(lease_s), poll_s=0.05, name="child"
    )
    await Worker(WorkStore(database), {queue: handle}, options).run(stop)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
