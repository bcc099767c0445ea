"""Which queues the broker has, and what is routed to them.

Results and workers tell by which key a task was routed, not its queue. The two are the same unless
an application has exchanges of its own; a retry into a list of the key's name would be lost then.
"""

import re
import time
from collections.abc import Iterable

from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.names import NO_QUEUES, SEPARATOR


class Routes:
    """The bindings of one source, as they were when last searched for."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._by_key: dict[str, set[str]] = {}
        self.queues: set[str] = set(access.options.queues)
        """All that were ever seen, and those of the settings."""
        self.discovered_at = 0.0
        """By the monotonic clock."""

    async def discover(self) -> None:
        """Read all bindings. O(keys of the database), in steps of a thousand."""
        prefix = self._access.keys.binding("")
        pattern = "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix) + "*"
        async with self._access.explained():
            async for key in self._access.broker.scan_iter(pattern, count=1000, _type="SET"):
                if key.decode(errors="replace").removeprefix(prefix) not in NO_QUEUES:
                    self._add(await self._access.broker.smembers(key))
        self.discovered_at = time.monotonic()

    def queue_of(self, key: str) -> str | None:
        """The queue that this key leads to; None: several do, so it cannot be said."""
        exact = self._by_key.get(key)
        if exact is None:
            exact = {
                queue
                for bound, queues in self._by_key.items()
                if _is_pattern(bound) and _matches(bound, key)
                for queue in queues
            }
        if key in exact or not exact:
            return key
        return next(iter(exact)) if len(exact) == 1 else None

    def _add(self, members: Iterable[bytes]) -> None:
        for member in members:
            key, _, rest = member.decode(errors="replace").partition(SEPARATOR)
            queue = rest.rpartition(SEPARATOR)[2]
            if queue:
                self._by_key.setdefault(key, set()).add(queue)
                self.queues.add(queue)


def _is_pattern(bound: str) -> bool:
    return "*" in bound or "#" in bound


def _matches(bound: str, key: str) -> bool:
    """As topic exchanges have it: `*` is one word, `#` any number of them."""
    steps = {"*": "[^.]+", "#": ".*"}
    return bool(re.fullmatch("".join(steps.get(c) or re.escape(c) for c in bound), key))
