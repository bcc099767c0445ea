"""Rate limits: `limits`' sliding window, in this process or in Redis for several replicas."""

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError

from quarterdeck.access.model import Principal, Role
from quarterdeck.api.envelope import Headers
from quarterdeck.config import RateLimit
from quarterdeck.core.errors import ConfigError, TooManyRequests

log = logging.getLogger("quarterdeck.http")
T = TypeVar("T")

REDIS_TIMEOUT_S = 1.0

CONSOLE = "console"
"""`X-Quarterdeck-Client: console` draws on its own bucket: an open page never starves scripts."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Whose requests are counted together, and how many are allowed."""

    name: str
    key: str
    item: RateLimitItem


@dataclass(frozen=True, slots=True)
class Charge:
    """What is left of a bucket after a request."""

    bucket: Bucket
    allowed: bool
    remaining: int
    reset_s: int
    """Seconds until there is room again."""

    def headers(self) -> Headers:
        """`X-RateLimit-*` (Reset in seconds from now) and the IETF draft's two fields."""
        name, item = self.bucket.name, self.bucket.item
        policy = f'"{name}";q={item.amount};w={item.get_expiry()}'
        return [
            (b"x-ratelimit-limit", str(item.amount).encode()),
            (b"x-ratelimit-remaining", str(self.remaining).encode()),
            (b"x-ratelimit-reset", str(self.reset_s).encode()),
            (b"ratelimit-policy", policy.encode()),
            (b"ratelimit", f'"{name}";r={self.remaining};t={self.reset_s}'.encode()),
        ]

    def require(self, message: str) -> None:
        """Go on only if the request was within the limit.

        Raises:
            TooManyRequests: with the seconds to wait.
        """
        if not self.allowed:
            wait = max(1, self.reset_s)
            raise TooManyRequests(f"{message} Wait {wait} s and try again.", wait)


class RateLimiter:
    """Charges requests to buckets; exact under concurrency."""

    def __init__(self, settings: RateLimit) -> None:
        self._default = _item(settings.default)
        self._console = _item(settings.console)
        self._ingest = _item(settings.ingest)
        self._bad_tokens = _item(settings.bad_tokens)
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._redis: RedisStorage | None = None
        if settings.redis_url:
            self._redis = _redis_storage(settings.redis_url)
            self._shared = SlidingWindowCounterRateLimiter(self._redis)
        self._is_shared_down = False

    def bucket(self, principal: Principal, client: str | None) -> Bucket:
        """The bucket of a principal's scripts, of its console, or of a sender of lines."""
        if principal.role is Role.INGEST:
            return Bucket("ingest", f"ingest:{principal.id}", self._ingest)
        if client == CONSOLE:
            return Bucket("console", f"console:{principal.id}", self._console)
        return Bucket("default", f"default:{principal.id}", self._default)

    def signed(self, address: str) -> Bucket:
        """The bucket of signed requests from one address."""
        return Bucket("ingest", f"signed:{address}", self._ingest)

    def visitors(self, address: str) -> Bucket:
        """The bucket of those from one address who are not signed in yet."""
        return Bucket("default", f"visitors:{address}", self._default)

    def bad_tokens(self, address: str) -> Bucket:
        """The bucket of refused tokens from one address."""
        return Bucket("bad-tokens", f"bad:{address}", self._bad_tokens)

    async def charge(self, bucket: Bucket) -> Charge:
        """Take one from the bucket, if there is one."""
        return await self._on_storage(lambda limiter: _charge(limiter, bucket, 1))

    async def refund(self, bucket: Bucket) -> Charge:
        """Give one back: an unchanged answer (304) costs nothing."""
        return await self._on_storage(lambda limiter: _charge(limiter, bucket, -1))

    async def close(self) -> None:
        """Give the connections to Redis back."""
        if self._redis is not None:
            await cast(RedispyBridge, self._redis.bridge).storage.aclose()

    async def _on_storage(
        self, call: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]
    ) -> T:
        if self._shared is None:
            return await call(self._local)
        try:
            result = await call(self._shared)
        except StorageError as error:
            # A lost counter must not close the doors: each process counts for itself meanwhile.
            if not self._is_shared_down:
                log.warning("rate limits are counted per process: %s", error)
            self._is_shared_down = True
            return await call(self._local)
        self._is_shared_down = False
        return result


async def _charge(limiter: SlidingWindowCounterRateLimiter, bucket: Bucket, cost: int) -> Charge:
    allowed = await limiter.hit(bucket.item, bucket.key, cost=cost)
    stats = await limiter.get_window_stats(bucket.item, bucket.key)
    reset = max(0, math.ceil(stats.reset_time - time.time()))
    return Charge(bucket, allowed, stats.remaining, reset)


def _redis_storage(url: str) -> RedisStorage:
    try:
        return RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
        )
    except ConfigurationError as error:
        raise ConfigError(
            f"rate_limit.redis_url: {error}. Is the driver installed? "
            "Run: pip install 'quarterdeck[redis]'"
        ) from None


def _item(rate: str) -> RateLimitItem:
    return parse(re.sub(r"^(\d+)/(\d+) ?([a-z])", r"\1/\2 \3", rate))
