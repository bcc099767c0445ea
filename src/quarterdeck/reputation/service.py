"""The verbs of the reputation room."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import Conflict, NotFound, SourceUnavailable
from quarterdeck.core.signals import Signal
from quarterdeck.reputation.history import ScoreHistory, ScorePoint
from quarterdeck.reputation.mail import MailRates
from quarterdeck.reputation.model import Address, SendingAddress, Tier
from quarterdeck.reputation.ports import Finder, Looker, MailBook
from quarterdeck.reputation.rounds import Pace, Rounds
from quarterdeck.reputation.score import WINDOW
from quarterdeck.reputation.standing import (
    NEVER,
    Evidence,
    IpReputation,
    believed,
    reputation_of,
    steps_off,
)
from quarterdeck.reputation.store import PastListing, ReputationStore, Standing
from quarterdeck.work.worker import JobContext

log = logging.getLogger("quarterdeck.reputation")

OTHERS = (Tier.STANDARD, Tier.MINOR)


@dataclass(frozen=True, slots=True)
class ReputationParts:
    """What the service stands on."""

    store: ReputationStore
    looker: Looker
    finder: Finder
    history: ScoreHistory
    mail: MailBook
    interval: timedelta = timedelta(hours=2)
    retention: timedelta = timedelta(days=90)
    clock: Clock = utc_now


@dataclass(frozen=True, slots=True)
class IpHistory:
    """An address over the last days."""

    address: Address
    since: datetime
    until: datetime
    scores: Sequence[ScorePoint]
    listings: Sequence[PastListing]
    """Those that ended within it; `until` of one that goes on is the end of the history."""


class ReputationService:
    """Knows the addresses that mail is sent from, and what the world thinks of them."""

    def __init__(self, configured: Sequence[SendingAddress], parts: ReputationParts) -> None:
        self._configured = {each.address: each for each in configured}
        self._parts = parts
        self._store = parts.store
        self._clock = parts.clock
        self._listeners: list[Callable[[], None]] = []
        self._lists = {each.id: each for each in parts.looker.lists}
        self._rounds = Rounds(
            parts.store, parts.looker, Pace(parts.interval, parts.retention), self._clock,
            self._addresses, self._note_scores,
        )  # fmt: skip

    # Telling

    async def list_addresses(self) -> list[IpReputation]:
        """All addresses, those of the settings first.

        Raises:
            SourceUnavailable: the database cannot be had.
        """
        return await self._reputations(await self._addresses())

    async def get(self, address: Address) -> IpReputation:
        """One address.

        Raises:
            NotFound: it is not one of ours.
        """
        return (await self._reputations([await self._known(address)]))[0]

    def steps_off(self, reputation: IpReputation, list_id: str) -> list[str]:
        """What to do to get off a list; nothing if the address is not on it."""
        for listing in reputation.evidence.listings:
            if listing.list_id == list_id:
                return steps_off(listing, self._lists.get(list_id), reputation.evidence)
        return []

    async def history(self, address: Address, days: int, now: datetime) -> IpHistory:
        """What an address was like in the days before `now`.

        Raises:
            NotFound: it is not one of ours.
            SourceUnavailable: the state or the store of facts cannot be had.
        """
        await self._known(address)
        since = now - timedelta(days=days)
        standing = await self._store.standing(since)
        current = believed(standing.listings.get(address, ()))
        listings = [
            *standing.past.get(address, ()), *(PastListing(each, now) for each in current)
        ]  # fmt: skip
        scores = await self._parts.history.scores(address, since, now)
        return IpHistory(address, since, now, scores, listings)

    async def signals(self) -> Sequence[Signal]:
        """For the alert rules; see `core.signals.Signals`."""
        now = self._clock()
        return [self._signal(each, now) for each in await self.list_addresses()]

    # Being told

    async def add(self, address: SendingAddress, by: str) -> IpReputation:
        """Watch an address; its first check is queued with it.

        Raises:
            Conflict: it is watched already.
        """
        known = address.address in self._configured
        if known or not await self._store.add(address, by, self._clock()):
            raise Conflict(f"The address {address.address} is watched already.")
        return await self.get(address.address)

    async def remove(self, address: Address) -> None:
        """Watch an address no more.

        Raises:
            NotFound: it is not one of ours.
            Conflict: the settings name it.
        """
        if address in self._configured:
            raise Conflict(
                f"The address {address} is in the settings ([reputation] addresses); take it "
                "out there."
            )
        if not await self._store.remove(address, self._clock()):
            raise _unknown(address)

    async def check(self, address: Address) -> IpReputation:
        """Ask all lists about an address now; who asks at once shares one check.

        Raises:
            NotFound: it is not one of ours.
        """
        wanted = await self._known(address)
        await self._rounds.check(wanted)
        return await self.get(address)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever a round has ended."""
        self._listeners.append(listener)

    # Working

    async def open(self) -> None:
        """Make the table of scores if the store of facts is there; else `run` does it later.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        await self._parts.history.rows.open()

    async def run(self, stop: asyncio.Event) -> None:
        """See that rounds are made, until `stop` is set."""
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._parts.history.rows.run(ending))
            await self._rounds.run(stop)
            ending.set()

    async def run_job(self, context: JobContext) -> None:
        """The worker's handler: a round about all addresses, or a re-check of some."""
        await self._rounds.run_job(context)

    async def _note_scores(self, addresses: Sequence[SendingAddress], now: datetime) -> None:
        """After a round: keep what the addresses are like now, and tell who listens."""
        for each in await self._reputations(addresses):
            rates = each.evidence.rates
            point = ScorePoint(
                now, each.score.value, each.status, each.score.confidence,
                rates.accepted_24h if rates else None, each.blacklists,
            )  # fmt: skip
            self._parts.history.add(each.evidence.address.address, point)
        for listener in self._listeners:
            listener()

    async def _addresses(self) -> list[SendingAddress]:
        added = await self._store.addresses()
        known = self._configured
        return [*known.values(), *(each for each in added if each.address not in known)]

    async def _known(self, address: Address) -> SendingAddress:
        for each in await self._addresses():
            if each.address == address:
                return each
        raise _unknown(address)

    async def _reputations(self, addresses: Sequence[SendingAddress]) -> list[IpReputation]:
        now = self._clock()
        standing = await self._store.standing(now - WINDOW)
        rates, are_known = await self._rates(addresses, now)
        return [
            reputation_of(self._evidence(each, standing, rates, are_known), now)
            for each in addresses
        ]

    async def _rates(
        self, addresses: Sequence[SendingAddress], now: datetime
    ) -> tuple[Mapping[Address, MailRates], bool]:
        try:
            return await self._parts.mail.rates(addresses, now), True
        except SourceUnavailable as error:
            log.warning("what became of the mail is unknown just now: %s", error.message)
            return {}, False

    def _evidence(
        self,
        wanted: SendingAddress,
        standing: Standing,
        rates: Mapping[Address, MailRates],
        are_known: bool,
    ) -> Evidence:
        address = wanted.address
        check = standing.checks.get(address)
        identity = check.identity if check else None
        return Evidence(
            address=wanted,
            provider=self._parts.finder.find(wanted, identity),
            listings=standing.listings.get(address, ()),
            past=[(each.listing, each.until) for each in standing.past.get(address, ())],
            checked_at=check.at if check else None,
            coverage=check.coverage if check else NEVER,
            identity=identity,
            rates=rates.get(address),
            are_rates_known=are_known,
        )

    def _signal(self, reputation: IpReputation, now: datetime) -> Signal:
        evidence = reputation.evidence
        is_scored = reputation.is_known and evidence.are_rates_known
        return Signal(
            "ip",
            str(evidence.address.address),
            now,
            {
                "listed_on_major": reputation.is_listed((Tier.MAJOR,)),
                "listed_on_other": reputation.is_listed(OTHERS),
                "reputation_score": reputation.score.value if is_scored else None,
                "status": reputation.status.value if reputation.is_known else None,
            },
            {"pool": evidence.address.pool} if evidence.address.pool else {},
            details={"reason": _reason(reputation)},
        )


def _reason(reputation: IpReputation) -> str:
    """Lists with sub-list, their own words and the link; else what costs most."""
    found = [
        f"{each.list_id} ({', '.join(each.sub_lists)})"
        + (f": {each.reason}" if each.reason else "")
        + (f" - removal: {each.delist_url}" if each.delist_url else "")
        for each in believed(reputation.evidence.listings)
    ]
    return "; ".join(found or [part.why for part in reputation.score.breakdown[:2]])


def _unknown(address: Address) -> NotFound:
    return NotFound(
        f"The address {address} is not watched here. GET /infrastructure/ip-reputation lists all."
    )
