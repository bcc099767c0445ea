"""How long to wait before trying again: longer each time, never all at once, as the server says."""

import random

LONGEST_RETRY_AFTER_S = 300.0
"""A server that asks for more is asked again after this."""


class Backoff:
    """The waits of one series of failures."""

    def __init__(self, first_s: float = 0.5, longest_s: float = 30.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many there were since the last success."""
        return self._failures

    def next_s(self, retry_after_s: float | None = None) -> float:
        """Seconds to wait after one more failure; at least what the server asked for."""
        # 2.0**2000 overflows; 30 doublings are longer than any limit.
        delay = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        jittered = delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return max(jittered, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))

    def reset(self) -> None:
        """After a success: the next failure is the first."""
        self._failures = 0


def retry_after_s(header: str | None) -> float | None:
    """Seconds from a `Retry-After` header; None when it has none or a date."""
    text = (header or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
