"""The names of RQ's Redis keys, and the public names of its queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Priority, QueueRef

PREFIX = "queue:"
SUFFIXES = {Priority.HIGH: ":high", Priority.LOW: ":low"}
MAX_ID = 500


@dataclass(frozen=True, slots=True)
class Keys:
    """Where RQ keeps things. The names are its own; `prefix` is its `RQ_KEY_PREFIX`."""

    prefix: str

    @property
    def queues(self) -> str:
        """Set of the list keys of all queues that ever had a job."""
        return f"{self.prefix}:queues"

    @property
    def suspended(self) -> str:
        """There while all workers are suspended."""
        return f"{self.prefix}:suspended"

    def waiting(self, queue: str) -> str:
        """List of job ids, the next to run first."""
        return f"{self.prefix}:queue:{queue}"

    def popped(self, queue: str) -> str:
        """List of ids that a worker of this queue alone has taken and not started yet."""
        return f"{self.waiting(queue)}:intermediate"

    def registry(self, kind: str, queue: str) -> str:
        """Sorted set: `wip`, `failed`, `finished`, `deferred`, `scheduled` or `ready`."""
        return f"{self.prefix}:{kind}:{queue}"

    def job(self, job_id: str) -> str:
        """The hash that describes one job."""
        return f"{self.prefix}:job:{job_id}"

    def results(self, job_id: str) -> str:
        """The stream of how its executions ended."""
        return f"{self.prefix}:results:{job_id}"

    def executions(self, job_id: str) -> str:
        """Sorted set of its executions that run."""
        return f"{self.prefix}:executions:{job_id}"


@dataclass(frozen=True, slots=True)
class QueueNames:
    """Public names: `queue:` and RQ's own name. The band is the name's suffix, or configured."""

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
    """RQ's name of a queue; None when no queue can have that public name."""
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
    """Whether a job can have this id. A colon would lead to another key of the job."""
    return 0 < len(job_id) <= MAX_ID and ":" not in job_id and is_storable(job_id)
