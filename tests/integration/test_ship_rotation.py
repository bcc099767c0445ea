"""No line is lost, whatever the writer, the rotation, the server and the shipper do in what order.

The files, the HTTP server and the saved positions are real; only the moments at which the shipper
looks at the files are chosen by the test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ingest_server import Failure, IngestServer, ingest_server
from quarterdeck.cli.client import ApiClient
from quarterdeck.cli.following import Follower
from quarterdeck.cli.positions import Positions
from quarterdeck.cli.shipping import Shipper, Stopped, Wording
from quarterdeck.contrib.backoff import Backoff


class Never:
    """Waits for nothing."""

    def wait(self, seconds: float) -> bool:
        return False


class AtFirstFailure:
    """The end is asked for as soon as the server fails: the shipper dies in the middle."""

    def wait(self, seconds: float) -> bool:
        return seconds > 0


class World:
    """A writer, its rotated files, and a shipper that is started again and again."""

    def __init__(self, directory: Path, server: IngestServer) -> None:
        self.directory = directory
        self.server = server
        self.log = directory / "app.log"
        self.expected: list[tuple[str, int]] = []
        self.generation = 0
        self.number = 0
        self.pending = ""
        self.writer = self.log.open("ab", buffering=0)
        self.positions: Positions | None = None
        self.start()

    # The writer.

    def write(self, lines: int = 1) -> None:
        for _ in range(lines):
            text = self.pending or self._next()
            rest = text[len(text) // 2 :] if self.pending else text
            self.writer.write(f"{rest}\n".encode())
            self.pending = ""

    def write_half(self) -> None:
        if not self.pending:
            self.pending = self._next()
            self.writer.write(self.pending[: len(self.pending) // 2].encode())

    def reopen(self) -> None:
        """Go on in the new file, as after SIGHUP; a line is not torn between two files."""
        if self.pending:
            self.write()
        self.writer.close()
        self.writer = self.log.open("ab", buffering=0)
        self.generation += 1

    def _next(self) -> str:
        self.number += 1
        self.expected.append((str(self.generation), self.number))
        return f"generation {self.generation} line {self.number}"

    # Rotation.

    def rename(self) -> None:
        """As logrotate with `create`; the writer has not noticed yet."""
        if self.log.exists():
            self._shift()
            self.log.rename(self._rotated(1))
        self.log.touch()

    def rename_without_create(self) -> None:
        """The writer makes the new file when it reopens."""
        if self.log.exists():
            self._shift()
            self.log.rename(self._rotated(1))

    def copy_and_truncate(self) -> None:
        if self.pending:
            self.write()
        if not self.log.exists() or os.fstat(self.writer.fileno()).st_ino != (
            self.log.stat().st_ino
        ):
            return  # the writer is in a renamed file: there is nothing to copy
        self._shift()
        shutil.copy(self.log, self._rotated(1))
        os.truncate(self.log, 0)
        self.generation += 1

    def delete_read(self) -> None:
        """Remove rotated files once they are shipped: new files get their inodes."""
        self.server.post_failures.clear()
        self.look()
        written = os.fstat(self.writer.fileno()).st_ino
        for path in self.directory.glob("app.log.*"):
            if path.stat().st_ino != written:
                path.unlink()

    def _rotated(self, number: int) -> Path:
        return self.directory / f"app.log.{number}"

    def _shift(self) -> None:
        there = [int(path.suffix[1:]) for path in self.directory.glob("app.log.*")]
        for number in sorted(there, reverse=True):
            self._rotated(number).rename(self._rotated(number + 1))

    # The shipper.

    def start(self) -> None:
        self.stop()
        self.positions = Positions(self.directory / "state")
        self.follower = Follower([str(self.log)], self.positions, from_start=True)

    def look(self, *, is_final: bool = False) -> None:
        assert self.positions
        patience = AtFirstFailure() if self.server.post_failures else Never()
        shipper = Shipper(
            ApiClient(self.server.url, "t"), self.follower, self.positions, Wording(), patience,
            Backoff(0.001, 0.001),
        )  # fmt: skip
        try:
            shipper.round(is_final=is_final)
        except Stopped:
            self.start()

    def stop(self) -> None:
        if self.positions:
            self.follower.close()
            self.positions.close()

    def close(self) -> None:
        self.stop()
        self.writer.close()

    def arrived(self) -> list[tuple[str, int]]:
        """Generation and number of each line, in the order in which they first arrived."""
        found = []
        for message in dict.fromkeys(self.server.messages):
            words = message.split()
            assert words[::2] == ["generation", "line"], message
            found.append((words[1], int(words[3])))
        return found

    def check(self) -> None:
        """Everything is there, and each file's lines came in order."""
        if self.pending:
            self.write()
        self.server.post_failures.clear()
        self.look()
        arrived = self.arrived()
        assert sorted(arrived) == sorted(self.expected)
        for generation in {name for name, _ in arrived}:
            numbers = [number for name, number in arrived if name == generation]
            assert numbers == sorted(numbers)


