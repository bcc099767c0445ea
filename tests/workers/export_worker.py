"""A process that runs exports: `export_worker.py URL FACTS DIRECTORY [LINES FORMAT]`.

With LINES it first stores so many, starts an export of them all. It works until it is killed, or
until SIGTERM.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from export_world import ME, World, create_table, store_many
from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.logs import export_run
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.exports import EXPORTS_QUEUE
from quarterdeck.logs.model import Filter
from quarterdeck.state import open_database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import Worker, WorkerOptions
from workers.script import stop_on_sigterm


async def main(url: str, facts: str, directory: str, lines: str = "", kind: str = "csv") -> None:
    """Work until the end."""
    stop = stop_on_sigterm()
    database = open_database(url, "state")
    opened = EmbeddedFacts(Path(facts))
    exports = World(opened, database, Path(directory)).build()
    if lines:
        await create_table(opened)
        await store_many(opened, int(lines), timedelta(hours=20))
        await exports.start(Filter(), ExportFormat(kind), JsonShape.ARRAY, True, ME)
    export_run.REPORT_S = 0.05
    worker = Worker(
        WorkStore(database, backoff=lambda _: 0),
        {EXPORTS_QUEUE: exports.run},
        WorkerOptions(poll_s=0.05, lease_s=1),
    )
    await worker.run(stop)
    await opened.close()
    await database.close()


asyncio.run(main(*sys.argv[1:]))
