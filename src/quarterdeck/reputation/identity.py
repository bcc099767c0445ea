"""An address's own names: PTR, whether they lead back to it, and the name that it greets with.

Gmail and others want a PTR that is forward-confirmed. What is not answered is None, never `no`.
"""

import asyncio
import re
from datetime import datetime
from ipaddress import IPv4Address, ip_address

from quarterdeck.net.resolver import Answer, Resolver
from quarterdeck.reputation.model import Address, DnsIdentity
from quarterdeck.reputation.names import plain, reversed_name

MOST_NAMES = 8
"""More PTR records than that are a mistake, and are not followed."""

_DYNAMIC = re.compile(
    r"(^|[.-])(dyn(amic)?|dhcp|[av]?dsl|ppp|dial(up|in)?|cable|broadband)(?=[0-9.-]|$)"
)
"""Whole words: `cablevision` is a company. `pool` is missing: senders have pools, too."""


async def identify(
    resolver: Resolver, address: Address, helo: str | None, at: datetime
) -> DnsIdentity:
    """Ask for all names of an address."""
    suffix = "in-addr.arpa" if isinstance(address, IPv4Address) else "ip6.arpa"
    answer = await resolver.ask(f"{reversed_name(address)}.{suffix}.", "PTR")
    names = [name.rstrip(".").lower() for name in answer.records[:MOST_NAMES]]
    confirmed = await _confirmed(resolver, address, names)
    shown = next((name for name in names if confirmed.get(name)), names[0] if names else None)
    helo_resolves = await _resolves(resolver, helo) if helo else None
    return DnsIdentity(
        address=address,
        at=at,
        has_ptr=bool(names) if _is_known(answer) else None,
        ptr=shown,
        is_forward_confirmed=_any(list(confirmed.values())) if names else None,
        is_generic=is_generic(shown, address) if shown else None,
        helo=helo,
        helo_resolves=helo_resolves,
        helo_matches=helo.rstrip(".").lower() in names if helo and _is_known(answer) else None,
    )


def is_generic(name: str, address: Address) -> bool:
    """Whether a name is made of the address, or says that the line is dialled up."""
    # Not in the domain itself: it may be the company's name.
    if _DYNAMIC.search(".".join(name.split(".")[:-2])):
        return True
    if isinstance(address, IPv4Address):
        parts = str(address).split(".")
        numbers = re.findall(r"\d+", name)
        joined = "".join(numbers)
        return (
            _has_run(numbers, parts)
            or _has_run(numbers, parts[::-1])
            or "".join(part.zfill(3) for part in parts) in joined
            or f"{int(address):08x}" in name
        )
    return address.exploded.replace(":", "")[16:] in name.replace("-", "").replace(".", "")


def _has_run(numbers: list[str], parts: list[str]) -> bool:
    """Three of the four parts one after another: the first is often left out."""
    plain_numbers = [number.lstrip("0") or "0" for number in numbers]
    return any(
        plain_numbers[at : at + 3] in (parts[:3], parts[1:]) for at in range(len(numbers) - 2)
    )


async def _confirmed(
    resolver: Resolver, address: Address, names: list[str]
) -> dict[str, bool | None]:
    kind = "A" if isinstance(address, IPv4Address) else "AAAA"
    answers = await asyncio.gather(*(resolver.ask(f"{name}.", kind) for name in names))
    return {
        name: any(_same(record, address) for record in answer.records)
        if _is_known(answer)
        else None
        for name, answer in zip(names, answers, strict=True)
    }


async def _resolves(resolver: Resolver, name: str) -> bool | None:
    questions = (resolver.ask(f"{name.rstrip('.')}.", kind) for kind in ("A", "AAAA"))
    answers = await asyncio.gather(*questions)
    return _any([bool(answer.records) if _is_known(answer) else None for answer in answers])


def _any(found: list[bool | None]) -> bool | None:
    """True if one is; None if none is but one is unknown."""
    if True in found:
        return True
    return None if None in found else False


def _is_known(answer: Answer) -> bool:
    return answer.rcode in {"NOERROR", "NXDOMAIN"}


def _same(record: str, address: Address) -> bool:
    try:
        return plain(ip_address(record)) == address
    except ValueError:
        return False
