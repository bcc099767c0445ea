"""Facts in ClickHouse in this process, through chDB."""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from quarterdeck.facts.binding import encode_params
from quarterdeck.facts.engine import Engine, EngineError, Session
from quarterdeck.facts.failure import closed, insert_failure, query_failure
from quarterdeck.facts.killer import Killer
from quarterdeck.facts.lanes import Lanes, Room, Turn
from quarterdeck.facts.loading import insert_sql, rows_file
from quarterdeck.facts.merging import LARGE, MergeBrake
from quarterdeck.facts.ports import NO_PARAMS, USUAL, Insert, Limits, Param
from quarterdeck.facts.rows import decode_rows
from quarterdeck.facts.statements import quoted, reading_here, select
from quarterdeck.facts.streaming import OpenStream, StreamRequest
from quarterdeck.facts.trimming import Trimmer

T = TypeVar("T")
log = logging.getLogger("quarterdeck.facts")

STREAMS = 2
"""Streams side by side; the others wait in line."""
BESIDE_LOADING: Mapping[str, str | int | float] = {"max_threads": 1}
"""Of a search while lines pour in: with a thread for each core, four searches took so much of two
that lines came in at 57 % of their pace."""
_CORES = os.cpu_count() or 1
RESERVED_MB = 400
"""What Python and chDB's own code take of the process's memory."""


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """How much of the machine the engine may take."""

    memory_mb: int = 1024
    """For the whole process; the engine gets what Python and its own code leave."""
    searches: int = 0
    """Searches side by side; 0: twice the cores, four at least. Long ones do not count."""

    @property
    def places(self) -> int:
        """`searches`, decided."""
        return self.searches or max(4, 2 * _CORES)

    @property
    def room(self) -> Room:
        """How many searches run side by side."""
        return Room(self.places, 2 * self.places)

    @property
    def room_beside_loading(self) -> Room:
        """The same while lines pour in: together they have what half of the cores can do."""
        return Room(min(self.places, max(1, _CORES // 2)), max(1, _CORES // 2))

    @property
    def server_settings(self) -> dict[str, int]:
        """What the engine is opened with."""
        return {
            "max_server_memory_usage": max(128, self.memory_mb - RESERVED_MB) * 1_000_000,
            "background_pool_size": 2,
            "mark_cache_size": 32_000_000,
            "max_parts_cleaning_thread_pool_size": 2,
        }


class EmbeddedFacts:
    """ClickHouse inside this process. See `Facts` for what the methods do.

    One path for each process, one process for each path; after `fork` a child cannot use it.

    Raises:
        ConfigError: chDB is not installed, or the path cannot be had.
    """

    def __init__(self, path: Path, options: EmbeddedOptions = EmbeddedOptions()) -> None:
        places = options.places
        self.path = path
        self._engine = Engine(path, options.server_settings)
        self._options = options
        self._lanes = Lanes(self._room)
        self._threads = ThreadPoolExecutor(3 * places, "facts-search")
        self._stream_lanes = Lanes(lambda: Room(STREAMS, 0))
        self._stream_threads = ThreadPoolExecutor(2 * STREAMS, "facts-stream")
        self._writer = ThreadPoolExecutor(1, "facts-write")
        self._second_writer = ThreadPoolExecutor(1, "facts-write-2")
        self._all_threads = (
            self._threads, self._stream_threads, self._writer, self._second_writer,
        )  # fmt: skip
        self._in_line: set[Future[None]] = set()
        """Inserts that the first writer has and will have."""
        self._large: set[Future[None]] = set()
        """Large inserts that wait or are made."""
        self._brake = MergeBrake(self._command)
        self._killer = Killer(self._engine.kill)
        self._trimmer = Trimmer()
        self._running: dict[str, Future[Any]] = {}
        self._streams: set[OpenStream] = set()
        self._closed = False

    async def fetch(
        self,
        sql: str,
        row: type[T],
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> list[T]:
        """See `Facts.fetch`."""
        texts, query_id = encode_params(params), secrets.token_hex(8)
        settings = reading_here(limits, query_id)
        if self._is_loading:
            settings |= BESIDE_LOADING
        text = select(sql, "JSONEachRow", settings)

        def work(session: Session) -> list[T]:
            return decode_rows(session.query(text, texts), row)

        return await self._search(work, query_id, limits)

    async def execute(self, sql: str, params: Mapping[str, Param] = NO_PARAMS) -> None:
        """See `Facts.execute`."""
        texts, query_id = encode_params(params), secrets.token_hex(8)

        def work(session: Session) -> None:
            # As a statement of its own: SETTINGS after a CREATE would be the table's.
            session.query(f"SET log_comment = {quoted(query_id)}", {})
            try:
                session.query(sql, texts)
            finally:
                # Whoever has the session next must not be killed in our stead.
                session.query("SET log_comment = ''", {})

        await self._search(work, query_id, None)

    async def stream(
        self,
        sql: str,
        form: str,
        params: Mapping[str, Param] = NO_PARAMS,
        limits: Limits = USUAL,
    ) -> AsyncGenerator[bytes]:
        """See `Facts.stream`."""
        request = StreamRequest.of(sql, form, encode_params(params), limits)
        turn = await self._turn(self._stream_lanes)
        try:
            opened = OpenStream(self._engine, request)
        except EngineError as error:
            turn.end()
            raise query_failure(str(error), limits) from error
        self._streams.add(opened)
        try:
            while (piece := await self._step(opened, limits)) is not None:
                yield piece
        finally:
            self._streams.discard(opened)
            await self._finish(opened, turn)

    async def insert(self, insert: Insert) -> None:
        """See `Facts.insert`. Cancelling the task does not undo what is already on its way."""
        if self._closed:
            raise closed()
        await asyncio.wrap_future(self._write(insert))

    async def close(self) -> None:
        """See `Facts.close`. Inserts that wait are still made."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut)

    async def _search(
        self, work: Callable[[Session], T], query_id: str, limits: Limits | None
    ) -> T:
        """Do `work` on a session, in turn; kill its query when our task is cancelled."""

        def run() -> T:
            try:
                with self._engine.session() as session:
                    return work(session)
            except EngineError as error:
                raise query_failure(str(error), limits) from error

        turn = await self._turn(self._lanes)
        call = self._threads.submit(run)
        self._running[query_id] = call

        def over(_: Future[T]) -> None:
            self._running.pop(query_id, None)
            turn.end()

        call.add_done_callback(over)
        lasting = asyncio.create_task(turn.last())
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            self._killer.stop_query(query_id, call)
            raise
        finally:
            lasting.cancel()

    @property
    def _is_loading(self) -> bool:
        """Whether lines pour in; between two inserts, too, so that nobody rushes in there."""
        return bool(self._large) or self._brake.is_burst

    def _room(self) -> Room:
        options = self._options
        return options.room_beside_loading if self._is_loading else options.room

    async def _turn(self, lanes: Lanes) -> Turn:
        turn = lanes.queue()
        try:
            if not turn.granted.done():
                await asyncio.wrap_future(turn.granted)
            if self._closed:
                raise closed()
        except BaseException:
            turn.end()
            raise
        return turn

    async def _step(self, opened: OpenStream, limits: Limits) -> bytes | None:
        if self._closed:
            raise closed()
        call = self._stream_threads.submit(opened.next)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            self._killer.stop_query(opened.query_id, call)
            raise
        except EngineError as error:
            raise query_failure(str(error), limits) from error

    async def _finish(self, opened: OpenStream, turn: Turn) -> None:
        if self._closed:
            return
        call = self._stream_threads.submit(opened.finish)
        call.add_done_callback(lambda _: turn.end())
        await asyncio.shield(asyncio.wrap_future(call))

    def _write(self, insert: Insert) -> "Future[None]":
        """Have rows inserted: one insert after the other, but for a large one that finds another
        in its way. Beside searches there is one at a time: they want the cores."""
        is_large = insert.count >= LARGE
        if is_large and self._in_line and not self._running:
            call = self._second_writer.submit(self._insert, insert)
        else:
            call = self._writer.submit(self._insert, insert)
            _note(call, self._in_line)
        if is_large:
            _note(call, self._large)
        return call

    def _command(self, sql: str) -> None:
        """Run a statement that makes inserting better, but not possible."""
        try:
            with self._engine.session() as session:
                session.query(sql, {})
        except EngineError as error:
            log.warning("%s: %s", sql, error)

    def _insert(self, insert: Insert) -> None:
        try:
            self._brake.note(insert.table, insert.count)
            with rows_file(insert.rows, self.path) as file, self._engine.session() as session:
                session.query(insert_sql(insert, file), {})
        except (EngineError, OSError) as error:
            raise insert_failure(str(error), insert) from error

    def _shut(self) -> None:
        self._brake.close()
        for query_id, call in list(self._running.items()):
            self._killer.stop_query(query_id, call)
        for opened in list(self._streams):
            self._killer.stop_query(opened.query_id, self._stream_threads.submit(opened.finish))
        for threads in self._all_threads:
            threads.shutdown()
        self._trimmer.close()
        self._killer.close()
        self._engine.close()


def _note(call: "Future[None]", calls: "set[Future[None]]") -> None:
    """Have it among these calls until it is over."""
    calls.add(call)
    call.add_done_callback(calls.discard)
