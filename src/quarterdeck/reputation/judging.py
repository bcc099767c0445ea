"""What is believed after a round of look-ups: listings that begin, hold, are doubted and end. Pure.

- The first time that a list says so is a suspicion: shown, alerting nobody. It is asked again once
  the resolver may no longer repeat the answer (TTL and five seconds): that confirms it. If that
  cannot tell, again ten minutes later, and so on.
- A confirmed listing ends with the second round in a row that finds the address clean.
- What is no verdict changes nothing: the listing stays, marked stale.
- A list that newly lists more than half of our addresses at once, and three at least, is
  distrusted: it is far more likely that the list is broken (spamcop.net expired on 30 January 2021
  and listed everybody). Its listings are shown, but confirm nothing, until it lists fewer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from quarterdeck.reputation.model import (
    Address,
    AnswerState,
    BlockList,
    CheckReport,
    Coverage,
    Listing,
    ListingState,
    Lookup,
)

AFTER_TTL = timedelta(seconds=5)
LONGEST_TTL = timedelta(hours=1)
"""A list whose answers may be repeated for longer is asked again then all the same."""
ASK_AGAIN = timedelta(minutes=10)
"""After a re-check that could not tell. At once would be a loop that a list bans us for."""

FEWEST_TO_DISTRUST = 3

Key = tuple[Address, str]
"""An address and the id of a list."""

BELIEVED = frozenset({ListingState.CONFIRMED, ListingState.CLEARING})
"""States in which an address counts as listed."""


@dataclass(frozen=True, slots=True)
class ListingChange:
    """A listing that was confirmed, or has ended."""

    address: Address
    before: Listing | None
    after: Listing | None
    """None: it has ended."""


@dataclass(slots=True)
class Judgement:
    """What follows from one round."""

    listings: dict[Key, Listing] = field(default_factory=dict)
    """All that are believed or suspected now, of all addresses."""
    changes: list[ListingChange] = field(default_factory=list)
    """Listings that became believed, or stopped being."""
    coverage: dict[Address, Coverage] = field(default_factory=dict)
    """Of the addresses that were looked up."""
    recheck: dict[datetime, list[Address]] = field(default_factory=dict)
    """When to ask again about addresses with a suspicion; what is queued already is left out."""


def judge(
    before: Mapping[Key, Listing],
    report: CheckReport,
    lists: Sequence[BlockList],
    addresses: Sequence[Address],
    *,
    is_whole: bool = True,
) -> Judgement:
    """Go on from `before` with a round about `addresses`, which were asked of `lists`.

    Only a round about all addresses (`is_whole`) can tell that a list is to be trusted again.
    """
    by_id = {each.id: each for each in lists}
    problems = {zone.list_id: zone.problem for zone in report.zones if not zone.is_healthy}
    found = {(each.address, each.list_id): each for each in report.lookups}
    distrusted = _distrusted(before, report.lookups, addresses)
    if not is_whole:
        distrusted |= {
            key[1] for key, each in before.items() if each.state is ListingState.DISTRUSTED
        }
    judged = Judgement()
    for key in _keys(before, found, addresses, by_id):
        lookup = found.get(key)
        listing = _next(before.get(key), lookup, by_id[key[1]], key[1] in distrusted, report.at)
        _note(judged, key, before.get(key), listing, report.at)
    # Addresses of other rounds are left as they are; lists that are not asked any more are let go.
    asked = set(addresses)
    for key, listing in before.items():
        if key[1] in by_id and key[0] not in asked:
            judged.listings[key] = listing
    for address in addresses:
        judged.coverage[address] = _coverage(address, by_id.values(), found, problems)
    return judged


def _keys(
    before: Mapping[Key, Listing],
    found: Mapping[Key, Lookup],
    addresses: Sequence[Address],
    lists: Mapping[str, BlockList],
) -> list[Key]:
    """What there is something to say of."""
    asked = set(addresses)
    keys = dict.fromkeys(key for key in before if key[0] in asked)
    keys |= dict.fromkeys(key for key, each in found.items() if each.state is AnswerState.LISTED)
    return [key for key in keys if key[1] in lists]


def _next(
    before: Listing | None,
    lookup: Lookup | None,
    block_list: BlockList,
    is_distrusted: bool,
    at: datetime,
) -> Listing | None:
    if lookup is None or not lookup.state.is_verdict:
        return before and replace(before, is_stale=True)
    counts_from = at + min(timedelta(seconds=lookup.ttl_s), LONGEST_TTL) + AFTER_TTL
    if lookup.state is AnswerState.CLEAN:
        return _cleared(before, at, counts_from)
    state = _listed_state(before, is_distrusted, at)
    if before is not None and before.state is state is ListingState.SUSPECT:
        counts_from = before.counts_from or counts_from
    return Listing(
        list_id=block_list.id,
        tier=block_list.tier,
        state=state,
        since=before.since if before else at,
        seen_at=at,
        sub_lists=lookup.sub_lists,
        codes=lookup.codes,
        reason=lookup.reason,
        delist_url=block_list.delist_url,
        weight=max(block_list.codes[code].weight for code in lookup.codes),
        counts_from=counts_from,
        recheck_at=before.recheck_at if before and before.state is state else None,
    )


def _cleared(before: Listing | None, at: datetime, counts_from: datetime) -> Listing | None:
    if before is None or before.state not in BELIEVED:
        return None
    if before.state is ListingState.CONFIRMED:
        return replace(before, state=ListingState.CLEARING, is_stale=False, counts_from=counts_from)
    is_repeated = before.counts_from is not None and at < before.counts_from
    return replace(before, is_stale=False) if is_repeated else None


def _listed_state(before: Listing | None, is_distrusted: bool, at: datetime) -> ListingState:
    if before is not None and before.state in BELIEVED:
        return ListingState.CONFIRMED
    if is_distrusted:
        return ListingState.DISTRUSTED
    is_repeated = before is None or (before.counts_from is not None and at < before.counts_from)
    return ListingState.SUSPECT if is_repeated else ListingState.CONFIRMED


def _distrusted(
    before: Mapping[Key, Listing], lookups: Sequence[Lookup], addresses: Sequence[Address]
) -> set[str]:
    """Lists that say so of too many addresses that were not believed to be on them."""
    fresh = Counter(
        each.list_id
        for each in lookups
        if each.state is AnswerState.LISTED and not _is_believed(before, each)
    )
    most = max(len(addresses) / 2, FEWEST_TO_DISTRUST - 1)
    return {list_id for list_id, count in fresh.items() if count > most}


def _is_believed(before: Mapping[Key, Listing], lookup: Lookup) -> bool:
    listing = before.get((lookup.address, lookup.list_id))
    return listing is not None and listing.state in BELIEVED


def _note(
    judged: Judgement,
    key: Key,
    before: Listing | None,
    after: Listing | None,
    at: datetime,
) -> None:
    if after is not None:
        judged.listings[key] = _ask_again(judged, key[0], after, at)
    was, now = (each is not None and each.state in BELIEVED for each in (before, after))
    if was != now:
        judged.changes.append(ListingChange(key[0], before, after))


def _ask_again(judged: Judgement, address: Address, listing: Listing, at: datetime) -> Listing:
    """Plan the next look at a suspicion, unless one is planned."""
    is_planned = listing.recheck_at is not None and listing.recheck_at > at
    if listing.state is not ListingState.SUSPECT or is_planned:
        return listing
    counts_from = listing.counts_from
    due = counts_from if counts_from is not None and counts_from > at else at + ASK_AGAIN
    judged.recheck.setdefault(due, [])
    if address not in judged.recheck[due]:
        judged.recheck[due].append(address)
    return replace(listing, recheck_at=due)


def _coverage(
    address: Address,
    lists: Iterable[BlockList],
    found: Mapping[Key, Lookup],
    problems: Mapping[str, str | None],
) -> Coverage:
    unknown: dict[str, str] = {}
    checked = 0
    for block_list in lists:
        if not (block_list.has_v4 if address.version == 4 else block_list.has_v6):
            continue
        lookup = found.get((address, block_list.id))
        if lookup is not None and lookup.state.is_verdict:
            checked += 1
        elif lookup is not None:
            unknown[block_list.id] = lookup.state.value
        else:
            unknown[block_list.id] = problems.get(block_list.id) or "it was not asked"
    return Coverage(checked, len(unknown), unknown)
