"""What saved searches tell the alert rules, on real lines."""

import asyncio
import json
from datetime import timedelta

import pytest

from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts import Limits, migrate_facts
from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.logs.fast import Converter
from quarterdeck.logs.model import Filter, Level
from quarterdeck.logs.retention import Retention
from quarterdeck.logs.schema import MIGRATIONS
from quarterdeck.logs.searches import SavedSearches
from quarterdeck.logs.service import LogService
from quarterdeck.logs.signals import LogSignals, LogWatch
from quarterdeck.logs.store import LogStore
from quarterdeck.logs.writer import LogWriter
from quarterdeck.state import Database

pytest_plugins = ("facts_fixtures",)

NOW = utc_now()


def line(minutes_ago: int, level: str) -> bytes:
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")
    given = {"timestamp": at, "level": level, "service": "api", "message": "no answer"}
    return json.dumps(given).encode()


async def test_a_watch_counts_the_last_minutes_of_its_search(
    embedded_facts: EmbeddedFacts, database: Database
) -> None:
    await migrate_facts(embedded_facts, "logs", MIGRATIONS)
    writer, stop = LogWriter(embedded_facts, 1024**2), asyncio.Event()
    running = asyncio.create_task(writer.run(stop))
    lines = [line(1, "error"), line(2, "error"), line(2, "info"), line(30, "error")]
    converter = Converter(NOW, NOW - timedelta(days=90))
    await (await writer.add(converter.convert(b"\n".join(lines))))
    stop.set()
    await running
    service = LogService(
        LogStore(embedded_facts, Limits()), writer, Retention(90, 0), {}, lambda: NOW
    )
    searches = SavedSearches(database)
    await searches.create("errors", Filter(level=Level.ERROR), "token:1")
    watches = [LogWatch("errors", 5), LogWatch("errors", 60), LogWatch("gone", 5)]
    found = await LogSignals(searches, service, watches, lambda: NOW)()
    assert [(each.subject, each.values["count"]) for each in found] == [
        ("errors", 2), ("errors", 3), ("gone", None),
    ]  # fmt: skip
    assert found[0].labels != found[1].labels
    assert "no saved search named 'gone'" in found[2].details["reason"]


async def test_lines_that_cannot_be_had_raise_rather_than_count_none(
    embedded_facts: EmbeddedFacts, database: Database
) -> None:
    writer = LogWriter(embedded_facts, 1024**2)
    service = LogService(LogStore(embedded_facts, Limits()), writer, Retention(90, 0), {})
    searches = SavedSearches(database)
    await searches.create("errors", Filter(level=Level.ERROR), "token:1")
    with pytest.raises(SourceUnavailable):  # the table is not there
        await LogSignals(searches, service, [LogWatch("errors", 5)])()
