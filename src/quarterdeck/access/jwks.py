"""The identity provider's public keys (RFC 7517), fetched when needed and kept for a while."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable

log = logging.getLogger("quarterdeck.access")

SOURCE = "identity provider"
PAUSE = timedelta(seconds=10)
"""Between two forced refreshes, and after one that failed: a flood of invented key ids, or an
outage, costs the provider one request in ten seconds. The price: a key made right after another
forced refresh is refused for so long."""

MIN_RSA_BITS = 2048

Fetch = Callable[[str], Awaitable[bytes]]


class KeyDirectory:
    """The signing keys behind one JWKS address.

    An outage of the provider stops nobody whose key is known: the old set serves until a new one
    arrives. `fetch` gives the body or raises `SourceUnavailable`.
    """

    def __init__(self, url: str, fetch: Fetch, max_age_s: int, clock: Clock) -> None:
        self._url = url
        self._fetch = fetch
        self._max_age = timedelta(seconds=max_age_s)
        self._clock = clock
        self._keys: list[Key] | None = None
        self._fetched_at: datetime | None = None
        self._paused_at: datetime | None = None
        self._failure: str | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def find_key(self, algorithm: str, key_id: str | None) -> Key | None:
        """The key that may have signed so; None when the provider does not publish it.

        Without a key id the choice must be clear: a single key for this algorithm.

        Raises:
            SourceUnavailable: the key is not known, and the provider cannot be asked.
        """
        if not self._is_fresh():
            await self._renew()
        key = choose(self._keys or [], algorithm, key_id)
        if key is None and key_id is not None and await self._renew(forced=True):
            key = choose(self._keys or [], algorithm, key_id)
        if key is None and self._failure is not None:
            raise SourceUnavailable(SOURCE, self._failure)
        return key

    def _is_fresh(self) -> bool:
        return self._fetched_at is not None and self._is_within(self._max_age, self._fetched_at)

    def _is_within(self, span: timedelta, since: datetime) -> bool:
        # A clock that was set back must not make the past last for ever.
        return timedelta(0) <= self._clock() - since < span

    async def _renew(self, forced: bool = False) -> bool:
        """Fetch, or wait for the fetch under way; False when it is too early to ask again."""
        if self._refreshing is None:
            if self._paused_at is not None and self._is_within(PAUSE, self._paused_at):
                return False
            if forced:
                self._paused_at = self._clock()
            self._refreshing = asyncio.create_task(self._refresh())
        if not forced and self._keys is not None and self._failure is not None:
            # The provider was down when last asked: nobody waits for it who can do without.
            return False
        # Shielded: one caller who hangs up must not undo the fetch for the others.
        await asyncio.shield(self._refreshing)
        return True

    async def _refresh(self) -> None:
        try:
            self._keys = parse_keys(await self._fetch(self._url))
            self._fetched_at, self._failure = self._clock(), None
        except SourceUnavailable as error:
            self._fail(f"The identity provider's keys cannot be had: {error.message}")
        except ValueError as error:
            host = urlsplit(self._url).hostname
            self._fail(f"The identity provider {host} sent no JSON Web Key Set: {error}.")
        finally:
            self._refreshing = None

    def _fail(self, message: str) -> None:
        self._paused_at, self._failure = self._clock(), message
        log.warning("%s", message)


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def parse_keys(body: bytes) -> list[Key]:
    """The usable keys of a JWKS document; the others are left out, as RFC 7517 section 5 wants.

    Raises:
        ValueError: it is no JWKS document.
    """
    try:
        entries = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    keys = [key for entry in entries if (key := _import(entry)) is not None]
    if len(keys) < len(entries):
        log.info("%d of the identity provider's %d keys are for other uses, weak or unreadable.",
                 len(entries) - len(keys), len(entries))  # fmt: skip
    return keys


def choose(keys: list[Key], algorithm: str, key_id: str | None) -> Key | None:
    """The key of that id, or the only one that can be meant."""
    able = [key for key in keys if _algorithm(key) == algorithm]
    for key in able:
        if key_id is not None and key.kid == key_id:
            return key
    anonymous = [key for key in able if key_id is None or key.kid is None]
    return anonymous[0] if len(anonymous) == 1 else None


def _algorithm(key: Key) -> str:
    return "RS256" if isinstance(key, RSAKey) else "ES256"


def _import(entry: Mapping[str, Any]) -> Key | None:
    """A key that can verify RS256 or ES256, else None. Symmetric keys never come this way."""
    kind = (entry.get("kty"), entry.get("crv"))
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
            return None
        if kind[0] == "RSA" and entry.get("alg", "RS256") == "RS256" and _is_strong(entry):
            return RSAKey.import_key(dict(entry))
        if kind == ("EC", "P-256") and entry.get("alg", "ES256") == "ES256":
            return ECKey.import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        # Whatever the provider wrote there, it is not a key of ours to trust.
        return None
    return None


def _is_strong(entry: Mapping[str, Any]) -> bool:
    modulus = base64.urlsafe_b64decode(entry["n"] + "==")
    return int.from_bytes(modulus, "big").bit_length() >= MIN_RSA_BITS
