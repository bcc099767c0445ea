"""What an address is like now, from everything that is known of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.reputation.judging import BELIEVED
from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import (
    BlockList,
    Coverage,
    DnsIdentity,
    IpStatus,
    Listing,
    Provider,
    Score,
    SendingAddress,
    Tier,
)
from quarterdeck.reputation.score import WINDOW, Exposure, Known, score_of, status_of

NEVER = Coverage(0, 0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one address."""

    address: SendingAddress
    provider: Provider
    listings: Sequence[Listing]
    """Those of now, suspicions among them."""
    past: Sequence[tuple[Listing, datetime]]
    """Confirmed ones that have ended, and when."""
    checked_at: datetime | None
    coverage: Coverage
    identity: DnsIdentity | None
    rates: MailRates | None
    are_rates_known: bool
    """False: the counts cannot be had just now; `rates` None says nothing then."""


@dataclass(frozen=True, slots=True)
class IpReputation:
    """An address as it is shown."""

    evidence: Evidence
    score: Score
    status: IpStatus
    blacklists: Sequence[str]
    """Lists that it is believed to be on."""

    @property
    def is_known(self) -> bool:
        """Whether anything was ever found out: a score of 100 without it means nothing."""
        return self.score.confidence != "none"

    def is_listed(self, tiers: Sequence[Tier]) -> bool | None:
        """Believed to be on a list of these tiers; None: nobody was ever asked.

        A list that does not answer decides nothing here: what was believed of it stays, and what
        was not is not. Else one list that never answers would keep every alert from ending.
        """
        if self.evidence.checked_at is None:
            return None
        return any(each.tier in tiers for each in believed(self.evidence.listings))


def believed(listings: Sequence[Listing]) -> list[Listing]:
    """Those that count."""
    return [each for each in listings if each.state in BELIEVED]


def reputation_of(evidence: Evidence, now: datetime) -> IpReputation:
    """Score, status and lists."""
    counted = believed(evidence.listings)
    known = Known(
        exposures=_exposures(counted, evidence.past, now),
        rates=evidence.rates,
        identity=evidence.identity,
        lists_checked=evidence.coverage.checked,
    )
    score = score_of(known)
    tiers = [each.tier for each in counted]
    status = status_of(tiers, score, evidence.rates)
    return IpReputation(evidence, score, status, [each.list_id for each in counted])


def _exposures(
    current: Sequence[Listing], past: Sequence[tuple[Listing, datetime]], now: datetime
) -> list[Exposure]:
    """One for each list: the hours on it within the window, added up."""
    listed: dict[str, timedelta] = {}
    newest: dict[str, Listing] = {}
    for listing, until in (*past, *((each, now) for each in current)):
        length = until - max(listing.since, now - WINDOW)
        listed[listing.list_id] = listed.get(listing.list_id, timedelta()) + max(
            length, timedelta()
        )
        newest[listing.list_id] = listing
    on_it = {each.list_id for each in current}
    return [
        Exposure(list_id, each.sub_lists, each.weight, listed[list_id], list_id in on_it)
        for list_id, each in newest.items()
    ]


def steps_off(listing: Listing, block_list: BlockList | None, evidence: Evidence) -> list[str]:
    """What to do to get off a list, in order: first what would put the address back on it."""
    steps: list[str] = []
    identity, rates = evidence.identity, evidence.rates
    if identity is not None and identity.has_ptr is False:
        steps.append("Give the address a name (PTR) that leads back to it.")
    elif identity is not None and identity.is_forward_confirmed is False:
        steps.append(f"Make the name {identity.ptr} lead back to the address.")
    if rates is not None and rates.attempted_7d and rates.hard_bounces_7d > rates.attempted_7d / 20:
        steps.append("Take addresses that bounce out of the lists: over 5 % of the letters do.")
    if rates is not None and rates.complaints_7d > rates.complainable_7d / 1000:
        steps.append("Stop what recipients call spam: over 0.1 % of the letters.")
    notes: Mapping[str, str] = (
        {code.id: code.note for code in block_list.codes.values()} if block_list else {}
    )
    steps += [f"{each}: {notes[each]}" for each in listing.sub_lists if notes.get(each)]
    if listing.delist_url:
        steps.append(f"Ask at {listing.delist_url}")
    return steps
