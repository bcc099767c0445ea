"""Makes every check at its interval: one heap of what is due, tasks only for what runs.

Time is the event loop's, which no set clock moves. A check's deadline is kept here, whatever the
probe does: its place is free then, and should it ignore its cancellation, it is not made again
before it has ended.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from quarterdeck.health.model import Outcome, Reading

CONCURRENCY = 256
"""Checks under way. All of 500 services could hang for 5 of 15 s, and none would start late."""
LATE_S = 0.25
"""A deadline that we notice so much later was missed by us: the answer may be waiting for us."""
JITTER = 0.5
"""Of the distance between two starts."""


@dataclass(slots=True, eq=False)
class Turn:
    """A check that is made again and again."""

    interval_s: float
    timeout_s: float
    check: Callable[[], Awaitable[Reading]]
    report: Callable[[Reading], None]
    """Given every reading, in time or not; it must not raise."""
    run: "Run | None" = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class Run:
    """One check under way."""

    task: "asyncio.Task[Reading]"
    ends: float
    deadline: asyncio.TimerHandle | None = None
    is_late: bool = False
    """Given up; its place is free."""


class Scheduler:
    """Runs turns until it is stopped."""

    def __init__(
        self, turns: Sequence[Turn], concurrency: int = CONCURRENCY, random: Random | None = None
    ) -> None:
        self._turns = turns
        self._concurrency = concurrency
        self._random = random or Random()  # noqa: S311 - spreads load, protects nothing
        self._heap: list[tuple[float, int, Turn]] = []
        self._waiting: deque[Turn] = deque()
        """Due, without a free place."""
        self._running = 0
        self._tasks: set[asyncio.Task[Reading]] = set()
        self._is_ending = False

    async def run(self, stop: asyncio.Event) -> None:
        """Make checks until `stop` is set; what runs then is cancelled."""
        loop = asyncio.get_running_loop()
        self._heap = self._first_starts(loop.time())
        ending = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._start_due(loop.time())
                if not self._heap:
                    await ending
                    break
                # Not rounded down to the past: that would spin.
                wait_s = max(0.001, self._heap[0][0] - loop.time())
                await asyncio.wait([ending], timeout=wait_s)
        finally:
            ending.cancel()
            await self._end()

    def _first_starts(self, now: float) -> list[tuple[float, int, Turn]]:
        """Spread over the interval, evenly but for some jitter: never a burst."""
        heap = []
        groups: dict[float, list[tuple[int, Turn]]] = {}
        for number, turn in enumerate(self._turns):
            groups.setdefault(turn.interval_s, []).append((number, turn))
        for interval_s, group in groups.items():
            distance = interval_s / len(group)
            for place, (number, turn) in enumerate(group):
                offset = (place + JITTER * self._random.random()) * distance
                heap.append((now + offset, number, turn))
        heapq.heapify(heap)
        return heap

    def _start_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, number, turn = self._heap[0]
            # Turns that were missed while the loop stood still are not made up for.
            missed = max(0, int((now - due) // turn.interval_s))
            following = due + (missed + 1) * turn.interval_s
            heapq.heapreplace(self._heap, (following, number, turn))
            if turn.run is not None and turn.run.is_late:
                turn.report(_gave_no_answer(turn))
            elif turn.run is None and turn not in self._waiting:
                self._waiting.append(turn)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._running < self._concurrency:
            self._start(self._waiting.popleft())

    def _start(self, turn: Turn) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(_answer(turn))
        ends = loop.time() + turn.timeout_s
        run = turn.run = Run(task, ends)
        run.deadline = loop.call_at(ends, self._give_up, turn, run)
        self._running += 1
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._ended(turn, run))

    def _give_up(self, turn: Turn, run: Run) -> None:
        loop = asyncio.get_running_loop()
        lateness = loop.time() - run.ends
        if lateness > LATE_S:
            run.ends = loop.time() + min(lateness, turn.timeout_s)
            run.deadline = loop.call_at(run.ends, self._give_up, turn, run)
            return
        run.is_late = True
        run.task.cancel()
        self._running -= 1
        turn.report(_gave_no_answer(turn))
        self._fill()

    def _ended(self, turn: Turn, run: Run) -> None:
        self._tasks.discard(run.task)
        turn.run = None
        if run.deadline is not None:
            run.deadline.cancel()
        if not run.is_late:
            self._running -= 1
            if not self._is_ending:
                turn.report(_cancelled() if run.task.cancelled() else run.task.result())
        self._fill()

    async def _end(self) -> None:
        self._is_ending = True
        self._waiting.clear()
        for turn in self._turns:
            if turn.run is not None and turn.run.deadline is not None:
                turn.run.deadline.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # One that ignores it must not keep the server from stopping.
            await asyncio.wait(tasks, timeout=1.0)


async def _answer(turn: Turn) -> Reading:
    try:
        return await turn.check()
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is a failure of its check
        # Its text may hold a password or what a stranger sent.
        return Reading(Outcome.FAIL, f"the check ended with {type(error).__name__}")


def _cancelled() -> Reading:
    """Of a driver that cancels its caller when its own connection ends."""
    return Reading(Outcome.FAIL, "the check ended with CancelledError")


def _gave_no_answer(turn: Turn) -> Reading:
    return Reading(Outcome.FAIL, f"no answer within {turn.timeout_s:g} s")
