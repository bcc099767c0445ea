"""Rate limits shared through Redis by several replicas, and what happens when it is gone."""

import asyncio
from collections import Counter

import pytest

import servers
from quarterdeck.access.model import Principal, Role
from quarterdeck.api.limits import RateLimiter
from quarterdeck.config import RateLimit
from quarterdeck.core.errors import TooManyRequests


def somebody(name: str, role: Role = Role.OPS) -> Principal:
    return Principal(name, name, role, "token")


def replica(redis_url: str = "") -> RateLimiter:
    return RateLimiter(RateLimit(default="10/minute", redis_url=redis_url))


async def spend(limiter: RateLimiter, principal: str, times: int) -> Counter[bool]:
    bucket = limiter.bucket(somebody(principal), None)
    charges = await asyncio.gather(*(limiter.charge(bucket) for _ in range(times)))
    return Counter(charge.allowed for charge in charges)


async def test_replicas_share_one_limit_exactly(redis_server: servers.RedisServer) -> None:
    first, second = replica(redis_server.url), replica(redis_server.url)
    counts = await asyncio.gather(spend(first, "shared", 20), spend(second, "shared", 20))
    assert sum(counts, Counter()) == {True: 10, False: 30}
    await first.close()
    await second.close()


async def test_refund_makes_room_again() -> None:
    limiter = replica()
    assert await spend(limiter, "refunded", 10) == {True: 10}
    bucket = limiter.bucket(somebody("refunded"), None)
    assert not (await limiter.charge(bucket)).allowed
    assert (await limiter.refund(bucket)).remaining == 1
    assert (await limiter.charge(bucket)).allowed
    with pytest.raises(TooManyRequests) as caught:
        (await limiter.charge(bucket)).require("Enough.")
    assert 1 <= caught.value.retry_after_s <= 60


async def test_lost_redis_falls_back_to_this_process_and_returns() -> None:
    with servers.redis() as server:
        limiter = replica(server.url)
        assert await spend(limiter, "lost", 3) == {True: 3}
        server.stop()
        assert await spend(limiter, "lost", 12) == {True: 10, False: 2}
        server.start()
        assert await spend(limiter, "lost", 12) == {True: 10, False: 2}
        await limiter.close()


@pytest.mark.parametrize("rate", ["5/second", "100/minute", "10/2 minutes", "7/3 hours", "1/day"])
def test_every_documented_rate_is_understood(rate: str) -> None:
    limiter = RateLimiter(RateLimit(default=rate))
    assert limiter.bucket(somebody("x"), None).item.amount == int(rate.split("/", maxsplit=1)[0])


def test_senders_of_lines_have_a_limit_of_their_own() -> None:
    limiter = RateLimiter(RateLimit(default="10/minute", ingest="500/minute"))
    assert limiter.bucket(somebody("shipper", Role.INGEST), None).item.amount == 500
    assert limiter.bucket(somebody("admin", Role.ADMIN), None).item.amount == 10
