"""Checks at their interval, in simulated time: spread, bounded, never in each other's way."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.scheduler import Scheduler, Turn
from unit.health_core.simulated import SimulatedLoop, simulate, stopped_after

OK = Reading(Outcome.OK)


class Probe:
    """Takes `takes_s` a check and notes when it began, and what was reported of it."""

    def __init__(self, takes_s: float = 0.01, interval_s: float = 15, timeout_s: float = 5) -> None:
        self.takes_s = takes_s
        self.starts: list[float] = []
        self.reports: list[tuple[float, Reading]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.turn = Turn(interval_s, timeout_s, self.check, self.report)

    async def check(self) -> Reading:
        self.starts.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.wait()
        finally:
            self.under_way -= 1
        return OK

    async def wait(self) -> None:
        await asyncio.sleep(self.takes_s)

    def report(self, reading: Reading) -> None:
        self.reports.append((asyncio.get_running_loop().time(), reading))


class Raising(Probe):
    """Its driver puts a password into its error, or cancels its caller."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def wait(self) -> None:
        raise self.error


class Stubborn(Probe):
    """Ignores its cancellation for `takes_s`."""

    async def wait(self) -> None:
        ends = asyncio.get_running_loop().time() + self.takes_s
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue


def run(
    probes: list[Probe],
    seconds: float,
    concurrency: int = 256,
    during: Callable[[SimulatedLoop], Awaitable[None]] | None = None,
) -> None:
    async def main(loop: SimulatedLoop) -> None:
        scheduler = Scheduler([probe.turn for probe in probes], concurrency, Random(7))
        beside = asyncio.ensure_future(during(loop)) if during else None
        await stopped_after(seconds, scheduler.run)
        if beside:
            await beside

    simulate(main)


def test_check_is_made_at_each_interval() -> None:
    probe = Probe()
    run([probe], 150)
    assert len(probe.starts) == 10
    assert {round(after - before, 6) for before, after in pairwise(probe.starts)} == {15}
    assert [reading for _, reading in probe.reports] == [OK] * 10


def test_500_services_are_spread_over_the_interval() -> None:
    probes = [Probe() for _ in range(500)]
    run(probes, 60)
    starts = sorted(start for probe in probes for start in probe.starts)
    assert len(starts) == 2000
    for second in range(60):
        assert 25 <= sum(second <= start < second + 1 for start in starts) <= 41
    firsts = {probe.starts[0] for probe in probes}
    assert len(firsts) == 500
    assert max(firsts) < 15


def test_intervals_of_their_own_are_kept() -> None:
    probes = [Probe(interval_s=5), Probe(interval_s=60)]
    run(probes, 120)
    assert [len(probe.starts) for probe in probes] == [24, 2]


def test_hung_probe_fails_at_its_deadline_and_delays_nobody() -> None:
    hung, other = Probe(takes_s=1e6), Probe()
    run([hung, other], 150)
    begun = zip(hung.starts, hung.reports, strict=True)
    assert {round(at - start, 6) for start, (at, _) in begun} == {5}
    assert {reading.reason for _, reading in hung.reports} == {"no answer within 5 s"}
    assert {reading.outcome for _, reading in hung.reports} == {Outcome.FAIL}
    assert {round(after - before, 6) for before, after in pairwise(other.starts)} == {15}


def test_probe_that_ignores_its_cancellation_never_overlaps_itself() -> None:
    stubborn, other = Stubborn(takes_s=40), Probe()
    run([stubborn, other], 150, concurrency=1)
    assert stubborn.most_under_way == 1
    assert len(other.starts) == 10
    assert {reading.reason for _, reading in stubborn.reports} == {"no answer within 5 s"}
    # A failure at each interval, though only every third turn could begin.
    assert len(stubborn.reports) == 10
    assert len(stubborn.starts) == 4


def test_all_hung_start_in_time_as_long_as_there_is_room() -> None:
    probes = [Probe(takes_s=1e6) for _ in range(500)]
    run(probes, 60)
    assert {len(probe.starts) for probe in probes} == {4}


def test_no_more_run_side_by_side_than_may() -> None:
    under_way: list[int] = []

    class Counted(Probe):
        async def wait(self) -> None:
            under_way.append(sum(probe.under_way for probe in probes))
            await super().wait()

    probes: list[Probe] = [Counted(takes_s=3) for _ in range(40)]
    run(probes, 60, concurrency=4)
    assert max(under_way) == 4
    assert min(len(probe.starts) for probe in probes) >= 1


def test_error_of_a_probe_shows_only_its_class() -> None:
    probes: list[Probe] = [
        Raising(ConnectionResetError("redis://:hunter2@cache")), Raising(asyncio.CancelledError()),
    ]  # fmt: skip
    run(probes, 20)
    reasons = [probe.reports[0][1].reason for probe in probes]
    assert reasons == [
        "the check ended with ConnectionResetError", "the check ended with CancelledError",
    ]  # fmt: skip
    assert [len(probe.reports) for probe in probes] == [len(probe.starts) for probe in probes]


def test_answer_that_came_while_the_loop_stood_still_counts() -> None:
    probe = Probe(takes_s=1)

    async def block(loop: SimulatedLoop) -> None:
        while not probe.starts:
            await asyncio.sleep(0.1)
        loop.stand_still(8)

    run([probe], 30, during=block)
    assert {reading.outcome for _, reading in probe.reports} == {Outcome.OK}


def test_turns_missed_while_the_loop_stood_still_are_not_made_up_for() -> None:
    probe = Probe()

    async def block(loop: SimulatedLoop) -> None:
        await asyncio.sleep(20)
        loop.stand_still(100)

    run([probe], 150, during=block)
    assert len(probe.starts) == 5
    assert min(after - before for before, after in pairwise(probe.starts)) > 1


def test_stop_cancels_what_runs_and_reports_nothing_of_it() -> None:
    probe, stubborn = Probe(takes_s=1e6, timeout_s=14), Stubborn(takes_s=100, timeout_s=14)
    run([probe, stubborn], 10)
    assert (probe.under_way, probe.reports, stubborn.reports) == (0, [], [])


def test_nothing_to_check_waits_for_the_stop() -> None:
    run([], 5)
