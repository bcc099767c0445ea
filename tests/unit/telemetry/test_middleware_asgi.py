"""The ASGI middleware, called as a server would."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from quarterdeck.contrib.asgi import Message, QuarterdeckMiddleware, Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
HTTP: Scope = {"type": "http"}


class Client:
    """What a server gives an application; `gone_after` messages it is gone."""

    def __init__(self, gone_after: int = 100) -> None:
        self.sent: list[Message] = []
        self.gone_after = gone_after

    async def receive(self) -> Message:
        return {"type": "http.disconnect" if self.gone_after == 0 else "http.request"}

    async def send(self, message: Message) -> None:
        if len(self.sent) >= self.gone_after:
            raise OSError("connection lost")
        self.sent.append(message)


class Records:
    """Takes the place of a meter's ledger: nothing is sent."""

    def __init__(self) -> None:
        self.found: list[tuple[float, int]] = []

    def record(self, seconds: float, status: int) -> None:
        self.found.append((seconds, status))

    @property
    def statuses(self) -> list[int]:
        return [status for _, status in self.found]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    records = Records()
    monkeypatch.setattr(
        "quarterdeck.contrib.metrics.Meter.record", lambda _, *given: records.record(*given)
    )
    yield records
    assert all(seconds >= 0 for seconds, _ in records.found)


def wrapped(app: Application) -> QuarterdeckMiddleware:
    return QuarterdeckMiddleware(app, token="t")


def start(status: int = 200, **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [], **more}


def body(more: bool = False) -> Message:
    return {"type": "http.response.body", "body": b"x", "more_body": more}


async def test_response_is_measured_at_its_last_byte(records: Records) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201))
        await send(body(more=True))
        seen.append(list(records.statuses))
        await send({"type": "http.response.body"})
        seen.append(list(records.statuses))
        await receive()  # a background task: no part of the response

    client = Client()
    await wrapped(app)(HTTP, client.receive, client.send)
    assert seen == [[], [201]]
    assert records.statuses == [201]
    assert len(client.sent) == 3


@pytest.mark.parametrize("started", [False, True], ids=["before_start", "midway"])
async def test_exception_is_a_failure_and_goes_on(records: Records, started: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send(start(200))
            await send(body(more=True))
        raise LookupError("broken")

    client = Client()
    with pytest.raises(LookupError, match="broken"):
        await wrapped(app)(HTTP, client.receive, client.send)
    assert records.statuses == [500]


async def test_exception_after_the_response_changes_nothing(records: Records) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(204))
        await send(body())
        raise LookupError("in a background task")

    client = Client()
    with pytest.raises(LookupError):
        await wrapped(app)(HTTP, client.receive, client.send)
    assert records.statuses == [204]


async def test_application_that_answers_nothing_has_failed(records: Records) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    client = Client()
    await wrapped(app)(HTTP, client.receive, client.send)
    assert records.statuses == [500]


async def test_client_that_goes_is_no_failure(records: Records) -> None:
    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(9):
            await send(body(more=True))

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] == "http.disconnect":
            raise RuntimeError("client disconnected")

    with pytest.raises(OSError, match="connection lost"):
        await wrapped(streaming)(HTTP, Client(3).receive, Client(3).send)
    gone = Client(0)
    with pytest.raises(RuntimeError):
        await wrapped(reading)(HTTP, gone.receive, gone.send)
    assert records.statuses == [499, 499]


async def test_cancelled_request_is_no_failure(records: Records) -> None:
    is_in = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_in.set()
        await asyncio.Event().wait()

    client = Client()
    task = asyncio.create_task(wrapped(app)(HTTP, client.receive, client.send))
    await is_in.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records.statuses == [499]


@pytest.mark.parametrize(
    "last",
    [[body(), {"type": "http.response.trailers", "headers": []}],
     [{"type": "http.response.pathsend", "path": "/x"},
      {"type": "http.response.trailers", "headers": [], "more_trailers": False}]],
    ids=["body", "file"],
)  # fmt: skip
async def test_trailers_end_a_response_that_has_them(records: Records, last: list[Message]) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(trailers=True))
        for message in last:
            seen.append(len(records.found))
            await send(message)
        seen.append(len(records.found))

    client = Client()
    await wrapped(app)(HTTP, client.receive, client.send)
    assert seen == [0, 0, 1]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_connections_pass_untouched(records: Records, kind: str) -> None:
    given: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given.extend([scope, receive, send])

    client = Client()
    scope: Scope = {"type": kind}
    receive, send = client.receive, client.send
    await wrapped(app)(scope, receive, send)
    assert given[0] is scope
    assert given[1:] == [receive, send]
    assert records.found == []
