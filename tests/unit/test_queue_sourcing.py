"""A slow, a dead and a broken source: none holds up or breaks the answer about the others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues import sourcing
from quarterdeck.queues.model import (
    Capabilities,
    EngineHealth,
    Provenance,
    QueueRef,
    QueueStats,
)
from quarterdeck.queues.sourcing import UNKNOWN_STATS, SourceReader

MAIL = QueueRef("platform", "queue:mail")


@dataclass
class ScriptedEngine:
    """Answers with its number of waiting jobs when the gate is open, or fails."""

    kind: str = "scripted"
    waiting: int = 3
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    now: datetime = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.gate.set()

    async def snapshot(self) -> Mapping[QueueRef, QueueStats]:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {MAIL: QueueStats(0, self.waiting, 0, 5, Provenance.EXACT, False)}

    async def find_queue(self, name: str) -> tuple[QueueRef, QueueStats] | None:
        raise NotImplementedError

    def capabilities(self, queue: QueueRef) -> Capabilities:
        raise NotImplementedError


@asynccontextmanager
async def reading(
    engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SourceReader]:
    monkeypatch.setattr(sourcing, "PATIENCE_S", 0.05)
    reader = SourceReader("platform", engine, lambda: engine.now)
    yield reader
    engine.gate.set()
    await reader.close()


async def settled(engine: ScriptedEngine, reader: SourceReader) -> None:
    """Wait until nothing is under way."""
    engine.gate.set()
    async with asyncio.timeout(30):
        while reader._running:
            await asyncio.sleep(0.001)


async def test_quick_source_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    async with reading(engine, monkeypatch) as reader:
        for waiting in (3, 4):
            engine.waiting = waiting
            found, state = await reader.read()
            assert found[MAIL].waiting == waiting
            assert (state.health, state.answered_at) == (EngineHealth.OK, engine.now)


async def test_callers_at_once_each_see_what_was_before_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = ScriptedEngine()
    async with reading(engine, monkeypatch) as reader:
        answers = await asyncio.gather(*(reader.read() for _ in range(10)))
        assert {state.health for _, state in answers} == {EngineHealth.OK}
        assert engine.asked == 10


async def test_slow_source_is_shown_as_it_last_was(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    async with reading(engine, monkeypatch) as reader:
        await reader.read()
        engine.gate.clear()
        for _ in range(5):
            found, state = await reader.read()
            assert (found[MAIL].waiting, state.health) == (3, EngineHealth.SLOW)
            assert state.answered_at == engine.now
        # Nobody waits in a row: it was asked once, and is asked again when that has ended.
        assert engine.asked == 2
        engine.now += timedelta(seconds=31)
        found, state = await reader.read()
        assert found[MAIL] == UNKNOWN_STATS
        assert state.error is not None


async def test_source_that_is_quick_again_is_waited_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = ScriptedEngine()
    async with reading(engine, monkeypatch) as reader:
        engine.gate.clear()
        assert (await reader.read())[1].health is EngineHealth.SLOW
        await settled(engine, reader)
        engine.waiting = 9
        await reader.read()  # asked in the background, and quick
        await settled(engine, reader)
        found, state = await reader.read()
        assert (found[MAIL].waiting, state.health) == (9, EngineHealth.OK)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SourceUnavailable("platform", "Connection refused."), "Connection refused."),
        (ZeroDivisionError(), "The source 'platform' cannot be read; the server's log says why."),
    ],
)
async def test_dead_or_broken_source_has_unknown_queues(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    engine = ScriptedEngine()
    async with reading(engine, monkeypatch) as reader:
        await reader.read()
        engine.error, engine.now = error, engine.now + timedelta(seconds=5)
        found, state = await reader.read()
        assert found == {MAIL: UNKNOWN_STATS}
        assert (state.health, state.error) == (EngineHealth.UNAVAILABLE, told)
        assert state.answered_at == engine.now - timedelta(seconds=5)
        engine.error = None
        found, state = await reader.read()
        assert (found[MAIL].waiting, state.health, state.error) == (3, EngineHealth.OK, None)


async def test_silent_source_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    monkeypatch.setattr(sourcing, "TIMEOUT_S", 0.1)
    async with reading(engine, monkeypatch) as reader:
        await reader.read()
        engine.gate.clear()
        async with asyncio.timeout(30):
            while (await reader.read())[1].health is not EngineHealth.UNAVAILABLE:
                await asyncio.sleep(0.01)
        assert not reader.is_waited_for("queue:other")
        assert reader.is_waited_for(MAIL.name)
