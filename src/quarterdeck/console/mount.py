"""Serving the console: its files from memory, under a policy that allows nothing else.

The files are read once, with a hash and a compressed copy each: what is written in the repository
is what the browser loads, and no path of a request ever reaches the file system.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATIC = Path(__file__).parent / "static"
PREFIX = "/console/static/"
PAGES = ("/dashboard", "/console")
"""Below these, and at `/`, every address is a view of the one page."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
FOREVER = b"public, max-age=31536000, immutable"
ASK_AGAIN = b"no-cache"
"""Kept, but never used without asking whether it is still the newest."""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to be sent."""

    content: bytes
    compressed: bytes
    etag: str
    headers: Headers


class Console:
    """A layer that answers for the console's addresses and passes everything else on."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._files = {
            path.relative_to(STATIC).as_posix(): _static_file(path)
            for path in sorted(STATIC.rglob("*"))
            if path.suffix in MEDIA_TYPES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        is_reading = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
        if not is_reading or not _is_ours(scope["path"]):
            await self._app(scope, receive, send)
            return
        scope["path_template"] = "/console"
        name = _file_name(scope["path"])
        file = self._files.get(name)
        if file is None:
            await _send(scope, send, 404, [(b"content-type", b"text/plain")], b"No such file.\n")
        else:
            await _send_file(scope, send, file)


def _is_ours(path: str) -> bool:
    return path == "/" or any(path == page or path.startswith(f"{page}/") for page in PAGES)


def _file_name(path: str) -> str:
    return path.removeprefix(PREFIX) if path.startswith(PREFIX) else "index.html"


def _static_file(path: Path) -> StaticFile:
    content = path.read_bytes()
    etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = [
        (b"content-type", MEDIA_TYPES[path.suffix].encode()),
        (b"cache-control", FOREVER if path.parent.name == "vendor" else ASK_AGAIN),
        (b"etag", etag.encode()),
        (b"vary", b"accept-encoding"),
    ]
    if path.suffix in {".html", ".svg"}:
        headers.append((b"content-security-policy", POLICY.encode()))
    # The time is left out of the archive, so that the same file is always the same bytes.
    return StaticFile(content, gzip.compress(content, 9, mtime=0), etag, headers)


async def _send_file(scope: Scope, send: Send, file: StaticFile) -> None:
    asked = dict(scope["headers"])
    known = asked.get(b"if-none-match", b"").decode("latin-1")
    if file.etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        await _send(scope, send, 304, file.headers, b"")
    elif b"gzip" in asked.get(b"accept-encoding", b""):
        headers = [*file.headers, (b"content-encoding", b"gzip")]
        await _send(scope, send, 200, headers, file.compressed)
    else:
        await _send(scope, send, 200, file.headers, file.content)


async def _send(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status != 304:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": body, "more_body": False})
