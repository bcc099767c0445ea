"""How listings begin, hold and end; what no sequence of unknown answers may ever do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.reputation.judging import BELIEVED, Judgement, Key, judge
from quarterdeck.reputation.model import (
    AnswerState,
    BlockList,
    CheckReport,
    Code,
    Listing,
    ListingState,
    Lookup,
    Tier,
    ZoneHealth,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
ZEN = BlockList("zen", "zen.test", Tier.MAJOR, {"127.0.0.2": Code("sbl", 30)}, has_v6=True)
COP = BlockList("cop", "cop.test", Tier.STANDARD, {"127.0.0.2": Code("scbl", 15)})
OURS = [ip_address(f"192.0.2.{number}") for number in range(1, 7)]
ONE = OURS[0]

L, C = AnswerState.LISTED, AnswerState.CLEAN
UNKNOWN = [state for state in AnswerState if not state.is_verdict]


def said(state: AnswerState, at: datetime = NOW, address=ONE, of: BlockList = ZEN) -> Lookup:  # type: ignore[no-untyped-def]
    if state is L:
        return Lookup(of.id, address, L, at, ["127.0.0.2"], ["sbl"], "why", ttl_s=60)
    return Lookup(of.id, address, state, at)


def round_of(
    *lookups: Lookup, at: datetime = NOW, sick: dict[str, str] | None = None
) -> CheckReport:
    sick = sick or {}
    zones = [ZoneHealth(each.id, each.id not in sick, at, sick.get(each.id)) for each in (ZEN, COP)]
    return CheckReport(at, zones, lookups)


def after(*states: AnswerState | None) -> list[Judgement]:
    """One round after another about one address on one list; None: it was not asked."""
    found: list[Judgement] = []
    listings: dict[Key, Listing] = {}
    for number, state in enumerate(states):
        at = NOW + timedelta(hours=2 * number)
        lookups = [] if state is None else [said(state, at)]
        found.append(judge(listings, round_of(*lookups, at=at), [ZEN, COP], [ONE]))
        listings = found[-1].listings
    return found


def state_after(*states: AnswerState | None) -> ListingState | None:
    listing = after(*states)[-1].listings.get((ONE, "zen"))
    return None if listing is None else listing.state


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([C], None),
        ([L], ListingState.SUSPECT),
        ([L, C], None),
        ([L, L], ListingState.CONFIRMED),
        ([L, AnswerState.TIMEOUT], ListingState.SUSPECT),
        ([L, AnswerState.TIMEOUT, L], ListingState.CONFIRMED),
        ([L, L, C], ListingState.CLEARING),
        ([L, L, C, C], None),
        ([L, L, C, L], ListingState.CONFIRMED),
        ([L, L, C, L, C], ListingState.CLEARING),
        ([L, L, C, AnswerState.ERROR, C], None),
        ([L, L, AnswerState.BLOCKED, None], ListingState.CONFIRMED),
        ([L, C, L], ListingState.SUSPECT),
    ],
)
def test_rounds_lead_from_state_to_state(
    states: list[AnswerState], expected: ListingState | None
) -> None:
    assert state_after(*states) is expected


def test_suspicion_is_asked_again_after_the_ttl() -> None:
    [first] = after(L)
    assert first.changes == []
    assert first.recheck == {NOW + timedelta(seconds=65): [ONE]}
    assert after(L, L)[-1].recheck == {}


def test_recheck_is_planned_once_and_again_ten_minutes_after_it_could_not_tell() -> None:
    def at(
        seconds: float, state: AnswerState | None, before: dict[Key, Listing]
    ) -> tuple[dict[Key, Listing], list[float]]:
        moment = NOW + timedelta(seconds=seconds)
        lookups = [] if state is None else [said(state, moment)]
        found = judge(before, round_of(*lookups, at=moment), [ZEN, COP], [ONE])
        return found.listings, [(due - NOW).total_seconds() for due in found.recheck]

    first, planned = at(0, L, {})
    assert planned == [65]
    # Whoever asks on demand meanwhile, and however often, adds no re-check.
    for moment, state in ((1, L), (2, AnswerState.TIMEOUT), (3, L), (4, None)):
        first, planned = at(moment, state, first)
        assert planned == []
    unknown, planned = at(65, AnswerState.TIMEOUT, first)
    assert planned == [665]
    assert at(66, None, unknown)[1] == []
    again, planned = at(665, None, unknown)
    assert planned == [1265]
    assert at(1265, L, again)[0][ONE, "zen"].state is ListingState.CONFIRMED


def test_two_suspicions_with_different_ttls_are_both_asked_again() -> None:
    slow = replace(said(L, of=COP), ttl_s=300)
    found = judge({}, round_of(said(L), slow), [ZEN, COP], [ONE])
    assert sorted(found.recheck) == [NOW + timedelta(seconds=each) for each in (65, 305)]


def test_answer_that_a_resolver_repeats_confirms_nothing_and_ends_nothing() -> None:
    def at(minutes: float, state: AnswerState, before: dict[Key, Listing]) -> dict[Key, Listing]:
        moment = NOW + timedelta(minutes=minutes)
        return judge(before, round_of(said(state, moment), at=moment), [ZEN, COP], [ONE]).listings

    first = at(0, L, {})
    soon = at(0.5, L, first)
    assert soon[ONE, "zen"].state is ListingState.SUSPECT
    assert soon[ONE, "zen"].counts_from == first[ONE, "zen"].counts_from
    confirmed = at(2, L, soon)
    assert confirmed[ONE, "zen"].state is ListingState.CONFIRMED
    clearing = at(3, C, confirmed)
    assert at(3.05, C, clearing)[ONE, "zen"].state is ListingState.CLEARING
    assert at(4, C, clearing) == {}


def test_changes_are_told_when_belief_changes() -> None:
    told = [len(each.changes) for each in after(L, L, L, C, AnswerState.TIMEOUT, C)]
    assert told == [0, 1, 0, 0, 0, 1]
    begun, ended = after(L, L)[-1].changes[0], after(L, L, C, C)[-1].changes[0]
    assert begun.after is not None
    assert begun.after.since == NOW
    assert (ended.before is not None, ended.after) == (True, None)


def test_what_cannot_be_told_is_stale_and_keeps_its_beginning() -> None:
    listing = after(L, L, None)[-1].listings[ONE, "zen"]
    assert (listing.is_stale, listing.since, listing.reason) == (True, NOW, "why")
    assert not after(L, L, None, L)[-1].listings[ONE, "zen"].is_stale


def test_coverage_names_every_list_that_gave_no_verdict() -> None:
    report = round_of(said(C), sick={"cop": "it was emptied"})
    coverage = judge({}, report, [ZEN, COP], [ONE]).coverage[ONE]
    assert (coverage.checked, coverage.unknown) == (1, 1)
    assert coverage.unknown_lists == {"cop": "it was emptied"}
    report = round_of(said(AnswerState.TIMEOUT))
    coverage = judge({}, report, [ZEN, COP], [ONE]).coverage[ONE]
    assert coverage.unknown_lists == {"zen": "timeout", "cop": "it was not asked"}
    v6 = ip_address("2001:db8::1")
    coverage = judge({}, round_of(said(C, address=v6)), [ZEN, COP], [v6]).coverage[v6]
    assert (coverage.checked, coverage.unknown) == (1, 0)  # COP knows no IPv6


@pytest.mark.parametrize(
    ("listed", "state"),
    [(1, ListingState.SUSPECT), (3, ListingState.SUSPECT), (4, ListingState.DISTRUSTED)],
)
def test_list_that_suddenly_lists_over_half_is_distrusted(listed: int, state: ListingState) -> None:
    lookups = [said(L if n < listed else C, address=each) for n, each in enumerate(OURS)]
    first = judge({}, round_of(*lookups), [ZEN, COP], OURS)
    assert {each.state for each in first.listings.values()} == {state}
    again = judge(first.listings, round_of(*lookups, at=LATER), [ZEN, COP], OURS)
    believed = {each.state in BELIEVED for each in again.listings.values()}
    assert believed == {state is ListingState.SUSPECT}


def test_one_or_two_addresses_are_no_majority() -> None:
    for ours in (OURS[:1], OURS[:2]):
        lookups = [said(L, address=each) for each in ours]
        first = judge({}, round_of(*lookups), [ZEN, COP], ours)
        assert {each.state for each in first.listings.values()} == {ListingState.SUSPECT}


def test_distrust_spares_what_was_believed_and_ends_by_itself() -> None:
    first = judge({}, round_of(said(L)), [ZEN, COP], OURS)
    second = judge(first.listings, round_of(said(L), at=LATER), [ZEN, COP], OURS)
    assert second.listings[ONE, "zen"].state is ListingState.CONFIRMED
    world = judge(
        second.listings, round_of(*(said(L, address=each) for each in OURS)), [ZEN, COP], OURS
    )
    states = {key[0]: each.state for key, each in world.listings.items()}
    assert states.pop(ONE) is ListingState.CONFIRMED
    assert set(states.values()) == {ListingState.DISTRUSTED}
    mended = [said(L if each in OURS[:2] else C, address=each) for each in OURS]
    calm = judge(world.listings, round_of(*mended, at=LATER), [ZEN, COP], OURS)
    assert {key[0] for key in calm.listings} == set(OURS[:2])
    assert calm.listings[OURS[1], "zen"].state is ListingState.CONFIRMED


def test_distrust_is_not_ended_by_a_round_about_one_address() -> None:
    everybody = [said(L, address=each) for each in OURS]
    first = judge({}, round_of(*everybody), [ZEN, COP], OURS)
    second = judge(
        first.listings, round_of(said(L, LATER), at=LATER), [ZEN, COP], [ONE], is_whole=False
    )
    assert second.listings[ONE, "zen"].state is ListingState.DISTRUSTED


def test_addresses_of_another_round_are_left_alone() -> None:
    first = judge({}, round_of(said(L)), [ZEN, COP], OURS)
    second = judge(first.listings, round_of(said(C, address=OURS[1])), [ZEN, COP], [OURS[1]])
    assert second.listings == first.listings
    assert set(second.coverage) == {OURS[1]}


def test_list_that_is_no_longer_asked_takes_its_listings_along() -> None:
    first = after(L, L)[-1]
    report = round_of(said(C, of=COP))
    assert judge(first.listings, report, [COP], [ONE]).listings == {}


@given(st.lists(st.sampled_from([None, *UNKNOWN]), max_size=12))
def test_unknown_answers_never_list_and_never_delist(states: list[AnswerState | None]) -> None:
    assert state_after(C, *states) is None
    assert state_after(L, *states) is ListingState.SUSPECT
    assert state_after(L, L, *states) is ListingState.CONFIRMED
    assert state_after(L, L, C, *states) is ListingState.CLEARING


@given(st.lists(st.sampled_from([None, *AnswerState]), max_size=15))
def test_every_suspicion_has_one_look_ahead_of_it(states: list[AnswerState | None]) -> None:
    planned: list[datetime] = []
    for number, judgement in enumerate(after(*states)):
        at = NOW + timedelta(hours=2 * number)
        planned = [due for due in planned if due > at] + list(judgement.recheck)
        listing = judgement.listings.get((ONE, "zen"))
        if listing is not None and listing.state is ListingState.SUSPECT:
            assert planned == [listing.recheck_at]


@given(st.lists(st.sampled_from([None, *AnswerState]), max_size=15))
def test_belief_needs_two_words_and_ends_with_two(states: list[AnswerState | None]) -> None:
    believed = False
    verdicts: list[AnswerState] = []
    for state, judgement in zip(states, after(*states), strict=True):
        if state is not None and state.is_verdict:
            verdicts.append(state)
            if verdicts[-2:] == [L, L]:
                believed = True
            elif verdicts[-2:] == [C, C]:
                believed = False
        listing = judgement.listings.get((ONE, "zen"))
        assert (listing is not None and listing.state in BELIEVED) is believed
