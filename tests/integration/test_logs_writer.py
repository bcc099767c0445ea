"""What the converter passes on the engine takes; what it refuses costs its own sender only."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from facts_world import count
from quarterdeck.core.errors import InvalidRequest, SourceUnavailable
from quarterdeck.facts import Facts, Insert, migrate_facts
from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.logs.fast import Converter
from quarterdeck.logs.model import COLUMNS
from quarterdeck.logs.prepared import Prepared, Rows
from quarterdeck.logs.schema import MIGRATIONS
from quarterdeck.logs.writer import INSERTS, LogWriter

pytest_plugins = ("facts_fixtures",)

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = (NOW - timedelta(days=1)).strftime("%Y-%m-%d")
STAMPS = (
    f"{DAY}T10:00:00Z", f"{DAY}T10:00:00z", f"{DAY}t10:00:00Z", f"{DAY} 10:00:00Z", f"{DAY}T10:00Z",
    f"{DAY}T23:59:60Z", f"{DAY}T24:00:00Z", f"{DAY}T10:00:00,5Z", f"{DAY}T10:00:00.5+00:00",
    f"{DAY}T100000Z", f"{DAY}T10:00:00-00:00", f"{DAY}T10:00:00.999999Z", f"{DAY}T10:00:00+02:00",
)  # fmt: skip


class Moment(Struct):
    message: str
    at: int


@asynccontextmanager
async def writing(facts: Facts) -> AsyncIterator[LogWriter]:
    await migrate_facts(facts, "logs", MIGRATIONS)
    writer, stop = LogWriter(facts, 64 * 1024 * 1024), asyncio.Event()
    task = asyncio.create_task(writer.run(stop))
    yield writer
    stop.set()
    await task


def converted(*lines: bytes) -> Prepared:
    return Converter(NOW, NOW - timedelta(days=90)).convert(b"\n".join(lines))


def line(**more: Any) -> bytes:
    plain = {"timestamp": f"{DAY}T10:00:00Z", "level": "info", "service": "s", "message": "m"}
    return json.dumps(plain | more).encode()


async def stored(writer: LogWriter, prepared: Prepared) -> None:
    await (await writer.add(prepared))


async def test_every_spelling_of_a_moment_is_stored_as_that_moment(facts: Facts) -> None:
    async with writing(facts) as writer:
        await stored(writer, converted(*(line(timestamp=text, message=text) for text in STAMPS)))
    sql = "SELECT message, toUnixTimestamp64Micro(timestamp) AS at FROM logs"
    found = {row.message: row.at for row in await facts.fetch(sql, Moment)}
    assert set(found) == set(STAMPS)
    ten = int(datetime.fromisoformat(f"{DAY}T10:00:00+00:00").timestamp() * 1_000_000)
    assert found[f"{DAY}T10:00:00z"] == found[f"{DAY}t10:00:00Z"] == ten
    assert found[f"{DAY}T10:00:00.999999Z"] == ten + 999_999
    assert found[f"{DAY}T10:00:00+02:00"] == ten - 2 * 3_600_000_000


names = st.text(max_size=8)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
lines = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.sampled_from(STAMPS) | values, "level": values, "service": values,
        "message": values, "request_id": values, "metadata": values, "error": values,
        "other": values,
    },
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(lines, min_size=1, max_size=8), ascii_only=st.booleans())
async def test_the_engine_takes_whatever_the_converter_passes_on(
    embedded_facts: EmbeddedFacts, batch: list[dict[str, Any]], ascii_only: bool
) -> None:
    raw = [json.dumps(each, ensure_ascii=ascii_only).encode(errors="replace") for each in batch]
    async with writing(embedded_facts) as writer:
        prepared = converted(*raw)
        await stored(writer, prepared)
        assert writer.counts.failed == 0
        assert writer.counts.lines == prepared.count


@pytest.mark.parametrize("depth", [500, 900, 950, 980])
async def test_deep_metadata_is_rejected_by_us_or_taken(facts: Facts, depth: int) -> None:
    deep = line()[:-1] + b',"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    async with writing(facts) as writer:
        prepared = converted(deep, line())
        await stored(writer, prepared)
        assert prepared.count >= 1


class Counted:
    """Facts that notes how many inserts run side by side, and the order of their blocks."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.most = self.running = 0

    async def insert(self, insert: Insert) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self._facts.insert(insert)
        self.running -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)


