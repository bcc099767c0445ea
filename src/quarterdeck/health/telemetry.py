"""How this server watches itself: as it watches others, without asking itself over HTTP."""

import time
from collections.abc import Callable
from datetime import timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.histogram import Histogram
from quarterdeck.health.windows import Windows

OWN_NAME = "Quarterdeck"


class SelfTelemetry:
    """Counts the server's own requests; `windows` get them once a slice, as of `OWN_NAME`.

    `monotonic` gives seconds that never go back. For the event loop only.
    """

    def __init__(
        self,
        windows: Windows,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = windows
        self._clock = clock
        self._monotonic = monotonic
        self._renew()

    def observe(self, seconds: float, status: int) -> None:
        """Count a request that took so long and was answered so; 500 and above is a failure."""
        self._histogram.add(seconds)
        if status >= 500:
            self._errors += 1
        if self._monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Hand over what was counted. Call it before reading a summary: without requests nobody
        else does.
        """
        now = self._clock()
        since = now - timedelta(seconds=self._monotonic() - self._started)
        self._windows.add(OWN_NAME, now, self._histogram, errors=self._errors, since=since)
        self._renew()

    def _renew(self) -> None:
        self._started = self._monotonic()
        self._due = self._started + self._windows.slice_s
        self._histogram = Histogram()
        self._errors = 0
