"""One real process of the hybrid platform: both URLs, directory, queue names.

With queue names it is a worker of them, without it is the migrator; until SIGTERM.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from workers.hybrid_platform import Platform
from workers.script import Script, stop_on_sigterm


async def main(urls: str, directory: str, *queue_names: str) -> None:
    """Work until SIGTERM, which is looked at only between jobs: a cancelled pop loses its entry."""
    stop = stop_on_sigterm()
    script = Script(Path(directory))
    platform = await Platform.open(*urls.split(" "))
    while not stop.is_set():
        if queue_names:
            await platform.work_once(queue_names, script.act)
        elif not await platform.migrate_once():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.02)
    await platform.close()


asyncio.run(main(*sys.argv[1:]))
