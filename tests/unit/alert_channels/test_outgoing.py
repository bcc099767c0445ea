"""The POST client against a real server."""

from collections.abc import AsyncIterator

import pytest

from contract.alert_channels.receivers import Conduct, HttpReceiver, http_receiver
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.net.outgoing import MAX_ANSWER, PostClient


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as opened:
        yield opened


@pytest.fixture
async def client(receiver: HttpReceiver) -> AsyncIterator[PostClient]:
    made = PostClient(f"http://user:s3cret@127.0.0.1:{receiver.port}/s3cret", "here", 5)
    yield made
    await made.close()


async def test_body_and_headers_arrive_as_given(client: PostClient, receiver: HttpReceiver) -> None:
    receiver.status, receiver.answer, receiver.headers = 418, b"tea", {"Retry-After": "3"}
    answer = await client.post(b"\x00body", {"X-A": "b"})
    assert (answer.status, answer.body, answer.retry_after) == (418, b"tea", "3")
    [got] = receiver.received
    assert (got.body, got.headers["x-a"]) == (b"\x00body", "b")
    assert got.headers["content-length"] == "5"
    assert got.headers["connection"] == "close"


@pytest.mark.parametrize("status", [200, 500])
async def test_endless_answer_is_read_to_the_limit(
    client: PostClient, receiver: HttpReceiver, status: int
) -> None:
    receiver.conduct, receiver.status = Conduct.FLOOD, status
    answer = await client.post(b"", {})
    assert (answer.status, len(answer.body)) == (status, MAX_ANSWER)
    await receiver.wait_present(0)


async def test_packed_answer_is_not_unpacked(client: PostClient, receiver: HttpReceiver) -> None:
    receiver.headers, receiver.answer = {"Content-Encoding": "gzip"}, b"no gzip at all"
    assert (await client.post(b"", {})).body == b"no gzip at all"


async def test_redirect_is_an_answer(client: PostClient, receiver: HttpReceiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": "/elsewhere"}
    assert (await client.post(b"", {})).status == 302
    assert len(receiver.received) == 1


async def test_reset_is_told_by_host_only(client: PostClient, receiver: HttpReceiver) -> None:
    receiver.conduct = Conduct.RESET
    with pytest.raises(SourceUnavailable) as failed:
        await client.post(b"", {})
    assert failed.value.source == "127.0.0.1"
    assert failed.value.message == "Cannot send to 127.0.0.1: it broke the connection off."


async def test_host_that_speaks_no_tls_is_told_apart(receiver: HttpReceiver) -> None:
    client = PostClient(f"https://127.0.0.1:{receiver.port}/s3cret", "here", 5)
    with pytest.raises(SourceUnavailable, match="it does not speak TLS there"):
        await client.post(b"", {})
    await client.close()


async def test_large_body_arrives(client: PostClient, receiver: HttpReceiver) -> None:
    await client.post(b"x" * 3_000_000, {})
    assert len(receiver.received[0].body) == 3_000_000


@pytest.mark.parametrize("url", ["", "s3cret", "mailto:s3cret", "http://", "http://h:x/s3cret"])
def test_address_that_is_none_is_refused_without_it(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PostClient(url, "alerts.channels 'x': url")
    assert refused.value.message == (
        "alerts.channels 'x': url: expected an http:// or https:// address."
    )
