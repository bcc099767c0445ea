"""What a probe must be able to do, and what it is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from quarterdeck.core.clock import Clock
from quarterdeck.health.model import Reading
from quarterdeck.net.guard import Guard


@dataclass(frozen=True, slots=True)
class QueueBacklog:
    """Of one queue that this server watches. None is unknown."""

    waiting: int | None
    paused: bool | None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What probes may use besides their own driver."""

    timeout_s: float
    """After this the reading is given up by the caller; a probe's own steps should end before."""
    guard: Guard
    """Every connection goes through it: it refuses addresses that no probe may reach."""
    clock: Clock
    queue_backlog: Callable[[str, str | None], Awaitable[QueueBacklog]]
    """By queue name and, where it is ambiguous, source. Raises NotFound, SourceUnavailable."""
    last_heartbeat: Callable[[str], datetime | None]
    """When the heartbeat of this name last came in; None: never."""


class Probe(Protocol):
    """Looks at one thing. It keeps its connection between checks where that is what it measures."""

    @property
    def target(self) -> str:
        """What it looks at, for people; without secrets."""
        ...

    async def check(self) -> Reading:
        """Look once. A service that is not well is a Reading, not an exception; an exception is
        taken for a failure whose text is not shown. It may be cancelled at any await.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class ProbeFactory(Protocol):
    """How the registry calls an adapter: `kind` to a class with `Options` and this signature."""

    Options: ClassVar[type[Struct]]
    """Its own keys of a `[[health.services.probes]]` entry; `kind` is among them."""

    def __call__(self, options: Any, toolbox: Toolbox) -> Probe:
        """Build it; nothing is connected yet.

        Raises:
            ConfigError: options that contradict each other, or a driver that is not installed.
        """
        ...
