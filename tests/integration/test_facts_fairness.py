"""Fifty searches at once: nobody starves behind long ones, and inserts go on."""

import asyncio

from facts_world import LINES, Count, count, lines, until
from quarterdeck.facts.embedded import EmbeddedFacts, EmbeddedOptions
from quarterdeck.facts.lanes import Lanes, Room

pytest_plugins = ("facts_fixtures",)

ENDLESS = "SELECT count() AS n FROM numbers(1000000000000) WHERE sipHash64(number) = 5"


async def test_short_searches_finish_before_long_ones_that_came_first(
    embedded_facts: EmbeddedFacts,
) -> None:
    await embedded_facts.execute(LINES)
    long = [asyncio.create_task(embedded_facts.fetch(ENDLESS, Count)) for _ in range(8)]
    short = [asyncio.create_task(count(embedded_facts)) for _ in range(42)]
    async with asyncio.timeout(8):
        assert await asyncio.gather(*short) == [0] * 42
        await embedded_facts.insert(lines(0, 10, "a"))
    assert not any(call.done() for call in long)
    for call in long:
        call.cancel()
    await asyncio.gather(*long, return_exceptions=True)
    await until(embedded_facts, "sipHash64(number) = 5", 0)


async def test_searches_run_side_by_side_in_bounded_number(embedded_facts: EmbeddedFacts) -> None:
    calls = [asyncio.create_task(embedded_facts.fetch(ENDLESS, Count)) for _ in range(30)]
    # Four places and eight of the long lane; the question itself waits in line behind them.
    await asyncio.sleep(0)
    question = asyncio.create_task(count(embedded_facts, "SELECT 1 AS n"))
    done, _ = await asyncio.wait([question], timeout=1.2)
    assert not done
    for call in calls:
        call.cancel()
    assert await question == 1
    await asyncio.gather(*calls, return_exceptions=True)
    await until(embedded_facts, "sipHash64(number) = 5", 0)


async def test_searches_leave_cores_to_lines_that_pour_in(embedded_facts: EmbeddedFacts) -> None:
    await embedded_facts.execute(LINES)
    threads = "SELECT toInt64(getSetting('max_threads')) AS n"
    alone = await count(embedded_facts, threads)
    loading = asyncio.create_task(embedded_facts.insert(lines(0, 100_000, "large")))
    await asyncio.sleep(0)  # it is handed over
    assert await count(embedded_facts, threads) == 1
    await loading
    async with asyncio.timeout(30):  # until the burst is over
        while await count(embedded_facts, threads) != alone:
            await asyncio.sleep(0.1)


async def test_who_came_while_lines_poured_in_runs_when_that_is_over(
    embedded_facts: EmbeddedFacts,
) -> None:
    await embedded_facts.execute(LINES)
    loading = asyncio.create_task(embedded_facts.insert(lines(0, 100_000, "large")))
    await asyncio.sleep(0)  # it is handed over
    room = EmbeddedOptions().room_beside_loading
    # So many that the next one has to wait until there is more room: these do not end.
    long = [asyncio.create_task(embedded_facts.fetch(ENDLESS, Count)) for _ in range(sum(room))]
    await asyncio.sleep(0)  # they stand in line
    async with asyncio.timeout(30):
        assert await count(embedded_facts, "SELECT 1 AS n") == 1
    await loading
    assert not any(call.done() for call in long)
    for call in long:
        call.cancel()
    await asyncio.gather(*long, return_exceptions=True)


async def test_who_leaves_the_line_is_passed_over(embedded_facts: EmbeddedFacts) -> None:
    long = [asyncio.create_task(embedded_facts.fetch(ENDLESS, Count)) for _ in range(4)]
    waiting = [asyncio.create_task(count(embedded_facts, "SELECT 1 AS n")) for _ in range(6)]
    await asyncio.sleep(0)
    for gone in waiting[:3]:
        gone.cancel()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting[3:]) == [1, 1, 1]
    for call in long:
        call.cancel()
    await asyncio.gather(*long, return_exceptions=True)


def test_lanes_serve_first_come_first_and_bound_the_long() -> None:
    lanes = Lanes(lambda: Room(1, 1))
    first, second, third, fourth = (lanes.queue() for _ in range(4))
    assert [turn.where for turn in (first, second, third)] == ["short", "waiting", "waiting"]
    first.outgrow()
    assert (first.where, second.where, third.where) == ("long", "short", "waiting")
    second.outgrow()
    assert (second.where, third.where) == ("overdue", "waiting")
    third.end()
    first.end()
    assert (second.where, fourth.where) == ("long", "short")
    for turn in (second, second, fourth):
        turn.end()
    assert lanes.queue().where == "short"


def test_lanes_that_narrow_let_run_who_runs_and_that_widen_call_the_next() -> None:
    room = Room(2, 1)
    lanes = Lanes(lambda: room)
    first, second, third, fourth = (lanes.queue() for _ in range(4))
    room = Room(1, 0)
    first.end()
    assert (second.where, third.where) == ("short", "waiting")
    second.outgrow()
    assert (second.where, third.where) == ("overdue", "waiting")
    room = Room(2, 1)
    second.outgrow()  # it still lasts
    assert (second.where, third.where, fourth.where) == ("long", "short", "short")


async def test_an_abandoned_turn_does_not_hold_up_the_next() -> None:
    lanes = Lanes(lambda: Room(1, 0))
    first, second, third = (lanes.queue() for _ in range(3))
    second.granted.cancel()
    first.end()
    assert (second.where, third.where) == ("short", "waiting")
    second.end()
    assert third.where == "short"
    assert third.granted.done()
