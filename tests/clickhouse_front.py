"""ClickHouse's HTTP interface in front of chDB, for tests of `ServerFacts`.

This is no ClickHouse server: none newer than 2018 can be installed where the tests run. It is the
same engine (chDB) in a process of its own, behind the part of the documented HTTP protocol that
clickhouse-connect uses: settings, `param_*` and `query` in the URL or in a form, data in the
body, errors as `X-ClickHouse-Exception-Code`, and an `__exception__` block when an answer fails
after its beginning was sent. Replication, users and the server's own limits on HTTP are not here.

    python clickhouse_front.py PORT DIRECTORY
"""

import asyncio
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chdb
from aiohttp import BodyPartReader, web

TRANSPORT = frozenset({
    "query", "database", "user", "password", "default_format", "query_id", "session_id",
    "client_protocol_version", "wait_end_of_query", "buffer_size", "compress", "decompress",
    "session_timeout", "session_check", "quota_key", "role",
})  # fmt: skip
STREAMED = re.compile(r"\s+FORMAT (CSV|TSV|TSVRaw|JSONEachRow|JSONCompactEachRow)(WithNames)?\s*\Z")
INSERT = re.compile(r"\s*INSERT\s", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)\.")


class Request:
    """One statement as the HTTP interface spells it."""

    def __init__(self, fields: Mapping[str, str], body: bytes) -> None:
        if "query" in fields and body:
            self.sql = f"{fields['query']}\n{body.decode()}"
        else:
            self.sql = fields.get("query") or body.decode()
        self.params = {k[6:]: v for k, v in fields.items() if k.startswith("param_")}
        self.settings = {
            k: v for k, v in fields.items() if k not in TRANSPORT and not k.startswith("param_")
        }
        self.whole = fields.get("wait_end_of_query") == "1"
        self.format = fields.get("default_format", "TabSeparated")

    @classmethod
    async def of(cls, request: web.Request) -> "Request":
        fields, body = dict(request.query), b""
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                fields[str(part.name)] = (await part.read()).decode()
        else:
            body = await request.read()
        return cls(fields, body)

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is sent while it is made."""
        return bool(STREAMED.search(self.sql)) and not INSERT.match(self.sql)

    def session(self, path: str) -> Any:
        """A connection with the request's settings, as each HTTP request has its own session."""
        session = chdb.connect(path)
        for key, value in self.settings.items():
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            session.query(f"SET {key} = '{escaped}'")
        return session


class Front:
    """The engine's door. Blocking calls run in threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._engine = chdb.connect(path)
        self._threads = ThreadPoolExecutor(64)

    async def answer(self, http: web.Request) -> web.StreamResponse:
        request = await Request.of(http)
        loop = asyncio.get_running_loop()
        if not request.whole and request.is_streamed:
            return await self._stream(http, request)
        try:
            body = await loop.run_in_executor(self._threads, self._whole, request)
        except RuntimeError as error:
            return failure(str(error))
        return web.Response(body=body)

    async def ping(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    def _whole(self, request: Request) -> bytes:
        session = request.session(self._path)
        try:
            result: bytes = session.query(request.sql, request.format, request.params).bytes()
            return b"" if INSERT.match(request.sql) else result
        finally:
            session.close()

    async def _stream(self, http: web.Request, request: Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()

        def step(work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
            return loop.run_in_executor(self._threads, work, *args)

        pieces = None
        session = await step(request.session, self._path)
        response = web.StreamResponse()
        try:
            header, sql = await step(parted, session, request)
            pieces = await step(session.send_query, sql, "CSV", request.params)
            first = await step(pieces.fetch)
            await response.prepare(http)
            await response.write(header + (first.bytes() if first else b""))
            while (piece := await step(pieces.fetch)) is not None:
                await response.write(piece.bytes())
        except RuntimeError as error:
            if not response.prepared:
                return failure(str(error))
            await response.write(exception_block(str(error)))
        finally:
            if pieces is not None:
                await asyncio.shield(step(pieces.cancel))
            await asyncio.shield(step(session.close))
        return response


def parted(session: Any, request: Request) -> tuple[bytes, str]:
    """The header, and the query without it: chDB repeats headers on every block."""
    found = STREAMED.search(request.sql)
    assert found
    if not found.group(2):
        return b"", request.sql
    plain = f"{request.sql[: found.start()]}\nFORMAT {found.group(1)}"
    head = f"SELECT * FROM (\n{request.sql[: found.start()]}\n) LIMIT 0 {found.group(0)}"
    return session.query(head, "CSV", request.params).bytes(), plain


def failure(text: str) -> web.Response:
    found = CODE.search(text)
    headers = {"X-ClickHouse-Exception-Code": found.group(1) if found else "1002"}
    return web.Response(status=500, text=text + "\n", headers=headers)


def exception_block(text: str) -> bytes:
    tag, message = secrets.token_hex(8).encode(), text.encode()
    block = b"\r\n__exception__\r\n" + tag + b"\r\n" + message
    return block + b"\r\n%d %s\r\n__exception__\r\n" % (len(message), tag)


def main() -> None:
    port, directory = int(sys.argv[1]), Path(sys.argv[2])
    front = Front(str(directory / "engine"))
    app = web.Application(client_max_size=256 * 2**20)
    app.router.add_get("/ping", front.ping)
    app.router.add_route("*", "/", front.answer)
    web.run_app(
        app, host="127.0.0.1", port=port, print=None, access_log=None,
        handler_cancellation=True, shutdown_timeout=0.1,
    )  # fmt: skip


if __name__ == "__main__":
    main()
