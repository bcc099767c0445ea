"""The WSGI middleware, called as a server would."""

import io
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from quarterdeck.contrib.wsgi import Environ, QuarterdeckMiddleware, StartResponse
from unit.telemetry.test_middleware_asgi import Records, records

__all__ = ["records"]


class Pieces:
    """A body that tells what is done to it, and breaks where it is told to."""

    def __init__(self, *pieces: bytes, breaks: bool = False, close_breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks, self.close_breaks = breaks, close_breaks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.breaks:
            raise LookupError("broken")

    def close(self) -> None:
        self.is_closed = True
        if self.close_breaks:
            raise LookupError("broken")


def wrapped(body: Iterable[bytes], status: str = "200 OK") -> QuarterdeckMiddleware:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain")])
        return body

    return QuarterdeckMiddleware(app, token="t")


def served(app: QuarterdeckMiddleware, environ: Environ | None = None) -> tuple[bytes, str]:
    """As a server does."""
    given: list[Any] = []

    def start_response(*arguments: Any) -> Any:
        given.append(arguments)
        return io.BytesIO().write

    body = app(environ or {}, start_response)
    try:
        return b"".join(body), given[0][0]
    finally:
        if hasattr(body, "close"):
            body.close()


def test_response_is_measured_when_it_is_closed(records: Records) -> None:
    body = Pieces(b"a", b"b")
    response = wrapped(body, "201 Created")({}, lambda *_: None)
    assert list(response) == [b"a", b"b"]
    assert records.found == []
    response.close()  # type: ignore[attr-defined] # servers ask whether it has one
    response.close()  # type: ignore[attr-defined]
    assert records.statuses == [201]
    assert body.is_closed


def test_exception_of_the_application_is_a_failure_and_goes_on(records: Records) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        served(QuarterdeckMiddleware(app, token="t"))
    assert records.statuses == [500]


@pytest.mark.parametrize("where", ["breaks", "close_breaks"])
def test_exception_of_the_body_is_a_failure_and_goes_on(records: Records, where: str) -> None:
    body = Pieces(b"a", **{where: True})
    with pytest.raises(LookupError, match="broken"):
        served(wrapped(body))
    assert records.statuses == [500]
    assert body.is_closed


def test_response_that_is_never_closed_is_one_of_a_client_that_has_gone(records: Records) -> None:
    response = wrapped(Pieces(b"a"))({}, lambda *_: None)
    del response
    assert records.statuses == [499]


def test_list_keeps_its_length(records: Records) -> None:
    response = wrapped([b"abc"])({}, lambda *_: None)
    assert len(response) == 1  # type: ignore[arg-type] # servers ask
    assert not hasattr(wrapped(Pieces(b"a"))({}, lambda *_: None), "__len__")


@pytest.mark.parametrize(
    ("line", "status"), [("404 Not Found", 404), ("599", 599), ("", 500), ("x", 500)]
)
def test_status_is_the_lines_number(records: Records, line: str, status: int) -> None:
    served(wrapped([b""], line))
    assert records.statuses == [status]


def test_write_and_exc_info_are_passed_on(records: Records) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert start_response("200 OK", [])(b"early") == 5
        start_response("503 Busy", [], None)
        return []

    assert served(QuarterdeckMiddleware(app, token="t")) == (b"", "200 OK")
    assert records.statuses == [503]


def test_servers_file_wrapper_stays_and_is_measured(records: Records) -> None:
    file = io.BytesIO(b"content")
    wrapper = FileWrapper(file)
    environ: Environ = {"wsgi.file_wrapper": FileWrapper}
    response = wrapped(wrapper)(environ, lambda *_: None)
    assert response is wrapper
    assert b"".join(response) == b"content"
    assert records.found == []
    response.close()
    assert records.statuses == [200]
    assert file.closed


def test_file_wrapper_that_takes_no_attributes_is_measured_at_once(records: Records) -> None:
    class Sealed:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            yield b"content"

    sealed = Sealed()
    assert wrapped(sealed)({"wsgi.file_wrapper": Sealed}, lambda *_: None) is sealed
    assert records.statuses == [200]


def test_middleware_keeps_to_the_protocol(records: Records) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]

    inner: Any = validator(app)
    outer: Any = validator(QuarterdeckMiddleware(inner, token="t"))
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(), "wsgi.multithread": False, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }  # fmt: skip
    assert served(outer, environ) == (b"fine", "200 OK")
    assert records.statuses == [200]
