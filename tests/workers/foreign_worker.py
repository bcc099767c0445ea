"""A worker as people have written it for tables of their own: URL, directory, topics."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from workers.script import Script, stop_on_sigterm

# The topic's row is locked in share mode, so that whoever switches it off waits for this claim.
CLAIM = """
UPDATE tasks SET state = 'processing', tries = tries + 1, began = clock_timestamp()
WHERE task_id = (
  SELECT t.task_id FROM tasks t JOIN topics p ON p.topic = t.topic
  WHERE t.topic = ANY($1) AND p.enabled AND t.state = 'pending'
    AND t.due <= clock_timestamp() AT TIME ZONE 'utc'
  ORDER BY t.prio, t.born LIMIT 1
  FOR UPDATE OF t SKIP LOCKED FOR SHARE OF p
) RETURNING task_id, tries, body
"""
DONE = "UPDATE tasks SET state = 'done', ended = clock_timestamp() WHERE task_id = $1"
BROKEN = (
    "UPDATE tasks SET state = 'broken', broke = clock_timestamp(), problem = $2 WHERE task_id = $1"
)


async def work(url: str, topics: list[str], script: Script, stop: asyncio.Event) -> None:
    """Claim and run one task after another."""
    connection: Any = await asyncpg.connect(url)
    while not stop.is_set():
        task = await connection.fetchrow(CLAIM, topics)
        if task is None:
            await asyncio.sleep(0.02)
            continue
        try:
            await script.act(str(task["task_id"]), task["tries"], json.loads(task["body"]))
        except ConnectionError as error:
            await connection.execute(BROKEN, task["task_id"], str(error))
        else:
            await connection.execute(DONE, task["task_id"])
    await connection.close()


async def main(url: str, directory: str, *topics: str) -> None:
    """Work until SIGTERM, on four tasks at once."""
    stop, script = stop_on_sigterm(), Script(Path(directory))
    await asyncio.gather(*(work(url, list(topics), script, stop) for _ in range(4)))


asyncio.run(main(*sys.argv[1:]))
