"""What made other tools cry wolf or sleep: half-broken lists, lies that pass, and our own names."""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from quarterdeck.reputation.checker import Checker
from quarterdeck.reputation.gate import check_zone
from quarterdeck.reputation.identity import identify
from quarterdeck.reputation.lookups import LONGEST_REASON, look_up
from quarterdeck.reputation.model import AnswerState, SendingAddress
from reputation_world import (
    SOA,
    Answering,
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
LISTED, CLEAN = AnswerState.LISTED, AnswerState.CLEAN
POINT, CLEAN_POINT = "2.0.0.127.", "1.0.0.127."
V6_POINT = "2.0.0.0.0.0.f.7.f.f.f.f."


def by_name(answers: dict[str, Answering], otherwise: Answering = nothing) -> Answering:
    """Answers by how the name begins."""

    def answering(query: dns.message.Message) -> dns.message.Message | None:
        name = query.question[0].name.to_text()
        found = (answer for prefix, answer in answers.items() if name.startswith(prefix))
        return next(found, otherwise)(query)

    return answering


def in_turn(*answers: Answering) -> Answering:
    """The next answer at each question; the last for ever."""
    left = list(answers)

    def answering(query: dns.message.Message) -> dns.message.Message | None:
        return (left.pop(0) if len(left) > 1 else left[0])(query)

    return answering


def sending(addresses: Iterable[object]) -> list[SendingAddress]:
    return [SendingAddress(ip_address(str(each))) for each in addresses]


# Test points


@pytest.mark.parametrize(
    ("clean_point", "problem"),
    [
        (always("127.0.0.2"), "it lists the world"),
        (always("203.0.113.80"), "it lists the world"),
        (always("127.255.255.255"), "does not serve this resolver"),
        (nodata, "private-address"),
        (servfail, "answer with an error"),
        (silent, "nobody answers in time"),
    ],
)
async def test_list_must_also_say_that_something_is_clean(
    clean_point: Answering, problem: str
) -> None:
    behaviour = by_name({POINT: always("127.0.0.2"), CLEAN_POINT: clean_point})
    async with chaos(any=behaviour) as server:
        resolver = resolver_of(server.server, try_s=0.2, total_s=0.5)
        asked = block_list("any.test", policy="free {for} all")
        health = await check_zone(resolver, asked, NOW)
    assert not health.is_healthy
    assert problem in (health.problem or "")
    assert "{policy}" not in (health.problem or "")


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({POINT: always("127.0.0.2"), V6_POINT: always("127.0.0.2")}, None),
        ({POINT: always("127.0.0.2")}, "asked for IPv6: its test entry is missing"),
        (
            {
                POINT: always("127.0.0.2"), V6_POINT: always("127.0.0.2"),
                "1.0.0.0.0.0.f.7.": always("127.0.0.2"),
            },
            "asked for IPv6: it lists an address that no list does",
        ),
    ],
)  # fmt: skip
async def test_ipv6_half_of_a_list_is_tested_by_itself(
    answers: dict[str, Answering], problem: str | None
) -> None:
    async with chaos(any=by_name(answers)) as server:
        asked = block_list("any.test", has_v6=True, test_listed_v6=("::ffff:7f00:2",))
        health = await check_zone(resolver_of(server.server), asked, NOW)
        assert len(set(server.asked)) == 4
    assert health.is_healthy is (problem is None)
    assert (problem or "") in (health.problem or "")


async def test_error_code_at_the_test_point_is_not_health() -> None:
    async with chaos(any=by_name({POINT: always("127.0.0.2", "127.255.255.252")})) as server:
        health = await check_zone(resolver_of(server.server), block_list("any.test"), NOW)
    assert "does not serve this resolver" in (health.problem or "")


# Lies that pass


async def test_answer_given_once_is_told_as_it_was_and_not_remembered() -> None:
    """Whether it is believed is for who judges; a look-up says what it saw."""
    once = in_turn(always("127.0.0.2"), always("127.0.0.2"), nothing)
    async with chaos(any=by_name({"66.": once})) as server:
        asked, resolver = block_list("any.test"), resolver_of(server.server)
        states = [(await look_up(resolver, asked, BAD, NOW)).state for _ in range(3)]
    assert states == [LISTED, CLEAN, CLEAN]


