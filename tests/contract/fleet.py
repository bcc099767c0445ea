"""Worker processes of contract tests, steered by files in one directory.

A worker script is called with the source's URL, the directory and queue names. It appends one JSON
line `{"job_id", "attempt"}` to `runs.jsonl` whenever it starts a job, lets `fail` jobs succeed once
`healed` exists and `hold` jobs finish once `released` exists, and leaves on SIGTERM when done.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contract.harness import Run

SCRIPTS = Path(__file__).parents[1] / "workers"


class WorkerFleet:
    """Starts and stops the processes, and reads what they report."""

    def __init__(self, script: str, url: str, directory: Path) -> None:
        self.command = [sys.executable, str(SCRIPTS / script), url, str(directory)]
        """Starts one worker, with queue names behind it."""
        self.environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
        self._directory = directory

    @asynccontextmanager
    async def running(self, *queue_names: str, processes: int = 1) -> AsyncIterator[None]:
        """`processes` workers of these queues while the block runs."""
        with (self._directory / "workers.log").open("ab") as log:
            started = [
                await asyncio.create_subprocess_exec(
                    *self.command,
                    *queue_names,
                    stdout=log,
                    stderr=log,
                    env=self.environment,
                )
                for _ in range(processes)
            ]
        try:
            yield
        finally:
            self.release()
            codes = await asyncio.gather(*map(_stopped, started))
        report = (self._directory / "workers.log").read_text()
        # One that did not listen to the signal yet dies of it, holding nothing.
        assert set(codes) <= {0, -signal.SIGTERM}, f"workers ended with {codes}:\n{report}"

    def runs(self) -> list[Run]:
        """Every start of a job so far."""
        path = self._directory / "runs.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Run(**json.loads(line)) for line in lines]

    def heal(self) -> None:
        """`fail` jobs succeed from now on."""
        (self._directory / "healed").touch()

    def release(self) -> None:
        """`hold` jobs finish now."""
        (self._directory / "released").touch()


async def _stopped(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.terminate()
    try:
        return await asyncio.wait_for(process.wait(), 20)
    except TimeoutError:
        process.kill()
        return await process.wait()
