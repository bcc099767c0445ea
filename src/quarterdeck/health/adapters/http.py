"""Asks a web service one question, over a connection of its own each time."""

import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urljoin

import re2  # type: ignore[import-untyped]
from msgspec import Meta, Struct, field
from yarl import URL

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.addresses import place_of
from quarterdeck.health.certificates import note_end, note_refused_end
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed
from quarterdeck.net.exchange import Answer, HttpExchange
from quarterdeck.net.tls import client_context

MAX_REDIRECTS = 5
PORTS = {"http": 80, "https": 443}

_STATUS = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_EXPRESSIONS = re2.Options()
_EXPRESSIONS.log_errors = False
_EXPRESSIONS.dot_nl = True
_EXPRESSIONS.max_mem = 1024 * 1024


class HttpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `http` may say."""

    url: str
    kind: str = "http"
    method: Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"] = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    expect_status: list[int | str] = field(default_factory=lambda: [200])
    """Single ones, `2xx`, or `200-299`."""
    expect_header: dict[str, str] = {}
    """Name to a text that its value must contain; empty: it must be there."""
    body_contains: str = ""
    """Compared with the first 64 KiB, as UTF-8."""
    body_matches: Annotated[str, Meta(max_length=1000)] = ""
    """A regular expression of RE2, for the first 64 KiB."""
    verify_tls: bool = True
    ca_file: str = ""
    """PEM file of authorities that are trusted besides the system's."""
    follow_redirects: bool = False
    """For GET and HEAD; own headers stay behind when it leaves the origin."""


class HttpProbe:
    """OK when status, headers and body are as expected."""

    Options: ClassVar[type[Struct]] = HttpOptions

    def __init__(self, options: HttpOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        place = place_of(options.url, PORTS)
        self.target = f"{options.method} {place.shown}"
        # aiohttp takes no user in the URL beside a header that says the same.
        self._url = URL(options.url).with_user(None)
        self._headers = {**place.basic_authorization, **options.headers}
        self._statuses = [_range(one) for one in options.expect_status]
        self._pattern = _compiled(options.body_matches) if options.body_matches else None
        self._context = client_context(options.verify_tls, options.ca_file)
        self._http = HttpExchange(toolbox.guard, self._context)

    async def check(self) -> Reading:
        """Ask, and compare."""
        return await observed(self._steps, self._toolbox.timeout_s, "HTTP")

    async def close(self) -> None:
        """Nothing stays open but what was cancelled."""
        await self._http.close()

    async def _steps(self, stage: Stage) -> Reading:
        self._context.forget()
        url = self._url
        try:
            answer = await self._ask(url, stage)
        except Exception as error:
            host, port = str(url.host), url.port or PORTS["https"]
            await note_refused_end(stage, self._toolbox, error, host, port)
            raise
        note_end(stage, self._toolbox, self._context.certificate_ends_at())
        self._compare(answer)
        return Reading(Outcome.OK, latency_ms=answer.latency_ms, metrics=stage.metrics)

    async def _ask(self, url: URL, stage: Stage) -> Answer:
        headers, origin = self._headers, url.origin()
        body = self._options.body.encode() or None
        took = 0.0
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._http.ask(
                self._options.method, url, headers, body, lambda what: _tell(stage, what)
            )
            took += answer.latency_ms
            target = _redirection(answer, url) if self._follows else None
            if target is None:
                return Answer(answer.status, answer.headers, answer.body, answer.is_cut, took)
            url = target.with_user(None)
            if url.origin() != origin:
                headers = {}
        raise Misbehaved(f"it redirected more than {MAX_REDIRECTS} times")

    @property
    def _follows(self) -> bool:
        return self._options.follow_redirects and self._options.method in {"GET", "HEAD"}

    def _compare(self, answer: Answer) -> None:
        if not any(low <= answer.status <= high for low, high in self._statuses):
            expected = ", ".join(str(one) for one in self._options.expect_status)
            raise Misbehaved(f"answered {answer.status}, expected {expected}")
        for name, text in self._options.expect_header.items():
            if name not in answer.headers:
                raise Misbehaved(f"answered {answer.status} without the header {name}")
            if text not in answer.headers[name]:
                raise Misbehaved(f"answered {answer.status} with another {name} than expected")
        if not self._options.body_contains and self._pattern is None:
            return
        body = answer.body.decode(errors="replace")
        extent = "the first 64 KiB of the body" if answer.is_cut else "the body"
        if self._options.body_contains not in body:
            raise Misbehaved(f"answered {answer.status}, but {extent} lacks the expected text")
        if self._pattern is not None and self._pattern.search(body) is None:
            raise Misbehaved(f"answered {answer.status}, but {extent} does not match")


def _tell(stage: Stage, what: str) -> None:
    stage.waiting_for = what


def _range(status: int | str) -> tuple[int, int]:
    found = _STATUS.fullmatch(str(status).lower())
    if found is None:
        raise ConfigError(f"expect_status: expected a status, 2xx or 200-299, not '{status}'.")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return int(found[2]), int(found[3] or found[2])


def _compiled(pattern: str) -> "re2._Regexp":
    try:
        return re2.compile(pattern, _EXPRESSIONS)
    except re2.error:
        raise ConfigError("body_matches: RE2 cannot read this regular expression.") from None


def _redirection(answer: Answer, url: URL) -> URL | None:
    location = answer.headers.get("Location", "")
    if answer.status not in {301, 302, 303, 307, 308} or not location:
        return None
    try:
        target = URL(urljoin(str(url), location))
    except ValueError:
        target = URL()
    if target.scheme not in PORTS or not target.host:
        raise Misbehaved(f"answered {answer.status} with a Location that is no http(s) address")
    return target
