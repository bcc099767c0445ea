"""Public names of BullMQ's queues on any store, and how they lead back to its own."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Priority, QueueRef

PREFIX = "queue:"
REMEMBERED = 4096
"""Names whose public forms are worked out once, and not at each answer."""
_ENDING = re.compile(r"[:._-](high|low)\Z")


class QueueNames:
    """The names of one source. `native` is what a program gives to `new Queue(...)`.

    Without a separator a public name is the native one behind `queue:`. With one, a queue that ends
    in separator and band is shown with a colon there; BullMQ itself allows no colon in names.
    """

    def __init__(self, source: str, separator: str, priorities: Mapping[str, Priority]) -> None:
        self._source = source
        self._separator = separator
        self._priorities = priorities
        self.ref = lru_cache(REMEMBERED)(self._ref)
        """The public form of a queue, by its native name."""

    def _ref(self, native: str) -> QueueRef:
        ending = _ENDING.search(native)
        priority = Priority(ending.group(1)) if ending else Priority.NORMAL
        priority = self._priorities.get(native, priority)
        name, band = self._split(native)
        public = f"{PREFIX}{name}:{band}" if band else PREFIX + native
        return QueueRef(self._source, public, priority)

    def refs(self, natives: Iterable[str]) -> dict[str, QueueRef]:
        """The public forms of many, by native name; of two that read alike the first is kept."""
        found = {native: self.ref(native) for native in sorted(natives)}
        shown: dict[str, str] = {}
        for native, ref in found.items():
            shown.setdefault(ref.name, native)
        return {native: found[native] for native in shown.values()}

    def native(self, public: str) -> str | None:
        """The one queue that this public name can mean; None: it is no name of ours."""
        if not public.startswith(PREFIX) or not is_storable(public):
            return None
        bare = public.removeprefix(PREFIX)
        base, _, band = bare.rpartition(":")
        if self._separator and base and band in {"high", "low"}:
            return f"{base}{self._separator}{band}"
        if not bare or self._split(bare)[1]:
            return None
        return bare

    def base(self, native: str) -> str | None:
        """The queue whose band this one is; None: it is no band."""
        name, band = self._split(native)
        return name if band else None

    def _split(self, native: str) -> tuple[str, str]:
        """Name and band; the band is empty where the name tells none."""
        for band in ("high", "low") if self._separator else ():
            name = native.removesuffix(self._separator + band)
            if name and name != native:
                return name, band
        return native, ""
