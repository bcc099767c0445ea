"""What the service stands on, in small parts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import (
    Address,
    BlockList,
    CheckReport,
    DnsIdentity,
    Provider,
    SendingAddress,
)


class Looker(Protocol):
    """Asks lists about addresses."""

    @property
    def lists(self) -> Sequence[BlockList]:
        """Those that are asked."""
        ...

    async def check(self, addresses: Sequence[SendingAddress], now: datetime) -> CheckReport:
        """One round of look-ups; a list's trouble is part of the report, never an exception."""
        ...


class MailBook(Protocol):
    """Counts what became of mail."""

    async def rates(
        self, addresses: Sequence[SendingAddress], now: datetime
    ) -> Mapping[Address, MailRates]:
        """Of addresses with any source of events; the others are missing.

        Raises:
            SourceUnavailable: the counts cannot be had.
        """
        ...


class Finder(Protocol):
    """Tells whose network an address is in."""

    def find(self, address: SendingAddress, identity: DnsIdentity | None) -> Provider:
        """The provider and how we know."""
        ...