@pytest.fixture(scope="module")
def server() -> Iterator[IngestServer]:
    with ingest_server() as running:
        yield running


@pytest.fixture
def new_world(server: IngestServer, tmp_path: Path) -> Iterator[Callable[[], World]]:
    made: list[World] = []

    def make() -> World:
        server.logs.clear()
        server.post_failures.clear()
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(World(directory, server))
        return made[-1]

    yield make
    for world in made:
        world.close()


def fail(world: World) -> None:
    world.server.post_failures.append(Failure(503))


def lose_the_answer(world: World) -> None:
    world.server.post_failures.append(Failure(after_storing=True))


RENAMING: dict[str, Callable[[World], object]] = {
    "write": World.write,
    "write many": lambda world: world.write(5),
    "write half": World.write_half,
    "reopen": World.reopen,
    "rename": World.rename,
    "rename without create": World.rename_without_create,
    "look": World.look,
    "restart": World.start,
    "delete what is read": World.delete_read,
    "fail": fail,
    "lose the answer": lose_the_answer,
}
COPYING = {
    name: RENAMING[name]
    for name in (
        "write", "write many", "write half", "look", "restart", "delete what is read", "fail",
        "lose the answer",
    )
} | {"copy and truncate": World.copy_and_truncate}  # fmt: skip

UNHURRIED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@UNHURRIED
@given(st.lists(st.sampled_from(sorted(RENAMING)), max_size=30))
def test_rotation_by_renaming_loses_nothing(
    new_world: Callable[[], World], steps: list[str]
) -> None:
    note(repr(steps))
    world = new_world()
    world.look()
    for step in steps:
        RENAMING[step](world)
    world.check()
    world.close()


@UNHURRIED
@given(st.lists(st.sampled_from(sorted(COPYING)), max_size=30))
def test_rotation_by_copying_loses_nothing_while_the_copies_are_there(
    new_world: Callable[[], World], steps: list[str]
) -> None:
    note(repr(steps))
    world = new_world()
    world.look()
    for step in steps:
        COPYING[step](world)
    world.check()
    world.close()


@UNHURRIED
@given(st.lists(st.sampled_from(sorted({**COPYING, **RENAMING})), max_size=30))
def test_both_kinds_of_rotation_mixed_lose_nothing(
    new_world: Callable[[], World], steps: list[str]
) -> None:
    note(repr(steps))
    world = new_world()
    world.look()
    for step in steps:
        {**COPYING, **RENAMING}[step](world)
    world.check()
    world.close()


def test_without_failures_nothing_is_sent_twice(new_world: Callable[[], World]) -> None:
    world = new_world()
    for rotate in (World.rename, World.copy_and_truncate, World.rename):
        for _ in range(3):
            world.write(3)
            world.look()
            world.write(2)
            world.start()
            world.write(1)
            rotate(world)
            world.look()
            world.reopen()
            world.start()
    world.check()
    assert len(world.server.messages) == len(world.expected)
