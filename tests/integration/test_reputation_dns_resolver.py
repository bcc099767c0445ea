"""One question over real sockets: what each way of answering becomes, and that time is kept."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import dns.flags
import dns.message
import dns.rrset
import pytest

from quarterdeck.core.errors import ConfigError
from quarterdeck.net.resolver import Answer, NameServer, Resolver
from reputation_world import (
    Answering,
    Chaos,
    chaos,
    nothing,
    resolver_of,
    servfail,
    silent,
    with_records,
)

NAME = "2.0.0.127.any.test."
Wire = Callable[[bytes], bytes]


def without_time(answer: Answer) -> tuple[str | None, list[str], int]:
    return answer.rcode, list(answer.records), answer.ttl_s


@asynccontextmanager
async def raw(reply: Wire) -> AsyncIterator[NameServer]:
    """A UDP server that sends what it is told, DNS or not."""

    class Replying(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(reply(data), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Replying, local_addr=("127.0.0.1", 0))
    yield NameServer("127.0.0.1", transport.get_extra_info("sockname")[1])
    transport.close()


async def test_records_and_the_shortest_time_that_they_may_be_repeated() -> None:
    def answering(query: dns.message.Message) -> dns.message.Message:
        answer = with_records(query, "127.0.0.4", "127.0.0.2", ttl=300)
        name = query.question[0].name
        answer.answer.append(dns.rrset.from_text("other.test.", 7, "IN", "A", "127.0.0.3"))
        answer.answer.append(dns.rrset.from_text(name, 1, "IN", "TXT", "not asked for"))
        return answer

    async with chaos(any=answering) as server:
        answer = await resolver_of(server.server).ask(NAME, "A")
    assert sorted(answer.records) == ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    assert (answer.rcode, answer.ttl_s) == ("NOERROR", 7)
    assert answer.took_ms > 0


@pytest.mark.parametrize(("ttl", "minimum", "kept"), [(60, 5, 5), (3, 900, 3)])
async def test_negative_answer_may_be_repeated_as_its_soa_says(
    ttl: int, minimum: int, kept: int
) -> None:
    def answering(query: dns.message.Message) -> dns.message.Message:
        answer = nothing(query)
        soa = f"ns.test. hostmaster.test. 1 2 3 4 {minimum}"
        answer.authority.append(dns.rrset.from_text("any.test.", ttl, "IN", "SOA", soa))
        return answer

    async with chaos(any=answering) as server:
        answer = await resolver_of(server.server).ask(NAME, "A")
    assert without_time(answer) == ("NXDOMAIN", [], kept)


async def test_long_text_comes_in_one_piece() -> None:
    def answering(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        text = '"listed, " "see https://x.test" "\\195\\164\\255"'
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", text))
        return answer

    async with chaos(any=answering) as server:
        answer = await resolver_of(server.server).ask(NAME, "TXT")
    assert list(answer.records) == ["listed, see https://x.testä\ufffd"]


async def test_names_are_asked_from_the_root_down_whatever_the_system_searches() -> None:
    async with chaos(any=nothing) as server:
        await resolver_of(server.server).ask(NAME.rstrip("."), "A")
    assert server.asked == [NAME]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def beside_tcp(serve: Serve, **behaviours: Answering) -> AsyncIterator[Chaos]:
    """One port for both: that of the datagrams may be another program's for streams."""
    async with AsyncExitStack() as stack:
        while True:
            server = await stack.enter_async_context(chaos(**behaviours))
            try:
                tcp = await asyncio.start_server(serve, "127.0.0.1", server.port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue  # the taken port stays ours, so the next one is another
            async with tcp:
                yield server
            return


async def test_what_does_not_fit_into_a_datagram_is_asked_for_over_tcp() -> None:
    many = [f"127.0.1.{number}" for number in range(1, 201)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(length))
        wire = with_records(query, *many).to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        writer.close()

    def truncated(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return answer

    async with beside_tcp(serve, any=truncated) as server:
        answer = await resolver_of(server.server).ask(NAME, "A")
    assert answer.rcode == "NOERROR"
    assert sorted(answer.records) == sorted(many)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"HTTP/1.0 400 Bad Request\r\n\r\n", id="not DNS"),
        pytest.param(lambda query: query[:5], id="cut"),
        pytest.param(lambda query: b"\0\0" + query[2:], id="another id"),
        pytest.param(lambda query: query, id="the question"),
    ],
)
async def test_what_is_no_answer_is_never_taken_for_one(reply: Wire) -> None:
    async with raw(reply) as server:
        answer = await resolver_of(server, try_s=0.2, total_s=0.5).ask(NAME, "A")
    assert (answer.rcode in {"SERVFAIL", None}, list(answer.records)) == (True, [])


async def test_each_server_is_asked_twice_at_most_and_the_first_that_knows_is_believed() -> None:
    async with chaos(any=servfail) as broken, chaos(any=silent) as deaf, chaos(any=nothing) as good:
        resolver = resolver_of(broken.server, deaf.server, good.server, try_s=0.2)
        assert (await resolver.ask(NAME, "A")).rcode == "NXDOMAIN"
        assert [len(each.asked) for each in (broken, deaf, good)] == [1, 1, 1]
        resolver = resolver_of(broken.server, deaf.server, try_s=0.2)
        assert (await resolver.ask(NAME, "A")).rcode == "SERVFAIL"
        assert [len(each.asked) for each in (broken, deaf)] == [3, 3]


async def test_answer_that_comes_at_the_second_try_counts() -> None:
    tries = 0

    def lost_once(query: dns.message.Message) -> dns.message.Message | None:
        nonlocal tries
        tries += 1
        return None if tries == 1 else with_records(query, "127.0.0.2")

    async with chaos(any=lost_once) as server:
        answer = await resolver_of(server.server, try_s=0.2).ask(NAME, "A")
    assert list(answer.records) == ["127.0.0.2"]


async def test_nobody_answers_where_nobody_is_asked() -> None:
    assert (await Resolver([]).ask(NAME, "A")).rcode is None


@pytest.mark.parametrize("name", ["a" * 64 + ".test.", "a..test.", ".".join(["a" * 60] * 5)])
async def test_what_is_no_name_is_an_error_and_asked_of_nobody(name: str) -> None:
    async with chaos(any=nothing) as server:
        assert (await resolver_of(server.server).ask(name, "A")).rcode == "FORMERR"
        assert server.asked == []


async def test_many_cancelled_questions_leave_no_socket_open() -> None:
    async with chaos(any=silent) as server:
        resolver = resolver_of(server.server)
        asking = [asyncio.create_task(resolver.ask(NAME, "A")) for _ in range(50)]
        async with asyncio.timeout(30):
            while len(server.asked) < 50:
                await asyncio.sleep(0.01)
        for each in asking:
            each.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", NameServer("192.0.2.53")),
        (" 192.0.2.53:5353", NameServer("192.0.2.53", 5353)),
        ("2001:db8::53", NameServer("2001:db8::53")),
        ("[2001:db8::53]", NameServer("2001:db8::53")),
        ("[2001:db8::53]:5353", NameServer("2001:db8::53", 5353)),
    ],
)
def test_server_is_read(text: str, server: NameServer) -> None:
    assert NameServer.parse(text, "reputation.nameservers") == server


@pytest.mark.parametrize(
    "text",
    [
        "", "ns1.test", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:65536", "[2001:db8::53]5353",
        "[::1", "192.0.2.53:dns",
    ],
)  # fmt: skip
def test_what_is_no_server_is_refused_with_the_setting_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"reputation\.nameservers: expected the address of a"):
        NameServer.parse(text, "reputation.nameservers")