def large(number: int) -> Prepared:
    """More than what must wait for an insert beside another."""
    return converted(*(line(message=f"{number} " + "x" * 1000) for _ in range(18_000)))


async def test_under_load_two_inserts_run_side_by_side_and_all_is_stored(facts: Facts) -> None:
    counted = Counted(facts)
    async with writing(cast(Facts, counted)) as writer:
        for number in range(5):
            await writer.add(large(number))
    assert counted.most == INSERTS
    assert await count(facts, "SELECT count() AS n FROM logs") == 90_000
    assert writer.waiting_bytes == 0


async def test_without_load_lines_are_stored_in_the_order_of_arrival(facts: Facts) -> None:
    counted = Counted(facts)
    async with writing(cast(Facts, counted)) as writer:
        stored_later = []
        for number in range(60):
            stored_later.append(await writer.add(converted(line(message=f"{number:02}"))))
            if number % 7 == 0:
                await stored_later[-1]
        await asyncio.gather(*stored_later)
    assert counted.most == 1
    sql = "SELECT message, 0 AS at FROM logs ORDER BY _block_number, _block_offset"
    found = [row.message for row in await facts.fetch(sql, Moment)]
    assert found == [f"{number:02}" for number in range(60)]


async def test_what_a_reader_has_seen_of_blocks_never_grows_behind_it(
    embedded_facts: EmbeddedFacts,
) -> None:
    """Following and exports rely on it: a block's number is given and shown in one step."""
    facts = embedded_facts
    await migrate_facts(facts, "logs", MIGRATIONS)
    days = [(NOW - timedelta(days=back)).strftime("%Y-%m-%d") for back in range(3)]
    seen: list[tuple[int, int]] = []
    ended = asyncio.Event()

    async def look() -> None:
        sql = "SELECT toString(max(_block_number)) AS message, count() AS at FROM logs"
        while not ended.is_set():
            (row,) = await facts.fetch(sql, Moment)
            seen.append((int(row.message), row.at))

    async def send(day: str) -> None:
        for number in range(25):
            prepared = converted(line(timestamp=f"{day}T00:00:00Z", message=f"{day} {number}"))
            (rows,) = prepared.days.values()
            token = f"{day} {number}"
            await facts.insert(Insert("logs", COLUMNS, [rows.data], rows.count, token))

    looking = asyncio.create_task(look())
    await asyncio.gather(*map(send, days))
    ended.set()
    await looking
    for block, rows_then in seen:
        sql = f"SELECT '' AS message, count() AS at FROM logs WHERE _block_number <= {block}"
        assert (await facts.fetch(sql, Moment))[0].at == rows_then


async def test_a_refused_row_costs_its_own_sender_only(facts: Facts) -> None:
    good = [converted(line(message=f"good {number}")) for number in range(6)]
    (day,) = good[0].days
    bad = Prepared({day: Rows(b'["no time","info","s","m","","","","{}","","",""]\n', 1)}, 1, 60)
    async with writing(facts) as writer:
        waiting = [await writer.add(prepared) for prepared in (*good[:3], bad, *good[3:])]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(outcomes[3], InvalidRequest)
        assert [outcome for outcome in outcomes if outcome is not None] == [outcomes[3]]
        assert (writer.counts.lines, writer.counts.failed) == (6, 1)
    assert await count(facts, "SELECT count() AS n FROM logs") == 6


async def test_an_unexpected_error_is_told_and_the_writer_goes_on(
    embedded_facts: EmbeddedFacts,
) -> None:
    (day,) = converted(line()).days
    broken = Prepared({day: Rows(cast(bytes, 7), 1)}, 1, 1)
    async with writing(embedded_facts) as writer:
        with pytest.raises(SourceUnavailable, match="log says why"):
            await stored(writer, broken)
        await stored(writer, converted(line()))
        assert writer.waiting_bytes == 0
    assert await count(embedded_facts, "SELECT count() AS n FROM logs") == 1


async def test_many_senders_share_few_inserts(facts: Facts) -> None:
    async with writing(facts) as writer:
        batches = [converted(line(message=f"n{number}")) for number in range(200)]
        await asyncio.gather(*(stored(writer, batch) for batch in batches))
        assert writer.counts.inserts <= 3
    assert await count(facts, "SELECT count() AS n FROM logs") == 200
