"""Stops queries inside the engine, however often it must be told."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

AGAIN_S = 0.02


class Killer:
    """A thread that kills queries by their ids until their calls have returned.

    Once is not enough: a call may be on its way into the engine, which knows no such query yet.
    """

    def __init__(self, kill: Callable[[Iterable[str]], None]) -> None:
        self._kill = kill
        self._victims: dict[str, Future[Any]] = {}
        self._wake = threading.Condition()
        self._stop = False
        self._thread: threading.Thread | None = None

    def stop_query(self, query_id: str, call: "Future[Any]") -> None:
        """Have `query_id` killed until `call` is done; returns at once."""
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="facts-kill", daemon=True)
                self._thread.start()
            self._victims[query_id] = call
            self._wake.notify()

    def close(self) -> None:
        """End the thread, once all its victims are gone."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._victims = {k: call for k, call in self._victims.items() if not call.done()}
                if not self._victims:
                    if self._stop:
                        return
                    self._wake.wait()
                    continue
                victims = list(self._victims)
            self._kill(victims)
            with self._wake:
                self._wake.wait(AGAIN_S)
