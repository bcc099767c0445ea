"""What saved searches tell the alert rules: how many lines matched in the last minutes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.signals import Signal
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.logs.service import LogService


@dataclass(frozen=True, slots=True)
class LogWatch:
    """A saved search, by its name, and how far back its lines are counted."""

    search: str
    minutes: int


class LogSignals:
    """Counts when it is called; see `core.signals.Signals`."""

    def __init__(
        self,
        searches: SavedSearches,
        logs: LogService,
        watches: Sequence[LogWatch],
        clock: Clock = utc_now,
    ) -> None:
        self._searches = searches
        self._logs = logs
        self._watches = watches
        self._clock = clock

    async def __call__(self) -> Sequence[Signal]:
        """One signal for each watch; the count of a search that is not there is unknown.

        Raises:
            SourceUnavailable: the lines or the searches cannot be had.
        """
        return [await self._signal(watch) for watch in self._watches]

    async def _signal(self, watch: LogWatch) -> Signal:
        now = self._clock()
        labels = {"minutes": str(watch.minutes)}
        count: int | None = None
        details = {"minutes": str(watch.minutes)}
        try:
            search = await self._searches.get_named(watch.search)
        except NotFound as error:
            details["reason"] = error.message
        else:
            since = now - timedelta(minutes=watch.minutes)
            # What the search says of times is of when it was saved.
            count = await self._logs.count(replace(search.filter, start=since, end=None))
        return Signal("log_search", watch.search, now, {"count": count}, labels, details=details)
