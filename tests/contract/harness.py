"""What the contract suite needs of an engine: jobs, real workers, and ways to break things.

Adding an engine to the suite is one file with a harness and one line in `conftest.HARNESSES`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from quarterdeck.queues.model import JobRef
from quarterdeck.queues.ports import Engine, SqlDatabase
from quarterdeck.state import open_database

T = TypeVar("T")
DEADLINE_S = 60.0


class Outcome(StrEnum):
    """What becomes of a job when a worker runs it. Travels in `payload["outcome"]`."""

    OK = "ok"
    FAIL = "fail"
    """Fails for good at the first attempt, with message and trace; until `heal()`."""
    HOLD = "hold"
    """Runs until `release()`."""


class NameRefused(Exception):
    """The engine's own producer takes no queue of this name, so no such queue can exist."""


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a job by a worker. `attempt` counts from 1."""

    job_id: str
    attempt: int


class EngineHarness(Protocol):
    """One engine over a fresh real source, with its producers and workers."""

    engine: Engine

    async def enqueue(
        self,
        queue_name: str,
        payload: dict[str, Any] | None = None,
        *,
        priority: int = 100,
        outcome: Outcome = Outcome.OK,
    ) -> JobRef:
        """One job as a producer would write it; `queue_name` is the bare name, without `queue:`.

        Raises:
            NameRefused: the producer's library does not take this name.
        """
        ...

    async def enqueue_many(
        self, queue_name: str, count: int, *, priority: int = 100, outcome: Outcome = Outcome.OK
    ) -> list[JobRef]:
        """Jobs with payloads `{"number": 0}` and so on; created in this order."""
        ...

    def workers(self, *queue_names: str, processes: int = 1) -> AbstractAsyncContextManager[None]:
        """Real worker processes while the block runs; at its end they finish what they hold."""
        ...

    def runs(self) -> list[Run]:
        """Every start of a job that workers have reported so far."""
        ...

    def heal(self) -> None:
        """`FAIL` jobs succeed from now on."""
        ...

    def release(self) -> None:
        """`HOLD` jobs finish now."""
        ...

    async def spoil_payload(self, ref: JobRef) -> object:
        """Make the stored payload something that is no JSON object; gives what is shown of it."""
        ...

    def source_gone(self) -> AbstractAsyncContextManager[None]:
        """The source does not answer while the block runs."""
        ...


HarnessFactory = Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[EngineHarness]]
"""Opens a harness; the path is an empty directory of its own."""


class DirectToolbox:
    """The composition root's toolbox, for engines that tests build themselves."""

    def open_sql(self, url: str, name: str) -> SqlDatabase:
        """See `ports.Toolbox`."""
        return open_database(url, name)

    def build(self, kind: str, source: str, options: Any) -> Engine:
        """See `ports.Toolbox`."""
        from quarterdeck.config import decode_options
        from quarterdeck.queues.adapters import engine_factory

        factory = engine_factory(kind)
        given = {"name": source, "kind": kind, **options}
        return factory(source, decode_options(given, factory.Options, f"source {source}"), self)


async def eventually(
    condition: Callable[[], Awaitable[T]], seconds: float = DEADLINE_S, what: str = ""
) -> T:
    """Wait until the condition gives something true, and give that."""
    end = time.monotonic() + seconds
    while not (found := await condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        await asyncio.sleep(0.02)
    return found
