"""What became of mail: events are stored in batches, and counted for each address.

Whoever sends events is answered when they are on disk. Requests that come close together share an
insert; there is a limit to what waits, and then they are told to come again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b

import msgspec

from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.core.errors import SourceUnavailable, TooManyRequests
from quarterdeck.facts import Facts, Insert, migrate_facts
from quarterdeck.reputation.mail import MailEvent, MailRates
from quarterdeck.reputation.mail_schema import COLUMNS, COUNTS, MIGRATIONS, CountRow
from quarterdeck.reputation.model import Address, SendingAddress

log = logging.getLogger("quarterdeck.reputation")

GATHER_S = 0.2
"""Events that come within this time are stored together."""
MOST_WAITING = 200_000
LONGEST_DOMAIN = 255
TRIM_EVERY_S = 3600.0
KEPT_S = 1.0
KEPT_TIMES = 10
"""Counts are asked for with every list of addresses. They are kept for a second, or ten times as
long as counting took: of ten million events in two weeks it takes 1.5 s."""


@dataclass(slots=True)
class _Batch:
    rows: dict[date, list[bytes]] = field(default_factory=dict)
    count: int = 0
    done: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class MailBook:
    """Takes events, and counts them. For the event loop only."""

    def __init__(
        self,
        facts: Facts,
        key: bytes,
        retention_days: int = 90,
        complaint_domains: Sequence[str] = (),
        cluster: str = "",
        clock: Clock = utc_now,
    ) -> None:
        self._facts = facts
        self._key = key[:64]
        self._retention = timedelta(days=retention_days)
        self._heard = [domain.lower() for domain in complaint_domains]
        self._cluster = cluster
        self._clock = clock
        self._batch: _Batch | None = None
        self._storing: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._is_migrated = False
        self._counted: tuple[float, Sequence[CountRow]] | None = None
        """Until when they are good, and they."""
        self._counting = asyncio.Lock()

    async def take(self, events: Sequence[MailEvent]) -> None:
        """Store events; they are on disk on return.

        Raises:
            TooManyRequests: too many wait already.
            SourceUnavailable: they could not be stored; send them again.
        """
        if not events:
            return
        if self._waiting + len(events) > MOST_WAITING:
            raise TooManyRequests("Too many mail events wait to be stored. Send them again.", 5)
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch()
            task = asyncio.create_task(self._store_soon(batch))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)
        for event in events:
            day = event.at.astimezone(UTC).date()
            batch.rows.setdefault(day, []).append(self._row(event))
        batch.count += len(events)
        self._waiting += len(events)
        await asyncio.shield(batch.done)

    async def rates(
        self, addresses: Sequence[SendingAddress], now: datetime
    ) -> Mapping[Address, MailRates]:
        """Counts of addresses that any event of the last week is known of; see `MailRates`.

        An event that names only a pool counts for each of the pool's n addresses as one n-th; so
        `addresses` must be all that there are. Counts may be some seconds old, see `KEPT_TIMES`.

        Raises:
            SourceUnavailable: the store of facts cannot be had.
        """
        counted = {(row.ip, row.pool): row for row in await self._counts(now)}
        sizes: dict[str, int] = {}
        for each in addresses:
            if each.pool:
                sizes[each.pool] = sizes.get(each.pool, 0) + 1
        found = {}
        for each in addresses:
            own = counted.get((str(each.address), ""))
            shared = counted.get(("", each.pool)) if each.pool else None
            if own is not None or shared is not None:
                found[each.address] = _sum(own, shared, sizes.get(each.pool or "", 1))
        return found

    async def open(self) -> None:
        """Make the table if the store of facts is there; else it is made with the first events.

        Raises:
            ConfigError: the table was made by a newer program.
        """
        try:
            await self._migrate()
        except SourceUnavailable as error:
            log.warning("the table of mail events cannot be made yet: %s", error.message)

    async def run(self, stop: asyncio.Event) -> None:
        """Let old events go until `stop` is set, and store what waits then."""
        while not stop.is_set():
            await self._trim()
            try:
                async with asyncio.timeout(TRIM_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        await asyncio.gather(*self._storing, return_exceptions=True)

    async def _counts(self, now: datetime) -> Sequence[CountRow]:
        # Who asks at once shares one count.
        async with self._counting:
            time = asyncio.get_running_loop().time
            begin = time()
            if self._counted is None or begin > self._counted[0]:
                await self._migrate()
                rows = await self._facts.fetch(
                    COUNTS, CountRow, {"now": int(now.timestamp() * 1000), "heard": self._heard}
                )
                end = time()
                self._counted = (end + max(KEPT_S, KEPT_TIMES * (end - begin)), rows)
            return self._counted[1]

    async def _store_soon(self, batch: _Batch) -> None:
        await asyncio.sleep(GATHER_S)
        self._batch = None
        try:
            await self._migrate()
            for day, rows in batch.rows.items():
                token = blake2b(b"".join(rows), digest_size=16).hexdigest()
                insert = Insert("mail_events", COLUMNS, rows, len(rows), f"{day}{token}")
                await self._facts.insert(insert)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            batch.done.set_exception(error)
            batch.done.exception()  # also when nobody waits any more
        else:
            batch.done.set_result(None)
        finally:
            self._waiting -= batch.count

    async def _migrate(self) -> None:
        if not self._is_migrated:
            await migrate_facts(self._facts, "mail", MIGRATIONS, self._cluster)
            self._is_migrated = True

    async def _trim(self) -> None:
        oldest = (self._clock() - self._retention).date()
        sql = (
            "SELECT DISTINCT partition FROM system.parts "
            "WHERE database = currentDatabase() AND table = 'mail_events' AND active"
        )
        try:
            for row in await self._facts.fetch(sql, dict[str, str]):
                day = date.fromisoformat(row["partition"])
                if day < oldest:
                    await self._facts.execute(
                        f"ALTER TABLE mail_events DROP PARTITION '{day.isoformat()}'"
                    )
        except SourceUnavailable as error:
            log.warning("old mail events are kept for now: %s", error.message)

    def _row(self, event: MailEvent) -> bytes:
        whom = event.recipient or f"@{event.recipient_domain.lower()}"
        pair = self._number(event.message_id, whom)
        same = event.event_id or f"{event.at.isoformat()} {event.outcome} {event.dsn or ''}"
        ip = str(event.ip) if event.ip is not None else ""
        row = [
            ip,
            event.pool or "",
            iso_z(event.at.replace(microsecond=event.at.microsecond // 1000 * 1000)),
            event.outcome,
            event.recipient_domain.lower()[:LONGEST_DOMAIN],
            event.dsn or "",
            event.is_hard,
            event.is_null_sender,
            pair,
            self._number(ip, event.message_id, whom, same),
        ]
        return msgspec.json.encode(row) + b"\n"

    def _number(self, *texts: str) -> int:
        """64 bits that nobody without the key leads back to a recipient."""
        digest = blake2b("\0".join(texts).encode(), digest_size=8, key=self._key)
        return int.from_bytes(digest.digest(), "big")


def _sum(own: CountRow | None, shared: CountRow | None, size: int) -> MailRates:
    def total(name: str) -> int:
        mine = getattr(own, name) if own else 0
        ours = getattr(shared, name) if shared else 0
        return int(mine + round(ours / size))

    medians = [own.daily_median if own else None, shared.daily_median if shared else None]
    mine, ours = medians
    usual = (mine or 0) + (ours or 0) / size
    return MailRates(
        accepted_24h=total("accepted_24h"),
        attempted_7d=total("attempted_7d"),
        hard_bounces_7d=total("hard_bounces_7d"),
        complaints_7d=total("complaints_7d"),
        complainable_7d=total("complainable_7d"),
        deferred_7d=total("deferred_7d"),
        pairs_7d=total("pairs_7d"),
        daily_median=None if medians == [None, None] else usual,
    )
