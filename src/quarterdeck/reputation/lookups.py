"""One list, one address, one answer: what it is worth (RFC 5782).

Only a documented code is a listing, and only NXDOMAIN of a zone that works is none. Tools that take
any answer for a listing found all the world listed when a list's domain was parked; tools that take
errors for `not listed` never noticed that they were blocked.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network

from quarterdeck.net.resolver import Answer, Resolver
from quarterdeck.reputation.model import Address, AnswerState, BlockList, Lookup
from quarterdeck.reputation.names import question

LONGEST_REASON = 500

_OTHERWISE = {None: AnswerState.TIMEOUT, "NXDOMAIN": AnswerState.CLEAN}


def classify(answer: Answer, block_list: BlockList) -> AnswerState:
    """Which of the seven states an answer to an A question is."""
    if answer.rcode != "NOERROR":
        return _OTHERWISE.get(answer.rcode, AnswerState.ERROR)
    if not answer.records:
        return AnswerState.NODATA
    if any(_is_in(record, block_list.error_nets) for record in answer.records):
        return AnswerState.BLOCKED
    # One that is not documented spoils the others: who answers so answers anything.
    if all(record in block_list.codes for record in answer.records):
        return AnswerState.LISTED
    return AnswerState.BOGUS


async def look_up(
    resolver: Resolver, block_list: BlockList, address: Address, at: datetime
) -> Lookup:
    """Ask a list about an address; if it is listed, also why."""
    name = question(address, block_list.zone)
    answer = await resolver.ask(name, "A")
    state = classify(answer, block_list)
    reason = None
    if state is AnswerState.LISTED:
        reason = _shown((await resolver.ask(name, "TXT")).records, block_list)
    codes = sorted(answer.records, key=_as_number)
    return Lookup(
        list_id=block_list.id,
        address=address,
        state=state,
        at=at,
        codes=codes,
        sub_lists=_sub_lists(codes, block_list) if state is AnswerState.LISTED else (),
        reason=reason,
        ttl_s=answer.ttl_s,
        took_ms=answer.took_ms,
    )


def _sub_lists(codes: Sequence[str], block_list: BlockList) -> Sequence[str]:
    return list(dict.fromkeys(block_list.codes[code].id for code in codes))


def _shown(texts: Sequence[str], block_list: BlockList) -> str | None:
    """Foreign words, made harmless: printable, of bounded length, without our key."""
    # Names have no case, and resolvers change it on purpose (0x20).
    zone = re.compile(re.escape(block_list.zone.rstrip(".")), re.IGNORECASE)
    text = zone.sub(f"({block_list.id})", " ".join(texts))
    if block_list.key:
        text = re.sub(re.escape(block_list.key), "(key)", text, flags=re.IGNORECASE)
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:LONGEST_REASON] or None


def _is_in(record: str, networks: Sequence[str]) -> bool:
    try:
        address = ip_address(record)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in networks)


def _as_number(record: str) -> int:
    try:
        return int(ip_address(record))
    except ValueError:
        return 0
