"""What the routes of IP reputation take and answer: the spec's fields first, ours after them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import IpStatus, Listing, ListingState, Tier
from quarterdeck.reputation.service import IpHistory, ReputationService
from quarterdeck.reputation.standing import IpReputation


class PenaltyItem(Struct, frozen=True):
    """A part of what the score lacks of 100."""

    component: str
    points: float
    why: str


class UnknownList(Struct, frozen=True):
    """A list that gave no verdict."""

    list: str
    why: str


class CoverageItem(Struct, frozen=True):
    """How many lists said something in the last round, and which did not."""

    checked: int
    unknown: int
    unknown_lists: list[UnknownList]


class ListingItem(Struct, frozen=True):
    """A list that the address is on, or suspected to be. `reason` is in the list's own words."""

    list: str
    sub_lists: Sequence[str]
    tier: Tier
    state: ListingState
    since: datetime
    seen_at: datetime
    stale: bool
    reason: str | None
    delist_url: str | None
    steps: Sequence[str]


class RatesItem(Struct, frozen=True):
    """Counts of mail events of the last seven days."""

    attempted: int
    hard_bounces: int
    complaints: int
    complainable: int
    deferred: int
    pairs: int
    daily_median: float | None


class IpItem(Struct, frozen=True):
    """An address. `daily_volume` null: no mail events are known of it. With `confidence` none
    nothing is known at all, and score and status mean nothing."""

    ip_address: str
    provider: str
    reputation_score: int
    blacklists: Sequence[str]
    daily_volume: int | None
    status: IpStatus
    provider_source: str
    pool: str | None
    origin: str
    confidence: str
    score_breakdown: list[PenaltyItem]
    coverage: CoverageItem
    checked_at: datetime | None
    listings: list[ListingItem]
    mail: RatesItem | None


class IpList(Struct, frozen=True):
    """All addresses, those of the settings first."""

    ips: list[IpItem]


class NewAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """An address to watch; its provider is detected when it is left out."""

    ip_address: Annotated[str, Meta(min_length=2, max_length=60)]
    provider: Annotated[str, Meta(max_length=100)] = ""
    pool: Annotated[str, Meta(max_length=100)] = ""
    helo: Annotated[str, Meta(max_length=253)] = ""


class AddressRemoval(Struct, frozen=True):
    """The address is not watched any more."""

    ip_address: str
    status: str


class ScoreItem(Struct, frozen=True):
    """What the address was like after one round."""

    at: datetime
    reputation_score: int
    status: IpStatus
    confidence: str
    daily_volume: int | None
    blacklists: Sequence[str]


class IntervalItem(Struct, frozen=True):
    """A stretch of time on a list; `until` null: it goes on."""

    list: str
    sub_lists: Sequence[str]
    since: datetime
    until: datetime | None
    reason: str | None


class IpHistoryData(Struct, frozen=True):
    """An address over time: scores after each round, and times on lists."""

    ip_address: str
    since: datetime
    until: datetime
    scores: list[ScoreItem]
    listings: list[IntervalItem]


def ip_item(reputation: IpReputation, service: ReputationService) -> IpItem:
    """An address as the API shows it."""
    evidence = reputation.evidence
    coverage, rates = evidence.coverage, evidence.rates
    return IpItem(
        ip_address=str(evidence.address.address),
        provider=evidence.provider.name,
        reputation_score=reputation.score.value,
        blacklists=reputation.blacklists,
        daily_volume=rates.accepted_24h if rates else None,
        status=reputation.status,
        provider_source=evidence.provider.source,
        pool=evidence.address.pool,
        origin=evidence.address.origin,
        confidence=reputation.score.confidence,
        score_breakdown=[
            PenaltyItem(part.component, round(part.points, 2), part.why)
            for part in reputation.score.breakdown
        ],
        coverage=CoverageItem(
            coverage.checked,
            coverage.unknown,
            [UnknownList(name, why) for name, why in coverage.unknown_lists.items()],
        ),
        checked_at=evidence.checked_at,
        listings=[
            _listing(each, service.steps_off(reputation, each.list_id))
            for each in evidence.listings
        ],
        mail=_rates(rates) if rates else None,
    )


def history_item(history: IpHistory) -> IpHistoryData:
    """An address's history as the API shows it."""
    return IpHistoryData(
        ip_address=str(history.address),
        since=history.since,
        until=history.until,
        scores=[
            ScoreItem(
                each.at, each.score, each.status, each.confidence, each.daily_volume,
                each.blacklists,
            )
            for each in history.scores
        ],
        listings=[
            IntervalItem(
                each.listing.list_id,
                each.listing.sub_lists,
                each.listing.since,
                None if each.until == history.until else each.until,
                each.listing.reason,
            )
            for each in history.listings
        ],
    )  # fmt: skip


def _listing(listing: Listing, steps: list[str]) -> ListingItem:
    return ListingItem(
        list=listing.list_id,
        sub_lists=listing.sub_lists,
        tier=listing.tier,
        state=listing.state,
        since=listing.since,
        seen_at=listing.seen_at,
        stale=listing.is_stale,
        reason=listing.reason,
        delist_url=listing.delist_url,
        steps=steps,
    )


def _rates(rates: MailRates) -> RatesItem:
    return RatesItem(
        attempted=rates.attempted_7d,
        hard_bounces=rates.hard_bounces_7d,
        complaints=rates.complaints_7d,
        complainable=rates.complainable_7d,
        deferred=rates.deferred_7d,
        pairs=rates.pairs_7d,
        daily_median=rates.daily_median,
    )
