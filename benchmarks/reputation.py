"""Look-ups in DNS lists: `python benchmarks/reputation.py`.

Starts rbldnsd and asks it as a round does. The list holds a part of the addresses, none of them
asked about, so that each question is one. Prints a table with the targets.
"""

import asyncio
import sys
import time
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quarterdeck.net.resolver import Resolver
from quarterdeck.reputation.checker import Checker
from quarterdeck.reputation.lookups import look_up
from quarterdeck.reputation.model import AnswerState, SendingAddress

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from reputation_world import SOA, block_list, chaos, listing, rbldnsd, silent

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LOOKUPS = 2000
AT_ONCE = 50
LISTS = 5
MANY = 10_000
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    what: str
    target: str
    measured: str
    ok: bool | None = None


def seconds(what: str, target: float, measured: float) -> Line:
    return Line(what, f"< {target:g} s", f"{measured:.2f} s", measured < target)


def sending(count: int) -> list[SendingAddress]:
    base = int(ip_address("10.0.0.0"))
    return [SendingAddress(ip_address(base + number)) for number in range(count)]


async def plain_lookups(resolver: Resolver) -> float:
    """So many questions to one list, fifty at once."""
    todo = iter(sending(LOOKUPS))
    asked = block_list("z0.test")

    async def work() -> None:
        for each in todo:
            found = await look_up(resolver, asked, each.address, NOW)
            assert found.state.is_verdict, found

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return time.perf_counter() - begun


async def whole_round(checker: Checker) -> float:
    """As many questions as a round makes them: after the gate, ten at once to each list."""
    addresses = sending(LOOKUPS // LISTS)
    begun = time.perf_counter()
    zones = await checker.zones(NOW)
    count = 0
    async for found in checker.lookups(addresses, zones, NOW):
        assert found.state.is_verdict, found
        count += 1
    assert count == LOOKUPS
    return time.perf_counter() - begun


async def memory(checker: Checker) -> list[Line]:
    """What a round about many addresses holds while it runs, beside the addresses themselves."""
    lines, peaks = [], []
    for count in (MANY // 10, MANY):
        addresses = sending(count)
        zones = await checker.zones(NOW)
        tracemalloc.start()
        async for _ in checker.lookups(addresses, zones, NOW):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
        lines.append(Line(f"peak memory over {count:,} addresses", "", f"{peaks[-1]:.2f} MB"))
    grown = peaks[1] - peaks[0]
    return [*lines, Line("ten times the addresses cost", "< 1 MB", f"{grown:.2f} MB", grown < 1)]


async def silence() -> Line:
    """One list of five that says nothing: its gate costs the whole deadline, once."""
    async with chaos(**{f"z{n}": listing() for n in range(4)}, z4=silent) as server:
        checker = Checker(
            [block_list(f"z{n}.test") for n in range(LISTS)], Resolver([server.server])
        )
        begun = time.perf_counter()
        zones = await checker.zones(NOW)
        found = [each async for each in checker.lookups(sending(100), zones, NOW)]
        took = time.perf_counter() - begun
    assert [each.state for each in found] == [AnswerState.CLEAN] * 400
    return seconds("a round with a list that is silent", 6, took)


async def measure() -> list[Line]:
    text = SOA + ":127.0.0.2:listed $\n127.0.0.2\n" + "10.0.64.0/18\n"
    zones = {f"z{number}.test": ["ip4set:set"] for number in range(LISTS)}
    with rbldnsd({"set": text}, zones) as server:
        resolver = Resolver([server.server])
        checker = Checker([block_list(zone) for zone in zones], resolver)
        plain = min([await plain_lookups(resolver) for _ in range(ROUNDS)])
        whole = min([await whole_round(checker) for _ in range(ROUNDS)])
        flat = await memory(Checker([block_list("z0.test")], resolver))
    return [
        seconds(f"{LOOKUPS:,} look-ups, {AT_ONCE} at once", 2, plain),
        seconds(f"{LOOKUPS:,} look-ups as a round of {LISTS} lists", 2, whole),
        *flat,
        await silence(),
    ]


def main() -> None:
    table = Table("what", "target", "measured", "")
    for line in asyncio.run(measure()):
        verdict = "" if line.ok is None else "ok" if line.ok else "MISSED"
        table.add_row(line.what, line.target, line.measured, verdict)
    Console().print(table)


if __name__ == "__main__":
    main()
