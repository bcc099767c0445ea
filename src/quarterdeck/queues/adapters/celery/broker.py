"""What is needed of a broker: what waits there, what is published there, and a way to workers.

A broker is a Redis or a RabbitMQ. Our index lies in a Redis in any case: see `Access.store`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.counting import Counted
from quarterdeck.queues.adapters.celery.wire import Message, Task
from quarterdeck.queues.model import Capabilities

PATIENCE_S = 2.0
"""A worker that has not replied by then is too busy to, or has died without anybody knowing."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a worker has fetched and not acknowledged."""

    message: Message
    routing_key: str


class Kind(Enum):
    """What was heard."""

    EVENTS = auto()
    RESULT = auto()
    ECHO = auto()
    """Of our own, see `Wire.echo`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message: decoded events, a decoded result, or the token of an echo."""

    kind: Kind
    content: Any


class Batches(Protocol):
    """An open wire."""

    async def next(self) -> Sequence[Heard]:
        """What has come since; waits for something. Asking again says the last ones are noted."""
        ...


class Wire(Protocol):
    """A server that publishes events, results or both, each in their order."""

    @property
    def brings_results(self) -> bool:
        """Whether it is the server that keeps the results, too."""
        ...

    def open(self) -> AbstractAsyncContextManager[Batches]:
        """Listen: all that is published from now on is heard.

        Raises:
            SourceUnavailable: also by the batches; what comes meanwhile is lost.
        """
        ...

    async def ping(self) -> None:
        """Return when the server answers; else say why it does not."""
        ...

    async def echo(self, token: str) -> None:
        """Publish something to ourselves: when it is heard, all before it has been."""
        ...

    def silent(self) -> SourceUnavailable:
        """What to say when the server answers, but no echo comes."""
        ...


class Control(Protocol):
    """Remote control of workers: broadcasts, and what they reply."""

    async def ask(
        self,
        method: str,
        arguments: Mapping[str, Any] | None = None,
        workers: Sequence[str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """The reply of each worker (None: of all), by its name. The broker tells how many listen,
        so none is waited for in vain: not even a moment when there are none.

        Raises:
            SourceUnavailable: the broker cannot be had.
        """
        ...


class Broker(Protocol):
    """What waits in one source. All raise `SourceUnavailable`."""

    @property
    def abilities(self) -> Capabilities:
        """What can be done with tasks there."""
        ...

    @property
    def is_readable(self) -> bool:
        """Whether waiting messages can be looked at; if not, only the index knows them."""
        ...

    @property
    def wires(self) -> Sequence[Wire]:
        """Where events and results are published."""
        ...

    @property
    def control(self) -> Control:
        """The way to its workers."""
        ...

    async def bindings(self) -> Sequence[tuple[str, str]]:
        """Each queue of the application with the keys or patterns that lead to it."""
        ...

    async def counted(self, queues: Sequence[str]) -> Sequence[Counted]:
        """The counts of these queues, at a cost free of the number of tasks."""
        ...

    async def count(self, queue: str) -> int:
        """How many messages wait in a queue."""
        ...

    async def page(self, queue: str, start: int, count: int) -> Sequence[Message]:
        """Waiting tasks, the most urgent priority first, each from its newest on."""
        ...

    async def find(self, queue: str, job_id: str) -> tuple[str, Message] | None:
        """A waiting task, and the place where it is."""
        ...

    async def unacknowledged(self, limit: int) -> Sequence[Delivery]:
        """What workers hold, in any queue: tasks for later, prefetched and late-acknowledged."""
        ...

    async def send_again(self, task: Task, done_at: str) -> bool:
        """Send a task that failed at `done_at`; whether it was still as it had been seen."""
        ...

    async def take(self, place: str, queue: str, message: Message) -> bool:
        """Remove a waiting task from where it was found; whether it was still there."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