async def test_flapping_list_is_told_as_it_flaps() -> None:
    answers = (servfail, nothing, servfail, servfail, always("127.0.0.2"))
    async with chaos(any=in_turn(*answers)) as server:
        resolver = resolver_of(server.server)
        states = [(await look_up(resolver, block_list("any.test"), BAD, NOW)).state for _ in "abc"]
    # The first error is asked over again; two in a row are an error.
    assert states == [CLEAN, AnswerState.ERROR, LISTED]


async def test_listing_without_words_is_a_listing() -> None:
    async with chaos(any=in_turn(always("127.0.0.2"), silent)) as server:
        resolver = resolver_of(server.server, try_s=0.1, total_s=0.3)
        found = await look_up(resolver, block_list("any.test"), BAD, NOW)
    assert (found.state, found.reason) == (LISTED, None)


@pytest.mark.parametrize("state", [nothing, nodata, servfail, always("127.255.255.254")])
async def test_only_of_a_listing_the_reason_is_asked_for(state: Answering) -> None:
    kinds = []

    def noting(query: dns.message.Message) -> dns.message.Message | None:
        kinds.append(query.question[0].rdtype)
        return state(query)

    async with chaos(any=noting) as server:
        await look_up(resolver_of(server.server), block_list("any.test"), BAD, NOW)
    assert set(kinds) == {dns.rdatatype.A}


async def test_foreign_words_are_cut_and_the_zone_is_taken_out_in_any_case() -> None:
    def telling(query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype == dns.rdatatype.A:
            return with_records(query, "127.0.0.2")
        answer = dns.message.make_response(query)
        words = f'"ask S3CRET.any.TEST {"x" * 200}" "{"y" * 250}" "{"z" * 250}"'
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", words))
        return answer

    async with chaos(any=telling) as server:
        asked = block_list("s3cret.any.test", id="keyed")
        found = await look_up(resolver_of(server.server), asked, BAD, NOW)
    assert (found.reason or "").startswith("ask (keyed) xxx")
    assert len(found.reason or "") == LONGEST_REASON


# Rounds


async def test_silent_list_does_not_hold_up_its_neighbours() -> None:
    """The list answers its test entries and falls silent then, so that it passes the gate."""
    falling_silent = by_name({POINT: always("127.0.0.2"), CLEAN_POINT: nothing}, otherwise=silent)
    many = sending(f"198.51.100.{number}" for number in range(40))
    async with chaos(deaf=falling_silent, good=listing()) as server:
        lists = [block_list("deaf.test"), block_list("good.test")]
        checker = Checker(lists, resolver_of(server.server, try_s=0.2, total_s=0.4))
        zones = await checker.zones(NOW)
        order = [each async for each in checker.lookups(many, zones, NOW)]
    assert all(zone.is_healthy for zone in zones)
    assert [each.list_id for each in order[:40]].count("good") >= 30
    states = {(each.list_id, each.state) for each in order}
    assert states == {("good", CLEAN), ("deaf", AnswerState.TIMEOUT)}
    assert len(order) == 80


async def test_silent_list_behind_a_resolver_does_not_make_others_fail() -> None:
    zones = {"good.test": ["ip4set:good"], "deaf.test": ["acl:ignore", "ip4set:good"]}
    files = {"good": SOA + "127.0.0.2\n192.0.2.66\n", "ignore": "127.0.0.0/8 :ignore\n"}
    with (
        rbldnsd(files, zones) as server,
        unbound({"good.test": server.port, "deaf.test": server.port}) as resolver,
    ):
        lists = [block_list("deaf.test"), block_list("good.test")]
        checker = Checker(lists, resolver_of(resolver, try_s=0.5, total_s=1.0))
        begun = time.monotonic()
        report = await checker.check(sending([BAD, GOOD]), NOW)
    assert {zone.list_id: zone.is_healthy for zone in report.zones} == {"deaf": False, "good": True}
    assert {(each.address, each.state) for each in report.lookups} == {(BAD, LISTED), (GOOD, CLEAN)}
    assert time.monotonic() - begun < 20


async def test_round_about_nothing_and_round_of_nobody_end() -> None:
    async with chaos(good=listing()) as server:
        resolver = resolver_of(server.server)
        report = await Checker([block_list("good.test")], resolver).check([], NOW)
        assert ([zone.is_healthy for zone in report.zones], list(report.lookups)) == ([True], [])
        assert (await Checker([], resolver).check(sending([BAD]), NOW)).zones == []


async def test_answers_are_made_as_they_are_taken() -> None:
    """Who reads slowly is not flooded: ten thousand addresses wait outside."""
    asked = 0

    def counting(query: dns.message.Message) -> dns.message.Message:
        nonlocal asked
        asked += 1
        return nothing(query)

    network = (f"10.0.{high}.{low}" for high in range(40) for low in range(1, 251))
    answering = by_name({POINT: always("127.0.0.2"), CLEAN_POINT: nothing}, otherwise=counting)
    async with chaos(good=answering) as server:
        checker = Checker([block_list("good.test")], resolver_of(server.server))
        stream = checker.lookups(sending(network), await checker.zones(NOW), NOW)
        first = await anext(stream)
        async with asyncio.timeout(30):
            while asked < 60:
                await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0)
        await stream.aclose()
    assert first.state is CLEAN
    assert asked < 200


