"""The log room, put together: where lines are kept, what brings them in, what runs beside."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from quarterdeck.config import Logs, Settings
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Facts, Limits, migrate_facts
from quarterdeck.logs.adapters import DIALECTS, dialect_factory
from quarterdeck.logs.adapters.syslog import SyslogListener, SyslogOptions
from quarterdeck.logs.export_files import ExportDirectory
from quarterdeck.logs.exports import EXPORTS_QUEUE, LogExports
from quarterdeck.logs.retention import Retention
from quarterdeck.logs.schema import MIGRATIONS
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.logs.service import LogService
from quarterdeck.logs.store import LogStore
from quarterdeck.logs.writer import LogWriter
from quarterdeck.state import Database
from quarterdeck.work.store import WorkStore
from quarterdeck.work.worker import Handler

log = logging.getLogger("quarterdeck.logs")

MIGRATE_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class LogRoom:
    """What the rest of the server needs of it."""

    facts: Facts
    cluster: str
    service: LogService
    exports: LogExports
    searches: SavedSearches
    syslog: SyslogListener | None
    migrated: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Its durable background jobs."""
        return {EXPORTS_QUEUE: self.exports.run}

    async def open(self) -> None:
        """Make the tables and open the sockets that lines arrive at.

        Raises:
            ConfigError: an address or the certificate cannot be used, or the tables are newer.
        """
        await self._migrate()
        if self.syslog is not None:
            await self.syslog.start()

    async def run(self, stop: asyncio.Event) -> None:
        """Store, tidy up; until `stop` is set and all lines are stored."""
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._migrate_later(stop))
            group.create_task(self.service.run(ending))
            group.create_task(self.exports.keep_swept(stop))
            await stop.wait()
            if self.syslog is not None:
                await self.syslog.close()
            ending.set()

    async def _migrate(self) -> None:
        try:
            await migrate_facts(self.facts, "logs", MIGRATIONS, self.cluster)
        except SourceUnavailable as error:
            log.warning("the tables of log lines cannot be made yet: %s", error.message)
        else:
            self.migrated.set()

    async def _migrate_later(self, stop: asyncio.Event) -> None:
        """A ClickHouse that was down at our start is waited for; meanwhile requests hear 503."""
        while not (self.migrated.is_set() or stop.is_set()):
            with suppress(TimeoutError):
                async with asyncio.timeout(MIGRATE_AGAIN_S):
                    await stop.wait()
            await self._migrate()


def compose_logs(
    settings: Settings, facts: Facts, state: Database, work: WorkStore, data_dir: Path
) -> LogRoom:
    """Put the room together; nothing is connected yet."""
    given = settings.logs
    limits = Limits(seconds=settings.facts.query_timeout_s)
    retention = Retention(given.retention_days, given.retention_bytes)
    writer = LogWriter(facts, given.waiting_mb * 1024 * 1024)
    dialects = {kind: dialect_factory(kind)() for kind in DIALECTS}
    service = LogService(LogStore(facts, limits), writer, retention, dialects)
    syslog = _syslog(given, service)
    if syslog is not None:
        service.dropped_datagrams = lambda: syslog.stats().dropped
    return LogRoom(
        facts=facts,
        cluster=settings.facts.cluster,
        service=service,
        exports=LogExports(
            facts,
            work,
            state,
            ExportDirectory(data_dir / "exports"),
            timedelta(hours=given.export_hours),
        ),
        searches=SavedSearches(state),
        syslog=syslog,
    )


def _syslog(given: Logs, service: LogService) -> SyslogListener | None:
    if not (given.syslog_udp or given.syslog_tcp or given.syslog_tls):
        return None
    options = SyslogOptions(
        udp=given.syslog_udp,
        tcp=given.syslog_tcp,
        tls=given.syslog_tls,
        certificate=given.syslog_tls_cert,
        key=given.syslog_tls_key,
        retention=timedelta(days=given.retention_days),
    )
    return SyslogListener(options, service.store_lines)
