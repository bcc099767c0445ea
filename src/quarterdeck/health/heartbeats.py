"""Heartbeats: jobs and machines that call us, so that silence is noticed."""

import re
from datetime import datetime

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, InvalidRequest
from quarterdeck.health.store import HealthStore

MAX_NAME = 200
MOST = 10_000
"""Names in all: a sender that makes up names must not fill the database."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Heartbeats:
    """When each was last seen: in the database, and in memory for who asks often."""

    def __init__(self, store: HealthStore, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._last: dict[str, datetime] = {}

    def last(self, name: str) -> datetime | None:
        """When the heartbeat of this name last came in; None: never. See `ports.Toolbox`."""
        return self._last.get(name)

    async def record(self, name: str) -> datetime:
        """Note that it came in just now; durable on return.

        Raises:
            InvalidRequest: this cannot be a name.
            Conflict: there are too many names already.
            SourceUnavailable: it could not be noted; send it again.
        """
        if not name or len(name) > MAX_NAME or _UNSAFE.search(name):
            raise InvalidRequest.of(
                "name", f"give 1 to {MAX_NAME} characters, without control characters.", "path"
            )
        at = self._clock()
        noted = await self._store.record_heartbeat(name, at, MOST)
        if noted is None:
            raise Conflict(
                f"There are {MOST:,} heartbeats of other names already. "
                "Use one name for each job, not for each run."
            )
        self._see(name, noted)
        return at

    async def refresh(self) -> None:
        """Learn of those that other servers on the same database took, and of those before us.

        Raises:
            SourceUnavailable: they cannot be had.
        """
        for name, at in (await self._store.heartbeats()).items():
            self._see(name, at)

    def _see(self, name: str, at: datetime) -> None:
        self._last[name] = max(at, self._last.get(name, at))
