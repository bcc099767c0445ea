"""Whether a list works, just before it is asked: both its test points, every time (RFC 5782, 5).

A resolver that filters (`private-address: 127.0.0.0/8`), one that is public, a list that was
emptied and one that answers everything look all alike to a tool that only asks about its own
addresses: as if those were clean, or listed. The test points tell them apart.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address

from quarterdeck.net.resolver import Resolver
from quarterdeck.reputation.lookups import look_up
from quarterdeck.reputation.model import Address, AnswerState, BlockList, ZoneHealth
from quarterdeck.reputation.names import plain

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
    listed = [_address(text) for text in block_list.test_listed] if block_list.has_v4 else []
    # A point of IPv6 that is written as mapped IPv4 is asked for as IPv6.
    listed += [ip_address(text) for text in block_list.test_listed_v6] if block_list.has_v6 else []
    clean = [_address(text) for text in block_list.test_clean]
    answers = await asyncio.gather(
        *(look_up(resolver, block_list, address, at) for address in (*listed, *clean))
    )
    states = [answer.state for answer in answers]
    problem = _problem(states[: len(listed)], states[len(listed) :], block_list)
    return ZoneHealth(block_list.id, problem is None, at, problem)


def _problem(
    listed: Sequence[AnswerState], clean: Sequence[AnswerState], block_list: BlockList
) -> str | None:
    for state in listed:
        if state is not AnswerState.LISTED:
            return _NOT_LISTED[state].format(policy=block_list.policy or "see its site")
    for state in clean:
        if state in {AnswerState.LISTED, AnswerState.BLOCKED, AnswerState.BOGUS}:
            return "it lists an address that no list does: it lists the world"
        if state is not AnswerState.CLEAN:
            return f"it cannot say that an address is clean: {_NOT_LISTED[state]}"
    return None


def _address(text: str) -> Address:
    return plain(ip_address(text))
