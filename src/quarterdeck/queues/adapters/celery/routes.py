"""Which queues the broker has, and what is routed to them.

Results and workers tell by which key a task was routed, not its queue. The two are the same unless
an application has exchanges of its own; a retry into a list of the key's name would be lost then.
"""

import re
import time
from collections.abc import Iterable

from quarterdeck.queues.adapters.celery.broker import Broker


class Routes:
    """The bindings of one source, as they were when last searched for."""

    def __init__(self, broker: Broker, queues: Iterable[str]) -> None:
        self._broker = broker
        self._by_key: dict[str, set[str]] = {}
        self.queues: set[str] = set(queues)
        """All that were ever seen, and those of the settings."""
        self.discovered_at = 0.0
        """By the monotonic clock."""

    async def discover(self) -> None:
        """Read all bindings."""
        for key, queue in await self._broker.bindings():
            if queue:
                self._by_key.setdefault(key, set()).add(queue)
                self.queues.add(queue)
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


def _is_pattern(bound: str) -> bool:
    return "*" in bound or "#" in bound


def _matches(bound: str, key: str) -> bool:
    """As topic exchanges have it: `*` is one word, `#` any number of them."""
    steps = {"*": "[^.]+", "#": ".*"}
    return bool(re.fullmatch("".join(steps.get(c) or re.escape(c) for c in bound), key))
