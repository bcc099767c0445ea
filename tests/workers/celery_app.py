"""The Celery application of the contract tests: producers import it, workers run it."""

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.pools import reset

TASK = "contract"


def build_app(url: str, **settings: Any) -> Celery:
    """An application on this Redis, set up as our documentation asks."""
    # Connections of an earlier application remember what they have declared, in a Redis that may
    # have been emptied since.
    reset()
    app = Celery("contract", broker=url, backend=url)
    app.conf.update(
        {
            "result_extended": True,
            "task_send_sent_event": True,
            "worker_send_task_events": True,
            "worker_hijack_root_logger": False,
            "broker_connection_retry_on_startup": True,
            **settings,
        }
    )
    return app


def add_task(app: Celery, directory: Path) -> None:
    """The one task, as `workers/script.py` has it for asynchronous workers."""
    runs = os.open(directory / "runs.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def act(self: Any, *_: Any, **payload: Any) -> None:
        line = {"job_id": self.request.id, "attempt": self.request.retries + 1}
        os.write(runs, json.dumps(line).encode() + b"\n")
        outcome = payload.get("outcome")
        if outcome == "fail" and not (directory / "healed").exists():
            raise ConnectionError("421 4.7.0 mx1.example.com: too many connections")
        while outcome == "hold" and not (directory / "released").exists():
            time.sleep(0.01)

    app.task(name=TASK, bind=True)(act)
