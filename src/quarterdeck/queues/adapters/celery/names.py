"""Public names of queues, and the Redis keys of Celery's and of our own."""

from dataclasses import dataclass

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Priority, QueueRef

PREFIX = "queue:"
SEPARATOR = "\x06\x16"
BINDINGS = "_kombu.binding."
NO_QUEUES = frozenset({"celeryev", "celery.pidbox", "reply.celery.pidbox"})
"""Exchanges of events and remote control."""


def ref_of(source: str, queue: str) -> QueueRef:
    """The public form of a queue; its priority is told by its name."""
    ending = queue.rpartition(":")[2]
    band = Priority(ending) if ending in {"high", "low"} else Priority.NORMAL
    return QueueRef(source, PREFIX + queue, band)


def queue_of(ref: QueueRef) -> str:
    """The inverse of `ref_of`."""
    return ref.name.removeprefix(PREFIX)


def queue_named(name: str) -> str | None:
    """The queue of a public name; None: it is no name of ours."""
    if not name.startswith(PREFIX) or not is_storable(name):
        return None
    return name.removeprefix(PREFIX) or None


def base_of(queue: str) -> str | None:
    """The queue whose band this one is; None: it is no band."""
    base, _, band = queue.rpartition(":")
    return base if base and band in {"high", "low"} else None


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one source."""

    broker: str
    """What Celery puts before all of its keys in the broker."""
    result: str
    own: str
    """What we put before ours."""
    steps: tuple[int, ...]
    """Priorities that have a list of their own; the lowest is the default, and runs first."""

    def lists(self, queue: str) -> list[str]:
        """The lists of waiting messages, the most urgent first; their heads are the newest."""
        return [
            self.broker + (f"{queue}{SEPARATOR}{step}" if step else queue) for step in self.steps
        ]

    def binding(self, exchange: str) -> str:
        """The set of an exchange's bindings."""
        return f"{self.broker}{BINDINGS}{exchange}"

    def result_of(self, job_id: str) -> str:
        """Where a result is kept, and the channel it is published in."""
        return f"{self.result}celery-task-meta-{job_id}"
