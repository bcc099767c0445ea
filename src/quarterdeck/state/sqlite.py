"""SQLite: one writer thread with group commit, a few reader threads, WAL, synchronous=FULL."""

import asyncio
import os
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.state.database import READ_TIMEOUT_S

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
READERS = 4
GROUP = 128
"""At most this many waiting transactions share one commit, hence one fsync."""


class _Transaction:
    """One submitted change and where its result goes."""

    __slots__ = ("change", "error", "future", "result")

    def __init__(self, change: Callable[[Connection], Any]) -> None:
        self.change = change
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteDatabase:
    """A SQLite file. Writers queue in this process and wait for those of other processes."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self.path = Path(path)
        self._writer = self._engine("IMMEDIATE")
        self._reader = self._engine("DEFERRED")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{name}-read")
        self._inbox: queue.SimpleQueue[_Transaction | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._file: tuple[int, int] | None = None
        self._guard = threading.Lock()

    async def read(self, query: Callable[[Connection], T], timeout_s: float = READ_TIMEOUT_S) -> T:
        """See `Database.read`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, query, timeout_s)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        if self._closed:
            raise SourceUnavailable(self.name, f"The {self.name} database is closed.")
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._write_loop, name=f"{self.name}-write", daemon=True
            )
            self._thread.start()
        transaction = _Transaction(change)
        self._inbox.put(transaction)
        result: T = await asyncio.wrap_future(transaction.future)
        return result

    async def close(self) -> None:
        """See `Database.close`."""
        self._closed = True
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)
        self._readers.shutdown()
        self._writer.dispose()
        self._reader.dispose()

    def _engine(self, mode: str) -> Engine:
        # mode=rw: a file that is gone is an error, not a fresh empty database.
        engine = create_engine(
            f"sqlite:///file:{self.path}?mode=rw&uri=true",
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
            pool_size=READERS,
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _: object) -> None:
            connection.isolation_level = None
            for pragma in (
                "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536",
                "mmap_size=268435456", "temp_store=MEMORY",
            ):  # fmt: skip
                connection.execute(f"PRAGMA {pragma}").close()
            if mode == "IMMEDIATE":
                connection.execute("PRAGMA busy_timeout=0").close()  # `_begin` waits instead

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            raw: Any = connection.connection.driver_connection
            _begin(raw, mode)

        return engine

    def _read(self, query: Callable[[Connection], T], timeout_s: float) -> T:
        with self._answering(), self._reader.connect() as connection:
            raw: Any = connection.connection.driver_connection
            end = time.monotonic() + timeout_s
            raw.set_progress_handler(lambda: time.monotonic() > end, 20_000)
            try:
                with connection.begin():
                    return query(connection)
            finally:
                raw.set_progress_handler(None, 0)

    def _write_loop(self) -> None:
        while (first := self._inbox.get()) is not None:
            group, stop = [first], False
            while len(group) < GROUP and not self._inbox.empty():
                following = self._inbox.get()
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._commit([t for t in group if t.future.set_running_or_notify_cancel()])
            if stop:
                return

    def _commit(self, group: list[_Transaction]) -> None:
        """Run a group in one transaction; nobody is answered before the commit."""
        try:
            with self._answering(), self._writer.begin() as connection:
                for transaction in group:
                    self._run(connection, transaction, alone=len(group) == 1)
            self._check_same_file()
        except BaseException as error:  # noqa: BLE001 - it belongs to those who wait for it
            for transaction in group:
                transaction.error = transaction.error or error
        for transaction in group:
            transaction.settle()

    def _run(self, connection: Connection, transaction: _Transaction, alone: bool) -> None:
        if alone:
            transaction.result = transaction.change(connection)
            return
        try:
            with connection.begin_nested():
                transaction.result = transaction.change(connection)
        except Exception as error:
            raw: Any = connection.connection.driver_connection
            if not raw.in_transaction:
                # SQLite ended the whole transaction (disk full, I/O error): the group is lost.
                raise
            transaction.error = self._translated(error)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            self._check_same_file()
            yield
        except (DBAPIError, sqlite3.Error) as error:
            raise self._translated(error) from error
        except OSError as error:
            raise SourceUnavailable(
                self.name, f"The {self.name} database {self.path.name} is gone: {error.strerror}."
            ) from error

    def _check_same_file(self) -> None:
        """A deleted file would go on taking writes that nobody could ever read again."""
        stat = os.stat(self.path)  # noqa: PTH116 - half the cost of Path.stat, on every call
        found = (stat.st_dev, stat.st_ino)
        if self._file == found:
            return
        with self._guard:
            if self._file is not None and self._file != found:
                self._writer.dispose()
                self._reader.dispose()
            self._file = found

    def _translated(self, error: Exception) -> Exception:
        original = getattr(error, "orig", error)
        if not isinstance(error, OperationalError) and not isinstance(
            original, sqlite3.DatabaseError
        ):
            return error
        if isinstance(original, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            return error
        return SourceUnavailable(self.name, f"The {self.name} database: {_reason(original)}.")


def _begin(raw: sqlite3.Connection, mode: str) -> None:
    """Begin, in line with the writers of other processes.

    SQLite's own wait backs off to 100 ms a try, and busy rivals starve it for seconds; a pause
    must not wait that long. Asking every 2 ms costs little and is fair enough.
    """
    end = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            raw.execute(f"BEGIN {mode}").close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.001, 0.003))  # noqa: S311 - keeps rivals out of step
        else:
            return


def _reason(original: object) -> str:
    text = str(original)
    if "interrupted" in text:
        return "the query took too long and was stopped; narrow it down"
    if "locked" in text:
        return f"another process has held its lock for {BUSY_TIMEOUT_S:.0f} s; try again"
    if "full" in text:
        return "the disk is full; free some space and try again"
    return text
