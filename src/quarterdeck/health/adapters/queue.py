"""Looks at how many jobs wait in a queue that this server watches."""

from typing import ClassVar

from msgspec import Struct

from quarterdeck.core.errors import NotFound, SourceUnavailable
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox


class QueueOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `queue` may say."""

    queue: str
    kind: str = "queue"
    source: str | None = None
    """Name of the source, where several have a queue of this name."""


class QueueProbe:
    """OK when its length is known; how long is too long is for the thresholds to say."""

    Options: ClassVar[type[Struct]] = QueueOptions

    def __init__(self, options: QueueOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        self.target = f"queue {options.queue}"

    async def check(self) -> Reading:
        """Count once."""
        try:
            found = await self._toolbox.queue_backlog(self._options.queue, self._options.source)
        except NotFound:
            return Reading(Outcome.UNKNOWN, "there is no such queue")
        except SourceUnavailable:
            return Reading(Outcome.UNKNOWN, "the source of the queue is not available")
        facets = {} if found.paused is None else {"queue": "paused" if found.paused else "running"}
        if found.waiting is None:
            return Reading(
                Outcome.UNKNOWN, "its engine cannot say how many jobs wait", facets=facets
            )
        return Reading(Outcome.OK, metrics={"queue_backlog": found.waiting}, facets=facets)

    async def close(self) -> None:
        """It holds nothing."""
