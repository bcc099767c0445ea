"""Look-ups against real DNS servers: every trap that made some tool say `clean` or `listed`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address

import dns.message
import pytest

from quarterdeck.net.resolver import NameServer
from quarterdeck.reputation.checker import AT_ONCE, OF_A_ZONE, Checker
from quarterdeck.reputation.gate import check_zone
from quarterdeck.reputation.lookups import look_up
from quarterdeck.reputation.model import AnswerState, BlockList, SendingAddress
from reputation_world import (
    SOA,
    Chaos,
    Rbldnsd,
    always,
    block_list,
    chaos,
    listing,
    nodata,
    nothing,
    rbldnsd,
    resolver_of,
    servfail,
    silent,
    unbound,
    with_records,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BAD, GOOD = ip_address("192.0.2.66"), ip_address("192.0.2.10")
BAD_V6, GOOD_V6 = ip_address("2001:db8:bad::25"), ip_address("2001:db8:900d::25")

SBL = SOA + ":127.0.0.2:https://check.test/query/ip/$\n127.0.0.2\n192.0.2.66\n"
XBL = SOA + ":127.0.0.4:infected\n127.0.0.2\n192.0.2.66\n"
V6 = SOA + ":127.0.0.2:https://check.test/query/ip/$\n2001:db8:bad::/64\n"

FILES = {
    "sbl": SBL,
    "xbl": XBL,
    "v6": V6,
    "everybody": SOA + ":127.255.255.254:Error: open resolver\n0.0.0.0/0\n",
    "world": SOA + ":127.0.0.2:all of you\n0.0.0.0/0\n",
    "parked": SOA + ":203.0.113.80:for sale\n0.0.0.0/0\n",
    "emptied": SOA + ":127.0.0.2:gone\n198.51.100.250\n",
    "refuse": "127.0.0.0/8 :refuse\n",
    "ignore": "127.0.0.0/8 :ignore\n",
}
ZONES = {
    "zen.test": ["ip4set:sbl", "ip4set:xbl", "ip6trie:v6"],
    "ok.test": ["ip4set:sbl"],
    "public.test": ["ip4trie:everybody"],
    "wild.test": ["ip4trie:world"],
    "parked.test": ["ip4trie:parked"],
    "empty.test": ["ip4set:emptied"],
    "refuse.test": ["acl:refuse", "ip4set:sbl"],
    "ignore.test": ["acl:ignore", "ip4set:sbl"],
}


@pytest.fixture(scope="module")
def lists() -> Iterator[Rbldnsd]:
    with rbldnsd(FILES, ZONES) as server:
        yield server


def zen(**changes: object) -> BlockList:
    return block_list("zen.test", has_v6=True, test_listed_v6=("::ffff:7f00:2",), **changes)


@pytest.fixture
async def odd() -> AsyncIterator[Chaos]:
    async with chaos(silent=silent, broken=servfail, nodata=nodata, none=nothing) as server:
        yield server


async def test_listed_with_all_its_codes_and_the_reason(lists: Rbldnsd) -> None:
    found = await look_up(resolver_of(lists.server), zen(), BAD, NOW)
    assert found.state is AnswerState.LISTED
    assert list(found.codes) == ["127.0.0.2", "127.0.0.4"]
    assert list(found.sub_lists) == ["sbl", "xbl"]
    assert found.reason is not None
    assert "https://check.test/query/ip/192.0.2.66" in found.reason
    assert found.ttl_s == 5


@pytest.mark.parametrize(
    ("address", "state"),
    [
        (GOOD, AnswerState.CLEAN), (BAD_V6, AnswerState.LISTED), (GOOD_V6, AnswerState.CLEAN),
        (ip_address("2001:db8:bad::"), AnswerState.LISTED),
    ],
)  # fmt: skip
async def test_addresses_of_both_kinds_are_told_apart(
    lists: Rbldnsd, address: object, state: AnswerState
) -> None:
    assert (await look_up(resolver_of(lists.server), zen(), address, NOW)).state is state  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "state", "problem"),
    [
        ("zen.test", AnswerState.LISTED, None),
        ("ok.test", AnswerState.LISTED, None),
        ("public.test", AnswerState.BLOCKED, "does not serve this resolver"),
        ("wild.test", AnswerState.LISTED, "it lists the world"),
        ("parked.test", AnswerState.BOGUS, "does not document"),
        ("empty.test", AnswerState.CLEAN, "emptied"),
        ("refuse.test", AnswerState.ERROR, "answer with an error"),
        ("ignore.test", AnswerState.TIMEOUT, "nobody answers in time"),
    ],
)
async def test_zone_is_tested_before_it_is_believed(
    lists: Rbldnsd, zone: str, state: AnswerState, problem: str | None
) -> None:
    resolver = resolver_of(lists.server, try_s=0.3, total_s=0.6)
    asked = block_list(zone)
    assert (await look_up(resolver, asked, BAD, NOW)).state is state
    health = await check_zone(resolver, asked, NOW)
    assert health.is_healthy is (problem is None)
    assert (problem or "") in (health.problem or "")


@pytest.mark.parametrize(
    ("zone", "state"),
    [
        ("silent.test", AnswerState.TIMEOUT),
        ("broken.test", AnswerState.ERROR),
        ("nodata.test", AnswerState.NODATA),
        ("none.test", AnswerState.CLEAN),
        ("unknown.test", AnswerState.ERROR),
    ],
)
async def test_only_a_missing_name_is_clean(odd: Chaos, zone: str, state: AnswerState) -> None:
    resolver = resolver_of(odd.server, try_s=0.2, total_s=0.5)
    assert (await look_up(resolver, block_list(zone), BAD, NOW)).state is state
    assert not (await check_zone(resolver, block_list(zone), NOW)).is_healthy


@pytest.mark.parametrize(
    ("records", "state"),
    [
        (("127.0.0.1",), AnswerState.BOGUS),
        (("127.0.0.99",), AnswerState.BOGUS),
        (("192.0.2.1",), AnswerState.BOGUS),
        (("127.0.0.2", "127.0.0.99"), AnswerState.BOGUS),
        (("127.255.255.252",), AnswerState.BLOCKED),
        (("127.0.0.2", "127.255.255.255"), AnswerState.BLOCKED),
        (("127.0.0.4", "127.0.0.2", "127.0.0.10"), AnswerState.LISTED),
    ],
)
async def test_answers_are_compared_with_what_the_list_documents(
    records: tuple[str, ...], state: AnswerState
) -> None:
    async with chaos(any=always(*records)) as server:
        found = await look_up(resolver_of(server.server), block_list("any.test"), BAD, NOW)
    assert found.state is state
    assert set(found.codes) == set(records)


async def test_alias_of_a_listing_is_a_listing() -> None:
    def alias(query: dns.message.Message) -> dns.message.Message:
        answer = with_records(query, "127.0.0.2")
        name = query.question[0].name
        target = dns.name.from_text("listed.elsewhere.test.")
        answer.answer = [
            dns.rrset.from_text(name, 5, "IN", "CNAME", str(target)),
            dns.rrset.from_text(target, 5, "IN", "A", "127.0.0.2"),
        ]
        return answer

    async with chaos(any=alias) as server:
        found = await look_up(resolver_of(server.server), block_list("any.test"), BAD, NOW)
    assert found.state is AnswerState.LISTED


async def test_second_server_is_asked_when_the_first_is_silent_or_broken(lists: Rbldnsd) -> None:
    async with chaos(ok=silent) as first, chaos(ok=servfail) as second:
        resolver = resolver_of(first.server, second.server, lists.server, try_s=0.2)
        assert (await look_up(resolver, block_list("ok.test"), BAD, NOW)).state.is_verdict
    nobody = NameServer("127.0.0.1", 9)
    resolver = resolver_of(nobody, lists.server, try_s=0.2)
    assert (await look_up(resolver, block_list("ok.test"), BAD, NOW)).state is AnswerState.LISTED


async def test_silence_costs_our_deadline_and_no_more() -> None:
    async with chaos(slow=listing()) as server:
        server.delay_s = 30
        resolver = resolver_of(server.server, try_s=0.2, total_s=0.3)
        begun = time.monotonic()
        found = await look_up(resolver, block_list("slow.test"), BAD, NOW)
    assert found.state is AnswerState.TIMEOUT
    assert time.monotonic() - begun < 20


async def test_key_of_a_zone_is_in_nothing_that_is_shown() -> None:
    def telling(query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype == 16:
            answer = dns.message.make_response(query)
            text = '"see https://x.test/?zone=s3cret.dq.test&k=S3CRET\\009\\027[31m"'
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", text))
            return answer
        return with_records(query, "127.0.0.2")

    keyed = block_list("s3cret.dq.test", id="keyed", key="s3cret")
    async with chaos(dq=telling) as server:
        found = await look_up(resolver_of(server.server), keyed, BAD, NOW)
    assert found.reason == "see https://x.test/?zone=(keyed)&k=(key) [31m"
    assert "s3cret" not in repr(found)


# Through a resolver


async def test_resolver_that_filters_is_caught_by_the_test_point(lists: Rbldnsd) -> None:
    with unbound({"ok.test": lists.port}) as plain:
        health = await check_zone(resolver_of(plain), block_list("ok.test"), NOW)
        assert (health.is_healthy, health.problem) == (True, None)
        found = await look_up(resolver_of(plain), block_list("ok.test"), BAD, NOW)
        assert found.state is AnswerState.LISTED
    filtering = "private-address: 127.0.0.0/8"
    with unbound({"ok.test": lists.port}, filtering) as server:
        found = await look_up(resolver_of(server), block_list("ok.test"), BAD, NOW)
        assert found.state is AnswerState.NODATA
        health = await check_zone(resolver_of(server), block_list("ok.test"), NOW)
        assert "private-address" in (health.problem or "")


async def test_resolver_turns_a_refusal_into_an_error(lists: Rbldnsd) -> None:
    with unbound({"ok.test": lists.port, "refuse.test": lists.port}) as server:
        found = await look_up(resolver_of(server), block_list("refuse.test"), BAD, NOW)
    assert found.state in {AnswerState.ERROR, AnswerState.TIMEOUT}


# Live


async def test_listing_and_delisting_are_seen_as_they_happen() -> None:
    with rbldnsd({"live": SBL}, {"live.test": ["ip4set:live"]}) as server:
        asked, resolver = block_list("live.test"), resolver_of(server.server)

        async def becomes(state: AnswerState) -> None:
            async with asyncio.timeout(30):
                while (await look_up(resolver, asked, GOOD, NOW)).state is not state:
                    await asyncio.sleep(0.05)

        await becomes(AnswerState.CLEAN)
        server.write("live", SBL + "192.0.2.10\n")
        await becomes(AnswerState.LISTED)
        server.write("live", SBL)
        await becomes(AnswerState.CLEAN)


# Rounds


def sending(*addresses: str) -> list[SendingAddress]:
    return [SendingAddress(ip_address(each)) for each in addresses]


async def test_round_asks_lists_that_work_and_says_what_is_wrong_with_the_others(
    lists: Rbldnsd,
) -> None:
    asked = [zen(), block_list("public.test"), block_list("empty.test")]
    checker = Checker(asked, resolver_of(lists.server, try_s=0.3, total_s=0.6))
    report = await checker.check(sending(str(BAD), str(GOOD), str(BAD_V6)), NOW)
    assert {zone.list_id: zone.is_healthy for zone in report.zones} == {
        "zen": True, "public": False, "empty": False,
    }  # fmt: skip
    assert {(each.address, each.state) for each in report.lookups} == {
        (BAD, AnswerState.LISTED), (GOOD, AnswerState.CLEAN), (BAD_V6, AnswerState.LISTED),
    }  # fmt: skip
    assert {each.address for each in report.identities} == {BAD, GOOD, BAD_V6}
    # This server answers nothing about names: unknown, not `no name`.
    assert {each.has_ptr for each in report.identities} == {None}


async def test_no_list_is_asked_more_than_its_share_at_once() -> None:
    now = most = 0
    of_zone: dict[str, int] = {}
    most_of_zone = 0

    class Counting:
        async def ask(self, name: str, kind: str) -> object:
            nonlocal now, most, most_of_zone
            zone = name.rstrip(".").split(".")[-2]
            now += 1
            of_zone[zone] = of_zone.get(zone, 0) + 1
            most, most_of_zone = max(most, now), max(most_of_zone, of_zone[zone])
            await asyncio.sleep(0.001)
            now -= 1
            of_zone[zone] -= 1
            from quarterdeck.net.resolver import Answer

            is_point = name.startswith("2.0.0.127.")
            return Answer("NOERROR", ["127.0.0.2"]) if is_point else Answer("NXDOMAIN")

    lists = [block_list(f"z{number}.test") for number in range(8)]
    checker = Checker(lists, Counting())  # type: ignore[arg-type]
    many = sending(*(f"198.51.100.{n}" for n in range(100)))
    zones = await checker.zones(NOW)
    found = [each async for each in checker.lookups(many, zones, NOW)]
    assert len(found) == 800
    assert most <= AT_ONCE
    assert most_of_zone <= OF_A_ZONE


async def test_round_that_is_cancelled_leaves_nothing_behind() -> None:
    async with chaos(slow=listing()) as server:
        server.delay_s = 30
        checker = Checker([block_list("slow.test")], resolver_of(server.server))
        task = asyncio.create_task(checker.check(sending(str(BAD)), NOW))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
