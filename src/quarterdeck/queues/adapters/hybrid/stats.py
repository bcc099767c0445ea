"""One truth about a queue from its two halves. Pure."""

from dataclasses import dataclass, replace

from quarterdeck.queues.adapters.hybrid.lists import BandLengths
from quarterdeck.queues.adapters.hybrid.rows import WaitingRows
from quarterdeck.queues.model import QueueStats


@dataclass(frozen=True, slots=True)
class Halves:
    """What both stores say about one band."""

    rows: QueueStats
    """As the SQL engine sees it: `waiting` counts the rows that were migrated, too."""
    waiting: WaitingRows
    lists: BandLengths

    @property
    def entries(self) -> int | None:
        """Entries of jobs that still wait, in either list."""
        if self.lists.live is None or self.lists.aside is None:
            return None
        return self.lists.live + self.lists.aside

    @property
    def missing(self) -> int | None:
        """Migrated rows without an entry; negative: entries without such a row."""
        if self.entries is None or self.lists.removing is None:
            return None
        return self.waiting.migrated - self.entries - self.lists.removing


def merge(halves: Halves, drift: int) -> QueueStats:
    """The counts of both halves; `drift` is how many rows have lastingly had no entry."""
    rows, entries = halves.rows, halves.entries
    return replace(
        rows,
        waiting=None if entries is None else halves.waiting.queued + entries,
        paused=None if rows.paused is None else rows.paused and halves.lists.is_marked,
        warnings=[*rows.warnings, *_pause_warnings(halves), *_entry_warnings(halves, drift)],
    )


def _pause_warnings(halves: Halves) -> list[str]:
    lists = halves.lists
    live, aside = lists.live or 0, lists.aside or 0
    if halves.rows.paused and not lists.is_marked:
        return [
            f"The queue is only half paused: no more jobs come into Redis, but workers take the "
            f"{live} that are there. Pause it again to complete this, or resume it."
        ]
    if halves.rows.paused and live:
        return [
            f"{live} jobs entered the list after the pause, and workers take them. "
            "Pause again to set them aside, too."
        ]
    if not halves.rows.paused and (lists.is_marked or aside):
        return [
            f"The queue is only half paused: {aside} jobs are set aside in Redis, but new ones "
            "come in and are taken. Resume it to bring them back, or pause it again."
        ]
    return []


def _entry_warnings(halves: Halves, drift: int) -> list[str]:
    found = []
    if halves.missing is None:
        found.append(
            "Something that is no list lies under this queue's key in Redis, "
            "so its waiting jobs cannot be counted. Remove or rename that key."
        )
    if halves.lists.removing:
        found.append(
            f"{halves.lists.removing} deletions were interrupted: these jobs are in no list. "
            "Delete them again."
        )
    if drift > 0:
        found.append(
            f"{drift} jobs are marked as migrated to Redis, but no list holds them: "
            "a worker died with them, or Redis lost them. Set their rows back to queued."
        )
    if drift < 0:
        found.append(
            f"{-drift} entries of this queue's lists belong to no job that waits there: "
            "they are malformed, orphaned or doubled."
        )
    return found
