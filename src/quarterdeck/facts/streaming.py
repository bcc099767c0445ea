"""One result of the embedded engine, piece by piece."""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck.facts.engine import Engine, EngineError, Pieces
from quarterdeck.facts.ports import Limits
from quarterdeck.facts.statements import heading, parted, reading_here, select

BLOCK_ROWS = 8192
"""Rows of one piece, so that a stream of long rows stays at flat memory."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What to stream: chDB makes every block a document of its own, so the header is its own."""

    query_id: str
    sql: str
    form: str
    header_sql: str
    """Empty when the format has no header."""
    params: Mapping[str, str]

    @classmethod
    def of(cls, sql: str, form: str, params: Mapping[str, str], limits: Limits) -> "StreamRequest":
        """Raises ValueError for a format that does not go row by row."""
        plain, headed = parted(form)
        query_id = secrets.token_hex(8)
        settings = {"max_block_size": BLOCK_ROWS, **reading_here(limits, query_id)}
        return cls(
            query_id, select(sql, plain, settings), plain, heading(sql, form) if headed else "",
            params,
        )  # fmt: skip


class OpenStream:
    """A running query on a session of its own. Any thread may call, the lock makes them wait."""

    def __init__(self, engine: Engine, request: StreamRequest) -> None:
        self.query_id = request.query_id
        self._engine = engine
        self._request = request
        self._session = engine.take()
        self._pieces: Pieces | None = None
        self._lock = threading.Lock()
        self._finished = False

    def next(self) -> bytes | None:
        """The next piece; None at the end."""
        with self._lock:
            if self._finished:
                raise EngineError("closed")
            if self._pieces is not None:
                return self._pieces.next()
            request = self._request
            header = b""
            if request.header_sql:
                header = self._session.query(request.header_sql, request.params)
            self._pieces = self._session.send(request.sql, request.form, request.params)
            return header or self._pieces.next()

    def finish(self) -> None:
        """Stop the query, and give the session back. A call of `next` that runs is awaited."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._pieces is not None:
                self._pieces.cancel()
            self._engine.give_back(self._session)
