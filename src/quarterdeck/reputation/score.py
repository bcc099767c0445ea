"""The score of an address: 100 less what is known against it, each part explained. Pure.

Rates are lower bounds (Wilson, 95 %): one complaint among 300 letters is no rate of a third of a
per cent that anybody could be sure of. The anchors are the limits that the large receivers enforce:
Gmail below 0.1 %, never 0.3 % of complaints; Amazon SES reviews at 0.1 % and 5 % bounces, and
pauses at 0.5 % and 10 %. Weights, exposure and the smaller caps are ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from math import sqrt

from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import (
    DnsIdentity,
    IpStatus,
    Penalty,
    Score,
    Tier,
)

Anchors = Sequence[tuple[float, float]]
"""Value to points, in rising order; straight lines between them."""

COMPLAINTS: Anchors = ((0.0005, 0), (0.001, 12), (0.003, 31), (0.005, 40))
HARD_BOUNCES: Anchors = ((0.005, 0), (0.02, 3), (0.05, 15), (0.10, 32))
DEFERRALS: Anchors = ((0.02, 0), (0.10, 5), (0.25, 10))
VOLUME: Anchors = ((2, 0), (5, 10))
LISTINGS_CAP = 40.0
IDENTITY_CAP = 15.0

COMPLAINTS_LIMIT = 0.003
BOUNCES_LIMIT = 0.10
"""Past these receivers act, whatever else is well: a warning by itself."""

WINDOW = timedelta(days=30)
FULL_EXPOSURE = timedelta(hours=72)
LEAST_EXPOSURE = 0.2
"""While listed: the score is slow, the status is fast."""

SMALL_VOLUME = 1000
"""Below so many a day a jump says nothing."""

WARNING_BELOW = 70
Z = 1.96


@dataclass(frozen=True, slots=True)
class Exposure:
    """How long an address has been on one list, and what that costs."""

    list_id: str
    sub_lists: Sequence[str]
    weight: float
    """Of the heaviest of its sub-lists."""
    listed: timedelta
    """Within the last thirty days."""
    is_listed_now: bool

    @property
    def share(self) -> float:
        """0 to 1."""
        share = min(1.0, self.listed / FULL_EXPOSURE)
        return max(share, LEAST_EXPOSURE) if self.is_listed_now else share


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an address. None is unknown, and takes nothing away."""

    exposures: Sequence[Exposure] = ()
    rates: MailRates | None = None
    identity: DnsIdentity | None = None
    lists_checked: int = 0
    """Lists that gave a verdict."""


def score_of(known: Known) -> Score:
    """The score, and every part of what it lacks."""
    parts = [
        *_mail(known.rates),
        *_listings(known.exposures),
        *_identity(known.identity),
    ]
    found = [part for part in parts if part.points > 0]
    found.sort(key=lambda part: -part.points)
    value = round(100 - sum(part.points for part in found))
    return Score(max(0, min(100, value)), found, _confidence(known))


def status_of(listed: Sequence[Tier], score: Score, rates: MailRates | None) -> IpStatus:
    """`critical` on a major list; `warning` on a minor one, below 70, or past a receiver's limit.

    `listed` are the tiers of confirmed listings; `info` lists only inform.
    """
    if Tier.MAJOR in listed:
        return IpStatus.CRITICAL
    if any(tier is not Tier.INFO for tier in listed) or score.value < WARNING_BELOW:
        return IpStatus.WARNING
    if rates is not None and (
        _complaints(rates) >= COMPLAINTS_LIMIT or _bounces(rates) >= BOUNCES_LIMIT
    ):
        return IpStatus.WARNING
    return IpStatus.GOOD


def points(value: float, anchors: Anchors) -> float:
    """Points for a value, on straight lines between anchors; flat before and after them."""
    if value <= anchors[0][0]:
        return anchors[0][1]
    for (low, low_points), (high, high_points) in pairwise(anchors):
        if value <= high:
            return low_points + (high_points - low_points) * (value - low) / (high - low)
    return anchors[-1][1]


