"""Who converts next: the request that came first, and nobody starves."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from quarterdeck.logs.fast import BLOCK, Converter
from quarterdeck.logs.intake import SPELL, NdjsonIntake, Turns
from quarterdeck.logs.prepared import Prepared
from quarterdeck.logs.writer import LogWriter

NOW = datetime.now(UTC)


async def test_turns_go_by_number_whoever_asked_first() -> None:
    turns, order = Turns(), []

    async def convert(number: int) -> None:
        async with turns.turn(number):
            order.append(number)
            await asyncio.sleep(0)

    async with turns.turn(0):
        waiting = [asyncio.create_task(convert(number)) for number in (5, 1, 4, 2, 3)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == [1, 2, 3, 4, 5]


async def test_a_turn_that_is_given_up_goes_to_the_next_one() -> None:
    turns, order = Turns(), []

    async def convert(number: int) -> None:
        async with turns.turn(number):
            order.append(number)

    async with turns.turn(0):
        waiting = [asyncio.create_task(convert(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
    # The first one was given the turn just now, and has not taken it yet.
    waiting[0].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [True, True, False]
    assert order == [3]
    async with asyncio.timeout(10), turns.turn(9):
        order.append(9)
    assert order == [3, 9]


async def test_a_failure_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(LookupError):
        async with turns.turn(1):
            raise LookupError
    async with asyncio.timeout(10), turns.turn(2):
        pass


class Taker:
    """Takes what is converted, and notes whose it was."""

    def __init__(self) -> None:
        self.order: list[str] = []

    async def add(self, prepared: Prepared) -> "asyncio.Future[None]":
        (rows,) = prepared.days.values()
        self.order.append(json.loads(rows.data.splitlines()[0])[2])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def block(service: str) -> bytes:
    line: dict[str, Any] = {
        "timestamp": NOW.isoformat().replace("+00:00", "Z"), "level": "info", "service": service,
        "message": "x" * 1000,
    }  # fmt: skip
    return (json.dumps(line) + "\n").encode() * (BLOCK // 1000)


async def test_an_endless_request_lets_later_ones_go_first_after_its_spell() -> None:
    turns, taker = Turns(), Taker()

    def intake() -> NdjsonIntake:
        converter = Converter(NOW, NOW - timedelta(days=1))
        return NdjsonIntake(cast(LogWriter, taker), converter, turns)

    endless, late = intake(), intake()
    blocks = SPELL // BLOCK + 2

    async def pour() -> None:
        for _ in range(blocks):
            await endless.feed(block("endless"))

    async def wait_in_line() -> None:
        await late.feed(block("late"))

    pouring = asyncio.create_task(pour())
    await asyncio.sleep(0)
    await asyncio.gather(pouring, wait_in_line())
    assert taker.order.index("late") < blocks
    assert taker.order.count("endless") == blocks
