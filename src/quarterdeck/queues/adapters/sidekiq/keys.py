"""The names of Sidekiq's Redis keys, and the public names of its queues."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Priority, QueueRef

PREFIX = "queue:"
SUFFIXES = {Priority.HIGH: ":high", Priority.LOW: ":low"}

DEAD, RETRY, SCHEDULE = SETS = ("dead", "retry", "schedule")
"""Sorted sets of jobs of all queues: scored by when they died, or by when they are due."""

_JOB_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Where Sidekiq keeps things. The names are its own; `namespace` is `redis-namespace`'s."""

    namespace: str

    @property
    def prefix(self) -> str:
        """What all keys start with."""
        return f"{self.namespace}:" if self.namespace else ""

    @property
    def queues(self) -> str:
        """Set of the names of all queues that ever had a job."""
        return f"{self.prefix}queues"

    def waiting(self, queue: str) -> str:
        """List of jobs, the next to run last."""
        return f"{self.prefix}queue:{queue}"

    def sorted_set(self, name: str) -> str:
        """One of `SETS`."""
        return f"{self.prefix}{name}"


@dataclass(frozen=True, slots=True)
class QueueNames:
    """Public names: `queue:` and Sidekiq's own name. The band is its suffix, or configured."""

    source: str
    priorities: Mapping[str, Priority]

    def ref(self, queue: str) -> QueueRef:
        """The public form of a queue."""
        return QueueRef(self.source, f"{PREFIX}{queue}", self._priority(queue))

    def _priority(self, queue: str) -> Priority:
        if queue in self.priorities:
            return self.priorities[queue]
        for priority, suffix in SUFFIXES.items():
            if queue.endswith(suffix):
                return priority
        return Priority.NORMAL


def own_name(public_name: str) -> str | None:
    """Sidekiq's name of a queue; None when no queue can have that public name."""
    if not public_name.startswith(PREFIX) or not is_storable(public_name):
        return None
    return public_name.removeprefix(PREFIX) or None


def siblings(queue: str) -> Sequence[str]:
    """The other bands of the queue that this one is a band of; none if it is no band."""
    for suffix in SUFFIXES.values():
        base = queue.removesuffix(suffix)
        if base not in {queue, ""} and not base.endswith(tuple(SUFFIXES.values())):
            family = [base, *(base + each for each in SUFFIXES.values())]
            return [each for each in family if each != queue]
    return ()


def is_job_id(job_id: str) -> bool:
    """Whether a job of Sidekiq can be searched for by this id: its own are 24 hex digits.

    Others would have to be escaped in patterns, and could be written in JSON in several ways.
    """
    return _JOB_ID.fullmatch(job_id) is not None
