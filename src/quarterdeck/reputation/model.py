"""What a list, an answer, a listing, a mail event and an address's reputation are. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
"""Never an IPv4-mapped IPv6 address: `::ffff:192.0.2.1` is 192.0.2.1."""

# Lists and what they answer


class Tier(StrEnum):
    """What a listing costs: `major` makes the address critical, `info` never scores."""

    MAJOR = "major"
    STANDARD = "standard"
    MINOR = "minor"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Code:
    """What one return address of a list means."""

    id: str
    """The sub-list, such as `sbl`; for people and alerts."""
    weight: float
    """Points of the score, while fully exposed."""
    note: str = ""
    """What to know and do, in a sentence or two."""


@dataclass(frozen=True, slots=True)
class BlockList:
    """One DNS list (RFC 5782), ready to be asked."""

    id: str
    zone: str = field(repr=False)
    """The suffix of its questions. It may hold a key: it is never shown, logged or raised."""
    tier: Tier
    codes: Mapping[str, Code]
    """By return address, such as `127.0.0.2`. Any other is not a listing."""
    has_v4: bool = True
    has_v6: bool = False
    test_listed: Sequence[str] = ("127.0.0.2",)
    """Addresses that a list which works lists."""
    test_listed_v6: Sequence[str] = ()
    test_clean: Sequence[str] = ("127.0.0.1",)
    """Addresses that it does not list."""
    error_nets: Sequence[str] = ("127.255.255.0/24",)
    """Return addresses that mean `I do not serve you`."""
    delist_url: str | None = None
    policy: str = ""
    """Who may ask it, and how often."""
    key: str = field(default="", repr=False)
    """The subscription's, to keep it out of what is shown."""


class AnswerState(StrEnum):
    """The seven ways a question ends. Only LISTED and CLEAN are verdicts; all else is unknown."""

    LISTED = "listed"
    """A documented code of the list."""
    CLEAN = "clean"
    """NXDOMAIN, and the zone has just shown that it works."""
    BLOCKED = "blocked"
    """127.255.255.0/24 or the list's own error code: it does not serve our resolver."""
    BOGUS = "bogus"
    """Outside 127.0.0.0/8, 127.0.0.1 or a code it does not document: parked, filtered, wildcard."""
    NODATA = "nodata"
    """NOERROR without an address: something between us and the list filters. Not clean."""
    ERROR = "error"
    """SERVFAIL, REFUSED and the like."""
    TIMEOUT = "timeout"
    """Our own deadline passed."""

    @property
    def is_verdict(self) -> bool:
        """Whether it says anything of the address."""
        return self in (AnswerState.LISTED, AnswerState.CLEAN)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one list answered about one address."""

    list_id: str
    address: Address
    state: AnswerState
    at: datetime
    codes: Sequence[str] = ()
    """All return addresses, sorted, as they came."""
    sub_lists: Sequence[str] = ()
    """`Code.id` of those that are documented, in the order of `codes`, each once."""
    reason: str | None = None
    """The list's own text (TXT), printable, at most 500 characters; foreign words."""
    ttl_s: float = 0
    """How long a resolver may repeat this answer."""
    took_ms: float = 0


@dataclass(frozen=True, slots=True)
class ZoneHealth:
    """Whether a list showed by its test points that it works, just before it is asked."""

    list_id: str
    is_healthy: bool
    at: datetime
    problem: str | None = None
    """What is wrong, in a sentence without the zone's key; None: nothing."""


@dataclass(frozen=True, slots=True)
class DnsIdentity:
    """An address's own names. None is unknown: the question was not answered."""

    address: Address
    at: datetime
    has_ptr: bool | None
    ptr: str | None = None
    is_forward_confirmed: bool | None = None
    """One of its names leads back to it."""
    is_generic: bool | None = None
    """The name is made of the address, as providers name customers' lines."""
    helo: str | None = None
    """The name it greets with, where the settings say it."""
    helo_resolves: bool | None = None
    helo_matches: bool | None = None
    """It is one of the PTR names."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that one round of look-ups found."""

    at: datetime
    zones: Sequence[ZoneHealth]
    lookups: Sequence[Lookup]
    """None for lists whose zone is not healthy: they were not asked."""
    identities: Sequence[DnsIdentity] = ()

    def joined(self, other: "CheckReport") -> "CheckReport":
        """Both parts of one round. A list is as well as it was the last time that it was tested."""
        zones = {zone.list_id: zone for zone in (*self.zones, *other.zones)}
        return CheckReport(
            self.at,
            list(zones.values()),
            [*self.lookups, *other.lookups],
            [*self.identities, *other.identities],
        )


# Addresses


@dataclass(frozen=True, slots=True)
class SendingAddress:
    """An address that mail is sent from, as an operator declared it."""

    address: Address
    provider: str | None = None
    """As the operator says; None: it is detected."""
    pool: str | None = None
    helo: str | None = None
    origin: str = "settings"
    """`settings` or `api`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose network an address is in, and how we know."""

    name: str
    """`unknown` where nothing tells."""
    source: str
    """`operator`, `ptr`, `prefix`, `asn` or `none`."""


# Listings


class ListingState(StrEnum):
    """What is believed of one list and one address."""

    SUSPECT = "suspect"
    """Seen once; shown, but alerts nobody until it is confirmed after the TTL."""
    CONFIRMED = "confirmed"
    CLEARING = "clearing"
    """Was confirmed, and one cycle found it clean; a second ends it."""
    DISTRUSTED = "distrusted"
    """The list says so, of too many of our addresses at once to be believed."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An address on a list, as it is believed now."""

    list_id: str
    tier: Tier
    state: ListingState
    since: datetime
    """When it was first seen listed."""
    seen_at: datetime
    """When it was last seen listed."""
    sub_lists: Sequence[str]
    codes: Sequence[str]
    reason: str | None = None
    delist_url: str | None = None
    weight: float = 0
    """Of the heaviest of its sub-lists, in points of the score."""
    is_stale: bool = False
    """The last cycle could not tell; this is what was known before."""
    counts_from: datetime | None = None
    """Before this a resolver may repeat the answer: the same word again says nothing new."""
    recheck_at: datetime | None = None
    """When a suspicion is asked about again; a job for it is queued."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many lists gave a verdict in the last cycle, and how many did not."""

    checked: int
    unknown: int
    unknown_lists: Mapping[str, str] = field(default_factory=dict)
    """List to why: an `AnswerState` or the zone's problem."""


# The score


class IpStatus(StrEnum):
    """The spec's three."""

    GOOD = "good"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Penalty:
    """One part of the score: what it takes away, and why."""

    component: str
    """`complaints`, `hard_bounces`, `listings`, `deferrals`, `dns_identity` or `volume`."""
    points: float
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 100, and all that was taken from 100."""

    value: int
    breakdown: Sequence[Penalty]
    confidence: str
    """`none`, `low` or `high`: how much was known."""
