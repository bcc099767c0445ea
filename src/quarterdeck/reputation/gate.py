"""Whether a list works, just before it is asked: both its test points, every time (RFC 5782, 5).

A resolver that filters (`private-address: 127.0.0.0/8`), one that is public, a list that was
emptied and one that answers everything look all alike to a tool that only asks about its own
addresses: as if those were clean, or listed. The test points tell them apart.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from quarterdeck.net.resolver import Resolver
from quarterdeck.reputation.lookups import look_up
from quarterdeck.reputation.model import Address, AnswerState, BlockList, Lookup, ZoneHealth
from quarterdeck.reputation.names import plain

_WORLD = "it lists an address that no list does: it lists the world"
_NOT_LISTED = {
    AnswerState.BLOCKED: "it does not serve this resolver: use one of your own, not a public one, "
    "or a key ({policy})",
    AnswerState.BOGUS: "its test entry has an answer that it does not document: its domain may be "
    "parked, or something on the way rewrites answers",
    AnswerState.NODATA: "its test entry has no address: the resolver filters 127.0.0.0/8 "
    "(in unbound: private-address)",
    AnswerState.CLEAN: "its test entry is missing: the list was emptied, or the resolver changes "
    "questions (in unbound: qname-minimisation-strict)",
    AnswerState.ERROR: "its name servers, or the resolver, answer with an error",
    AnswerState.TIMEOUT: "nobody answers in time",
}


async def check_zone(resolver: Resolver, block_list: BlockList, at: datetime) -> ZoneHealth:
    """Ask for all test points of a list at once."""
    listed, clean = _points(block_list)
    answers = await asyncio.gather(
        *(look_up(resolver, block_list, address, at) for address in (*listed, *clean))
    )
    problem = _problem(answers[: len(listed)], answers[len(listed) :], block_list)
    return ZoneHealth(block_list.id, problem is None, at, problem)


def _points(block_list: BlockList) -> tuple[list[Address], list[Address]]:
    """What must be listed, and what must not.

    IPv6 points are mapped IPv4 addresses (RFC 5782, 5), and are asked for as IPv6 all the same.
    """
    listed: list[Address] = []
    clean: list[Address] = []
    known = [plain(ip_address(text)) for text in block_list.test_clean]
    if block_list.has_v4:
        listed += [plain(ip_address(text)) for text in block_list.test_listed]
        clean += known
    if block_list.has_v6:
        listed += [ip_address(text) for text in block_list.test_listed_v6]
        clean += [IPv6Address(f"::ffff:{each}") for each in known if isinstance(each, IPv4Address)]
    return listed, clean


def _problem(
    listed: Sequence[Lookup], clean: Sequence[Lookup], block_list: BlockList
) -> str | None:
    for found in listed:
        if found.state is not AnswerState.LISTED:
            return _of_kind(found, _NOT_LISTED[found.state], block_list)
    for found in clean:
        if found.state in {AnswerState.LISTED, AnswerState.BOGUS}:
            return _of_kind(found, _WORLD, block_list)
        if found.state is not AnswerState.CLEAN:
            return _of_kind(found, _NOT_LISTED[found.state], block_list)
    return None


def _of_kind(found: Lookup, problem: str, block_list: BlockList) -> str:
    prefix = "asked for IPv6: " if isinstance(found.address, IPv6Address) else ""
    return prefix + problem.format(policy=block_list.policy or "see its site")
