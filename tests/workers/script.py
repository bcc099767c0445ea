"""How a worker of the contract tests behaves: what it reports, and what its jobs do."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any


class Script:
    """Steered by the files of one directory; see `contract/fleet.py`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runs = os.open(
            directory / "runs.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )

    async def act(self, job_id: str, attempt: int, payload: Any) -> None:
        """Report the start, then do what the payload's `outcome` says."""
        # One write of a short line: appends of several processes do not mix.
        os.write(self._runs, json.dumps({"job_id": job_id, "attempt": attempt}).encode() + b"\n")
        outcome = payload.get("outcome") if isinstance(payload, dict) else None
        if outcome == "fail" and not (self._directory / "healed").exists():
            raise ConnectionError("421 4.7.0 mx1.example.com: too many connections")
        while outcome == "hold" and not (self._directory / "released").exists():
            await asyncio.sleep(0.01)


def stop_on_sigterm() -> asyncio.Event:
    """An event that SIGTERM sets."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
