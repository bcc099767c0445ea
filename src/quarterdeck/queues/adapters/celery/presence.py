"""Which workers are there, by the heartbeats that Celery sends with its events."""

import time
from collections.abc import Iterator
from typing import Any

FRESH_S = 10.0
"""Workers send a heartbeat every 2 s, also without -E."""
_HEARD = {"worker-online", "worker-heartbeat"}


class Presence:
    """The workers that were heard of lately."""

    def __init__(self) -> None:
        self._heard_at: dict[str, float] = {}

    def hear(self, body: Any) -> Iterator[str]:
        """Take note of one message of events; gives the workers that have just come."""
        for event in body if isinstance(body, list) else [body]:
            if not isinstance(event, dict) or not isinstance(event.get("hostname"), str):
                continue
            if event.get("type") == "worker-offline":
                self._heard_at.pop(event["hostname"], None)
            elif event.get("type") in _HEARD:
                is_new = not self._is_fresh(event["hostname"])
                self._heard_at[event["hostname"]] = time.monotonic()
                if is_new or event["type"] == "worker-online":
                    yield event["hostname"]

    def workers(self) -> set[str]:
        """Those that are there."""
        self._heard_at = {
            worker: at for worker, at in self._heard_at.items() if self._is_fresh(worker)
        }
        return set(self._heard_at)

    def _is_fresh(self, worker: str) -> bool:
        return time.monotonic() - self._heard_at.get(worker, -FRESH_S) < FRESH_S
