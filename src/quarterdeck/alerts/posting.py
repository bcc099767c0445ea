"""POSTs notices, and turns what receivers answer into DeliveryErrors."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import json

from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.alerts.wording import sound
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.outgoing import Answer, PostClient

NOT_YET = frozenset({408, 425, 429})
"""The answers of 400 to 499 that may be another one later."""

LONGEST_WAIT_S = 86_400.0
"""A receiver that asks for more is asked again after a day."""


class Poster:
    """Sends JSON to one address."""

    def __init__(
        self, client: PostClient, known_words: Collection[str] = (), clock: Clock = utc_now
    ) -> None:
        """`known_words` are answers that explain a refusal and may be shown; others may not."""
        self._client = client
        self._known_words = frozenset(known_words)
        self._clock = clock

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Deliver one body.

        Raises:
            DeliveryError: it was not taken.
        """
        try:
            answer = await self._client.post(
                body, {"Content-Type": "application/json"} | dict(headers or {})
            )
        except SourceUnavailable as error:
            raise DeliveryError(error.message) from None
        if not 200 <= answer.status < 300:
            raise self._refusal(answer)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()

    def _refusal(self, answer: Answer) -> DeliveryError:
        status, said = answer.status, answer.body.decode("ascii", "replace").strip()
        text = f"{self._client.host} answered {status}"
        if said in self._known_words:
            text += f" ({said})"
        if 300 <= status < 400:
            text += ", and redirects are not followed; configure the final address"
        is_permanent = 300 <= status < 500 and status not in NOT_YET
        wait_s = None if is_permanent else retry_after_s(answer.retry_after, self._clock())
        return DeliveryError(f"{text}.", is_permanent=is_permanent, retry_after_s=wait_s)


def encoded(document: Any) -> bytes:
    """JSON of a document, whatever characters its texts hold."""
    return json.encode(sound(document))


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` (RFC 9110: seconds or a date); None: it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:  # "-0000", which HTTP reads as GMT too
        at = at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), LONGEST_WAIT_S)