# Names of our own


def records(**known: tuple[str, str]) -> Answering:
    """`name=(type, value)`, the name with `__` for dots; other types of a name are NODATA."""
    names = {name.replace("__", ".") + ".": value for name, value in known.items()}

    def answering(query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        found = names.get(question.name.to_text())
        if found is None:
            return nothing(query)
        answer = dns.message.make_response(query)
        if dns.rdatatype.to_text(question.rdtype) == found[0]:
            answer.answer.append(dns.rrset.from_text(question.name, 5, "IN", found[0], found[1]))
        return answer

    return answering


NAMES = records(mta__test=("A", "192.0.2.66"), other__test=("A", "192.0.2.99"))


@pytest.mark.parametrize(
    ("ptr", "helo", "expected"),
    [
        ("mta.test.", None, (True, "mta.test", True, None, None)),
        ("mta.test.", "mta.test.", (True, "mta.test", True, True, True)),
        ("MTA.test.", "other.test", (True, "mta.test", True, True, False)),
        ("other.test.", "gone.test", (True, "other.test", False, False, False)),
        ("gone.test.", None, (True, "gone.test", False, None, None)),
        (None, "mta.test", (False, None, None, True, False)),
    ],
)
async def test_names_of_an_address(
    ptr: str | None, helo: str | None, expected: tuple[object, ...]
) -> None:
    async with chaos() as server:
        reverse = records(**({"66__2__0__192__in-addr__arpa": ("PTR", ptr)} if ptr else {}))
        server.behaviours |= {"in-addr.arpa": reverse, "test": NAMES}
        found = await identify(resolver_of(server.server), BAD, helo, NOW)
    assert expected == (
        found.has_ptr, found.ptr, found.is_forward_confirmed, found.helo_resolves,
        found.helo_matches,
    )  # fmt: skip


@pytest.mark.parametrize("failure", [silent, servfail])
async def test_names_that_nobody_tells_are_unknown_and_not_missing(failure: Answering) -> None:
    async with chaos() as server:
        server.behaviours |= {"in-addr.arpa": failure, "test": failure}
        resolver = resolver_of(server.server, try_s=0.1, total_s=0.2)
        found = await identify(resolver, BAD, "mta.test", NOW)
        assert (found.has_ptr, found.ptr, found.helo_resolves, found.helo_matches) == (None,) * 4
        server.behaviours["in-addr.arpa"] = records(
            **{"66__2__0__192__in-addr__arpa": ("PTR", "mta.test.")}
        )
        found = await identify(resolver, BAD, None, NOW)
    assert (found.has_ptr, found.ptr, found.is_forward_confirmed) == (True, "mta.test", None)


async def test_one_of_several_names_that_leads_back_is_enough() -> None:
    def several(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        name = query.question[0].name
        answer.answer.append(
            dns.rrset.from_text(name, 5, "IN", "PTR", "gone.test.", "other.test.", "mta.test.")
        )
        return answer

    async with chaos() as server:
        server.behaviours |= {"in-addr.arpa": several, "test": NAMES}
        found = await identify(resolver_of(server.server), BAD, None, NOW)
    assert (found.ptr, found.is_forward_confirmed) == ("mta.test", True)


async def test_names_of_an_ipv6_address() -> None:
    address = ip_address("2001:db8::25")
    nibbles = ".".join(reversed(address.exploded.replace(":", "")))
    async with chaos() as server:
        name = f"{nibbles}.ip6.arpa".replace(".", "__")
        server.behaviours |= {
            "ip6.arpa": records(**{name: ("PTR", "mta.test.")}),
            "test": records(mta__test=("AAAA", "2001:db8:0::25")),
        }
        found = await identify(resolver_of(server.server), address, None, NOW)
    assert (found.ptr, found.is_forward_confirmed, found.is_generic) == ("mta.test", True, False)
