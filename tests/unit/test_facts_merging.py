"""Merging is held in a burst, let go after it, and never held for too many parts."""

import queue

from quarterdeck.facts.merging import LARGE, MergeBrake

STOP, START = "SYSTEM STOP MERGES `logs`", "SYSTEM START MERGES `logs`"


class Recorder:
    """Statements as they are run, and a way to wait for one."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._said: queue.Queue[str] = queue.Queue()

    def __call__(self, sql: str) -> None:
        self.statements.append(sql)
        self._said.put(sql)

    def next(self) -> str:
        return self._said.get(timeout=10)


def test_a_burst_holds_merging_once_and_its_end_lets_it_go() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0.2)
    for _ in range(3):
        brake.note("logs", LARGE)
    assert [run.next(), run.next()] == [STOP, START]
    assert run.statements == [STOP, START]
    brake.close()


def test_small_inserts_are_no_burst() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0)
    for _ in range(50):
        brake.note("logs", LARGE - 1)
    brake.close()
    assert run.statements == []


def test_a_burst_without_end_is_merged_as_it_goes() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=60, most=4)
    for _ in range(9):
        brake.note("logs", LARGE)
    assert run.statements == [STOP, START]
    brake.close()


def test_a_second_burst_is_held_again() -> None:
    run = Recorder()
    brake = MergeBrake(run, calm_s=0)
    for _ in range(2):
        brake.note("logs", LARGE)
        assert [run.next(), run.next()] == [STOP, START]
    brake.close()
