"""The names of the platform's Redis keys, and of the three that we put beside each list."""

from dataclasses import dataclass

from quarterdeck.queues.model import Priority, QueueRef

BANDS = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
SUFFIXES = {Priority.HIGH: ":high", Priority.NORMAL: "", Priority.LOW: ":low"}
PREFIX = "queue:"

ASIDE = ":paused-by-quarterdeck"
MARKER = ":paused-at-by-quarterdeck"
REMOVING = ":removing-by-quarterdeck"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of one queue: `name` as in the tables, without the band's suffix."""

    name: str
    priority: Priority

    @property
    def public_name(self) -> str:
        """`queue:email-sending:high`."""
        return f"{PREFIX}{self.name}{SUFFIXES[self.priority]}"

    @classmethod
    def of(cls, public_name: str) -> "Band":
        """The inverse of `public_name`. No queue's own name ends like a band's."""
        name = public_name.removeprefix(PREFIX)
        for priority in (Priority.HIGH, Priority.LOW):
            if name.endswith(SUFFIXES[priority]):
                return cls(name.removesuffix(SUFFIXES[priority]), priority)
        return cls(name, Priority.NORMAL)

    @classmethod
    def of_queue(cls, queue: QueueRef) -> "Band":
        """The band that a public queue is."""
        name = queue.name.removeprefix(PREFIX).removesuffix(SUFFIXES[queue.priority])
        return cls(name, queue.priority)


@dataclass(frozen=True, slots=True)
class BandKeys:
    """The keys of one band. All four go to one script, so in a cluster they share a hash tag."""

    live: str
    """The list that workers pop."""
    aside: str
    """What a pause has set aside, in the same order."""
    marker: str
    """There while the band is paused: an empty list cannot be set aside visibly."""
    removing: str
    """Hash of id -> entry: taken from the list by a delete whose row is not gone yet."""


@dataclass(frozen=True, slots=True)
class KeyPatterns:
    """Where the platform keeps things. `{name}`, `{band}` and `{id}` are filled in."""

    list: str
    job: str
    guard: str

    def of_band(self, band: Band) -> BandKeys:
        """The keys of one band."""
        # Not str.format: a pattern may hold the braces of a cluster's hash tag.
        pattern = self.list.replace("{band}", SUFFIXES[band.priority])
        live = pattern.replace("{name}", band.name)
        return BandKeys(live, live + ASIDE, live + MARKER, live + REMOVING)

    def of_job(self, job_id: str) -> str:
        """The hash that describes one job."""
        return self.job.replace("{id}", job_id)

    def of_guard(self, name: str) -> str:
        """The set of ids that the migrator will not move again."""
        return self.guard.replace("{name}", name)
