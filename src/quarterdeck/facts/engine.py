"""chDB: ClickHouse inside this process. Blocking; one path for each process."""

import atexit
import fcntl
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from quarterdeck.core.errors import ConfigError
from quarterdeck.facts.statements import quoted

LOCK = "quarterdeck.lock"


class EngineError(Exception):
    """What the engine answered instead of a result: its own text, for `failure` to translate."""


class Session:
    """One connection: it runs one query after another. Any thread may use it, one at a time."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def query(self, sql: str, params: Mapping[str, str]) -> bytes:
        """Run `sql` whole; it says its own FORMAT."""
        with _engine_errors():
            result: bytes = self._raw.query(sql, "JSONEachRow", params).bytes()
            return result

    def send(self, sql: str, form: str, params: Mapping[str, str]) -> "Pieces":
        """Begin to run `sql`; the session is taken until the pieces end or are cancelled."""
        with _engine_errors():
            return Pieces(self._raw.send_query(sql, form, params))

    def close(self) -> None:
        """Give it back, after what it runs."""
        self._raw.close()


class Pieces:
    """A result that is still being made, block by block."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def next(self) -> bytes | None:
        """The next block's text; None at the end."""
        with _engine_errors():
            block = self._raw.fetch()
            return None if block is None else block.bytes()

    def cancel(self) -> None:
        """Stop it in the engine. Harmless at the end."""
        with _engine_errors():
            self._raw.cancel()


class Engine:
    """The open engine: a lock on its path and the sessions that are not in use.

    Raises:
        ConfigError: chDB is not installed, another process has the path, or it cannot be opened.
    """

    def __init__(self, path: Path, server_settings: Mapping[str, int]) -> None:
        self._path = path.absolute()
        if "?" in str(self._path):
            raise ConfigError(
                f"The data directory {path} may not have a question mark in its name."
            )
        self._connect = _driver()
        self._lock = _locked(self._path)
        self._idle: deque[Session] = deque()
        try:
            self._idle.append(self._open(f"?{urlencode(server_settings)}"))
        except EngineError as error:
            os.close(self._lock)
            reason = str(error).split(", Stack trace", maxsplit=1)[0]
            raise ConfigError(
                f"The store of facts in {path} cannot be opened: {reason}."
            ) from error
        # The engine takes an interpreter's end without it for a crash, and crashes.
        atexit.register(self.close)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of one's own for the block."""
        session = self.take()
        try:
            yield session
        finally:
            self.give_back(session)

    def take(self) -> Session:
        """A session of one's own, until `give_back`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._open("")

    def give_back(self, session: Session) -> None:
        """Let others have it."""
        self._idle.append(session)

    def kill(self, ids: Iterable[str]) -> None:
        """Stop the queries with these ids, without waiting for their end."""
        listed = ", ".join(map(quoted, ids))
        with self.session() as session:
            session.query(f"KILL QUERY WHERE Settings['log_comment'] IN ({listed}) ASYNC", {})

    def close(self) -> None:
        """Close the sessions and let other processes have the path."""
        atexit.unregister(self.close)
        while self._idle:
            self._idle.pop().close()
        os.close(self._lock)

    def _open(self, settings: str) -> Session:
        with _engine_errors():
            return Session(self._connect(f"{self._path}{settings}"))


def _driver() -> Any:
    try:
        import chdb  # noqa: PLC0415 - importing takes a second and 220 MB
    except ImportError as error:
        raise ConfigError(
            "The embedded store of facts needs chDB. Run: pip install 'quarterdeck[embedded]', "
            "or name a ClickHouse server in facts.url."
        ) from error
    return chdb.connect


def _locked(path: Path) -> int:
    """An open, locked file in the engine's directory; the kernel unlocks it when we die."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"The store of facts in {path} cannot be opened: {error.strerror}."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode().strip() or "unknown"
        os.close(descriptor)
        raise ConfigError(
            f"Another process ({holder}) already has the store of facts in {path} open. "
            "Stop it, or name a ClickHouse server in facts.url that both can use."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineError(str(error)) from error
