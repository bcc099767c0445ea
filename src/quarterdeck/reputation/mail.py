"""What a mail event is, and what is counted of them. Pure data."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quarterdeck.reputation.model import Address


class MailOutcome(StrEnum):
    """What became of one message to one recipient."""

    DELIVERED = "delivered"
    """The other side took it."""
    BOUNCED = "bounced"
    """The other side refused it for good (5xx)."""
    DEFERRED = "deferred"
    """The other side said `later` (4xx), or could not be reached."""
    COMPLAINED = "complained"
    """The recipient called it spam, through a feedback loop."""


@dataclass(frozen=True, slots=True)
class MailEvent:
    """One event of one message to one recipient, as any mail server or provider tells it."""

    at: datetime
    outcome: MailOutcome
    ip: Address | None
    """The local address it was sent from; None: the source does not say, `pool` may."""
    message_id: str
    """The sender's own, such as a queue id; with `recipient` it makes the pair."""
    recipient: str
    """Only a keyed hash of it is stored; empty where the source hides it, and then recipients of
    one domain are one."""
    recipient_domain: str
    pool: str | None = None
    """A provider's or relay's name for a group of addresses."""
    dsn: str | None = None
    """RFC 3463, such as `5.1.1`."""
    is_hard: bool = False
    """Of a bounce: the address is bad, so that sending again never helps."""
    is_null_sender: bool = False
    """A notice about mail (MAIL FROM:<>), which counts nowhere."""
    event_id: str = ""
    """What the source sends again when it sends the same event again; empty: nothing."""


@dataclass(frozen=True, slots=True)
class MailRates:
    """Counts of one address. Zero is zero; an address without any source of events has None."""

    accepted_24h: int
    """Recipients accepted in the last 24 h, without null senders: `daily_volume`."""
    attempted_7d: int
    """Recipients delivered or bounced in 7 days."""
    hard_bounces_7d: int
    complaints_7d: int
    complainable_7d: int
    """Recipients accepted at domains that have a feedback loop with us."""
    deferred_7d: int
    """Distinct (message, recipient) pairs with any 4xx."""
    pairs_7d: int
    """Distinct (message, recipient) pairs."""
    daily_median: float | None = None
    """Median of accepted recipients of the last 14 active days, today not among them."""


_BAD_ADDRESS = re.compile(r"^5\.(1\.(0|1|2|3|6|10)|2\.1|4\.4)$")
_DSN = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


def is_bad_address(dsn: str | None, *, is_of_recipient: bool = True) -> bool:
    """Whether a status (RFC 3463) says that the address is bad, rather than the letter or us.

    None and 5.0.0 are what is known of a 550 without a status. That is `user unknown` mostly, if it
    answered the naming of the recipient (`is_of_recipient`), and about the letter or us if not.
    """
    if dsn in (None, "5.0.0"):
        return is_of_recipient
    return bool(_BAD_ADDRESS.match(dsn or ""))


def find_dsn(text: str) -> str | None:
    """The first status (RFC 3463) in a server's words."""
    found = _DSN.search(text)
    return found[1] if found else None


def domain_of(recipient: str) -> str:
    """What is behind the last `@`, in lower case; empty if nothing is."""
    _, at, domain = recipient.rpartition("@")
    return domain.strip("> ").lower() if at else ""
