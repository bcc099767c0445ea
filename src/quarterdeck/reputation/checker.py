"""One round of look-ups: every list is tested first, then asked about every address.

Fifty questions at once, ten of them to one list: a list that is silent holds its own ten, and
nobody else. Work is made as it is done, so ten thousand addresses cost no more memory than ten.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address
from typing import TypeVar

from quarterdeck.net.resolver import Resolver
from quarterdeck.reputation.gate import check_zone
from quarterdeck.reputation.identity import identify
from quarterdeck.reputation.lookups import look_up
from quarterdeck.reputation.model import (
    Address,
    BlockList,
    CheckReport,
    DnsIdentity,
    Lookup,
    SendingAddress,
    ZoneHealth,
)

T = TypeVar("T")

AT_ONCE = 50
OF_A_ZONE = 10
NAMES_AT_ONCE = 20
"""Fewer than there are places: a resolver that is silent about names must not hold up the lists."""


class Checker:
    """Asks lists about addresses."""

    def __init__(self, lists: Sequence[BlockList], resolver: Resolver) -> None:
        self._lists = list(lists)
        self._resolver = resolver
        self._free = asyncio.Semaphore(AT_ONCE)

    @property
    def lists(self) -> Sequence[BlockList]:
        """Those that are asked."""
        return self._lists

    async def check(self, addresses: Sequence[SendingAddress], now: datetime) -> CheckReport:
        """All zones, look-ups and names; see `CheckReport`."""
        zones = await self.zones(now)
        lookups, identities = await asyncio.gather(
            _all(self.lookups(addresses, zones, now)), self.identities(addresses, now)
        )
        return CheckReport(now, zones, lookups, identities)

    async def zones(self, now: datetime) -> list[ZoneHealth]:
        """Whether each list works."""
        return await asyncio.gather(
            *(self._one(partial(check_zone, self._resolver, each, now)) for each in self._lists)
        )

    async def lookups(
        self, addresses: Sequence[SendingAddress], zones: Sequence[ZoneHealth], now: datetime
    ) -> AsyncGenerator[Lookup, None]:
        """Answers of the lists that work, as they come. Who stops early closes it (`aclose`)."""
        healthy = {zone.list_id for zone in zones if zone.is_healthy}
        found: asyncio.Queue[Lookup] = asyncio.Queue(AT_ONCE)

        async def work(block_list: BlockList, todo: Iterator[SendingAddress]) -> None:
            for each in todo:
                ask = partial(look_up, self._resolver, block_list, each.address, now)
                await found.put(await self._one(ask))

        async def ask_all() -> None:
            async with asyncio.TaskGroup() as group:
                for block_list in self._lists:
                    if block_list.id in healthy:
                        todo = _asked_of(block_list, addresses)
                        for _ in range(min(OF_A_ZONE, len(addresses))):
                            group.create_task(work(block_list, todo))

        asking = asyncio.create_task(ask_all())
        try:
            while not (asking.done() and found.empty()):
                getting = asyncio.ensure_future(found.get())
                done, _ = await asyncio.wait({getting, asking}, return_when=asyncio.FIRST_COMPLETED)
                if getting in done:
                    yield getting.result()
                else:
                    getting.cancel()
            asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def identities(
        self, addresses: Sequence[SendingAddress], now: datetime
    ) -> list[DnsIdentity]:
        """The names of all addresses."""
        found: dict[Address, DnsIdentity] = {}
        todo = iter(addresses)

        async def work() -> None:
            for each in todo:
                ask = partial(identify, self._resolver, each.address, each.helo, now)
                identity = await self._one(ask)
                found[identity.address] = identity

        async with asyncio.TaskGroup() as group:
            for _ in range(min(NAMES_AT_ONCE, len(addresses))):
                group.create_task(work())
        return list(found.values())

    async def _one(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self._free:
            return await ask()


def _asked_of(
    block_list: BlockList, addresses: Sequence[SendingAddress]
) -> Iterator[SendingAddress]:
    for each in addresses:
        is_v4 = isinstance(each.address, IPv4Address)
        if block_list.has_v4 if is_v4 else block_list.has_v6:
            yield each


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [each async for each in found]