def wilson(count: int, total: int) -> float:
    """Lower bound of a share, with 95 % confidence (Wilson 1927)."""
    if total <= 0 or count <= 0:
        return 0.0
    share, square = min(1.0, count / total), Z * Z
    centre = share + square / (2 * total)
    spread = Z * sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, (centre - spread) / (1 + square / total))


def _complaints(rates: MailRates) -> float:
    return wilson(rates.complaints_7d, rates.complainable_7d)


def _bounces(rates: MailRates) -> float:
    return wilson(rates.hard_bounces_7d, rates.attempted_7d)


def _mail(rates: MailRates | None) -> list[Penalty]:
    if rates is None:
        return []
    return [
        _rate("complaints", _complaints(rates), COMPLAINTS, rates.complaints_7d,
              rates.complainable_7d, "letters were called spam"),
        _rate("hard_bounces", _bounces(rates), HARD_BOUNCES, rates.hard_bounces_7d,
              rates.attempted_7d, "letters bounced for good"),
        _rate("deferrals", wilson(rates.deferred_7d, rates.pairs_7d), DEFERRALS,
              rates.deferred_7d, rates.pairs_7d, "letters were deferred"),
        _volume(rates),
    ]  # fmt: skip


def _rate(
    component: str, rate: float, anchors: Anchors, count: int, total: int, what: str
) -> Penalty:
    why = f"{count:,} of {total:,} {what} in 7 days: at least {100 * rate:.2f} %"
    return Penalty(component, points(rate, anchors), why)


def _volume(rates: MailRates) -> Penalty:
    median = rates.daily_median
    if not median or rates.accepted_24h < SMALL_VOLUME:
        return Penalty("volume", 0, "")
    times = rates.accepted_24h / median
    why = f"{rates.accepted_24h:,} letters in 24 h, {times:.1f} times the usual {median:,.0f}"
    return Penalty("volume", points(times, VOLUME), why)


def _listings(exposures: Sequence[Exposure]) -> list[Penalty]:
    """One part for each list; together at most the cap, each shortened alike."""
    costs = [(each, each.weight * each.share) for each in exposures]
    total = sum(cost for _, cost in costs)
    factor = LISTINGS_CAP / total if total > LISTINGS_CAP else 1.0
    return [Penalty("listings", cost * factor, _listed(each)) for each, cost in costs]


def _listed(exposure: Exposure) -> str:
    hours = exposure.listed.total_seconds() / 3600
    names = ", ".join(exposure.sub_lists)
    name = f"{exposure.list_id} ({names})" if names else exposure.list_id
    if exposure.is_listed_now:
        return f"on {name} for {hours:.0f} h"
    return f"was on {name} for {hours:.0f} h of the last 30 days"


@dataclass(slots=True)
class _Sum:
    points: float = 0.0
    whys: list[str] = field(default_factory=list)

    def add(self, cost: float, why: str) -> None:
        self.points += cost
        self.whys.append(why)


def _identity(identity: DnsIdentity | None) -> list[Penalty]:
    if identity is None:
        return []
    found = _Sum()
    if identity.has_ptr is False:
        found.add(10, "it has no name (PTR)")
    elif identity.is_forward_confirmed is False:
        found.add(8, f"its name {identity.ptr} does not lead back to it")
    elif identity.is_generic:
        found.add(4, f"its name {identity.ptr} looks generic")
    if identity.helo_resolves is False:
        found.add(5, f"it greets as {identity.helo}, which does not resolve")
    elif identity.helo_matches is False:
        found.add(2, f"it greets as {identity.helo}, which is not its name")
    return [Penalty("dns_identity", min(found.points, IDENTITY_CAP), "; ".join(found.whys))]


def _confidence(known: Known) -> str:
    """`high` with lists, mail and names; `low` with some of them; `none` with nothing."""
    parts: Mapping[str, bool] = {
        "lists": known.lists_checked > 0,
        "mail": known.rates is not None,
        "names": known.identity is not None and known.identity.has_ptr is not None,
    }
    if all(parts.values()):
        return "high"
    return "low" if any(parts.values()) else "none"
