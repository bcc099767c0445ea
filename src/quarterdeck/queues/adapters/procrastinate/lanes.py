"""Public names of queues, and the bands that the jobs' priorities make of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Priority, QueueRef

PREFIX = "queue:"
BANDS = {1: Priority.HIGH, 0: Priority.NORMAL, -1: Priority.LOW}
"""By the sign of a job's priority. The default is 0, and higher ones run first."""
SUFFIXES = {Priority.HIGH: ":high", Priority.NORMAL: "", Priority.LOW: ":low"}


@dataclass(frozen=True, slots=True)
class Lane:
    """One band of one queue: what the API calls a queue. `sign` is that of its priorities."""

    queue: str
    sign: int

    def ref(self, source: str) -> QueueRef:
        """Its public form."""
        priority = BANDS[self.sign]
        return QueueRef(source, f"{PREFIX}{self.queue}{SUFFIXES[priority]}", priority)


def lane_of(ref: QueueRef) -> Lane:
    """The inverse of `Lane.ref`."""
    name = ref.name.removeprefix(PREFIX).removesuffix(SUFFIXES[ref.priority])
    return Lane(name, next(sign for sign, band in BANDS.items() if band is ref.priority))


def lanes_named(name: str) -> Sequence[Lane]:
    """What a public name can mean, the likelier first; empty: it is no name of ours."""
    if not name.startswith(PREFIX) or not is_storable(name):
        return ()
    bare = name.removeprefix(PREFIX)
    bands = [
        Lane(bare.removesuffix(SUFFIXES[band]), sign)
        for sign, band in BANDS.items()
        if sign and bare.endswith(SUFFIXES[band])
    ]
    return [*bands, Lane(bare, 0)]
