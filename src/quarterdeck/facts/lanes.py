"""Whose query runs when: first come, first served, and no short search waits behind long ones."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, NamedTuple

_Where = Literal["waiting", "short", "overdue", "long", "gone"]


LONG_S = 0.5
"""A search that has run so long lets the next one in beside it, if there is room."""


class Room(NamedTuple):
    """How many may run side by side."""

    places: int
    long_places: int


class Lanes:
    """A few places for searches, and a long lane for those that outgrow them.

    Nobody knows beforehand how long a search takes. One that lasts gives its place to the next
    in line and goes on in the long lane, as long as that has room. How much room there is, is
    asked whenever somebody comes, lasts or goes; who runs already is let run. Threads of any event
    loop may call; nothing here blocks.
    """

    def __init__(self, room: Callable[[], Room]) -> None:
        self._lock = threading.Lock()
        self._room = room
        self._short = 0
        self._long = 0
        self._waiting: deque[Turn] = deque()
        self._overdue: deque[Turn] = deque()

    def queue(self) -> "Turn":
        """Stand in line."""
        turn = Turn(self)
        with self._lock:
            self._waiting.append(turn)
            called = self._call()
        _tell(called)
        return turn

    def outgrow(self, turn: "Turn") -> None:
        """Move a running turn to the long lane, now or when that has room."""
        with self._lock:
            if turn.where == "short":
                turn.where = "overdue"
                self._overdue.append(turn)
            called = self._call()
        _tell(called)

    def leave(self, turn: "Turn") -> None:
        """Give up the turn, whatever it had."""
        with self._lock:
            where, turn.where = turn.where, "gone"
            if where == "waiting":
                self._waiting.remove(turn)
            elif where == "long":
                self._long -= 1
            elif where != "gone":
                self._short -= 1
                if where == "overdue":
                    self._overdue.remove(turn)
            called = self._call()
        _tell(called)

    def _call(self) -> "list[Turn]":
        room = self._room()
        while self._overdue and self._long < room.long_places:
            self._overdue.popleft().where = "long"
            self._long += 1
            self._short -= 1
        called = []
        while self._waiting and self._short < room.places:
            turn = self._waiting.popleft()
            turn.where = "short"
            self._short += 1
            called.append(turn)
        return called


class Turn:
    """One query's place in line; `granted` is done once it may run."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self.where: _Where = "waiting"
        self.granted: Future[None] = Future()

    def outgrow(self) -> None:
        """It lasts: make room for the next."""
        self._lanes.outgrow(self)

    async def last(self) -> None:
        """Outgrow it in time, and ask for more room again and again. Cancel this at the end."""
        while True:
            await asyncio.sleep(LONG_S)
            self.outgrow()

    def end(self) -> None:
        """It is over, or nobody waits for it any more."""
        self._lanes.leave(self)


def _tell(called: list[Turn]) -> None:
    # Outside the lock: a future's callbacks may come back to us. False: its caller has gone and
    # ends the turn itself.
    for turn in called:
        if turn.granted.set_running_or_notify_cancel():
            turn.granted.set_result(None)
