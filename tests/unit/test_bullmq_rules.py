"""What is decided about BullMQ's keys without any Redis."""

import pytest

from quarterdeck.queues.adapters.bullmq.counting import (
    MINUTE_MS,
    Counted,
    completions_of,
    major_of,
)
from quarterdeck.queues.adapters.bullmq.listing import Shape, Slice
from quarterdeck.queues.adapters.bullmq.rows import decoded
from quarterdeck.queues.banding import QueueNames
from quarterdeck.queues.model import Provenance

NOW_MS = 29_000_000 * MINUTE_MS + 20_000
"""Twenty seconds into a minute."""


def counted(**fields: object) -> Counted:
    numbers = dict.fromkeys(
        ("wait", "aside", "active", "prioritized", "delayed", "children", "failed", "completed",
         "completed_hour", "completed_minute", "failed_minute"), 0,
    )  # fmt: skip
    known: dict[str, object] = {"exists": 1, "version": "", "ids": 99, "is_paused": False}
    return Counted(**{**known, **numbers, **fields})  # type: ignore[arg-type]


def metrics(count: int, minutes_ago: int, open_since: int, points: list[int]) -> Counted:
    """Workers' metrics: `open_since` is the count when the points were last written."""
    written = NOW_MS - minutes_ago * MINUTE_MS
    return counted(
        metrics=(str(count), str(written), str(open_since)), points=" ".join(map(str, points))
    )


@pytest.mark.parametrize(
    ("given", "hour", "minute"),
    [
        (metrics(5, 0, 0, []), 5, 0),  # the first minute of all
        (metrics(5, 1, 0, []), 5, 5),
        (metrics(105, 0, 100, [7] * 59 + [1000]), 5 + 59 * 7, 7),
        (metrics(105, 0, 100, [7] * 60), 5 + 59 * 7, 7),
        (metrics(10_000, 2, 9_995, [7] * 60), 5 + 57 * 7, 0),
        (metrics(9_999, 60, 9_000, [7] * 60), 0, 0),
        (metrics(9_999, 59, 9_000, [7] * 60), 999, 0),
        (metrics(30, 0, 10, [4, 6]), 30, 4),  # they began two minutes ago
    ],
)
def test_metrics_tell_the_last_hour_to_the_minute(given: Counted, hour: int, minute: int) -> None:
    found = completions_of(given, NOW_MS)
    assert (found.hour, found.minute, found.source) == (hour, minute, Provenance.METRICS)


@pytest.mark.parametrize(
    "given",
    [
        metrics(1000, 0, 990, [7] * 10),  # the workers keep ten minutes
        counted(metrics=("many", "", "")),
        counted(metrics=("1", "2", "3"), points="x"),
        counted(),
        counted(completed=3, completed_hour=3, completed_minute=3),
    ],
)
def test_what_does_not_cover_the_hour_tells_nothing(given: Counted) -> None:
    found = completions_of(given, NOW_MS)
    assert (found.hour, found.minute, found.source) == (None, None, Provenance.NONE)


def test_what_is_kept_longer_than_an_hour_counts() -> None:
    old = counted(completed=9, completed_hour=3)
    assert completions_of(old, NOW_MS).source is Provenance.RETAINED
    every = counted(ids=4, completed=3, completed_hour=3, wait=1)
    assert completions_of(every, NOW_MS).source is Provenance.EXACT


@pytest.mark.parametrize(
    ("version", "assumed", "major"),
    [
        ("bullmq:5.81.3", None, 5), ("bullmq:6.7.0", None, 6), ("bullmq:6.7.0", 5, 6),
        ("bullmq:4.1.0", 5, None), ("bullmq:60.1.0", 6, None), ("bullmq-pro:6.1.0", 6, None),
        ("", None, None), ("", 6, 6), ("6.7.0", 6, None),
    ],
)  # fmt: skip
def test_only_versions_whose_layout_is_known_have_a_number(
    version: str, assumed: int | None, major: int | None
) -> None:
    assert major_of(version, assumed) == major


@pytest.mark.parametrize("separator", ["", "-", ".", "--"])
@pytest.mark.parametrize(
    "native", ["mail", "mail-high", "-low", "a-high-low", "mail.high", "x--low"]
)
def test_public_names_lead_back(separator: str, native: str) -> None:
    names = QueueNames("s", separator, {})
    assert names.native(names.ref(native).name) == native


def test_of_two_names_that_read_alike_one_is_kept() -> None:
    refs = QueueNames("s", "-", {}).refs(["a:high", "a-high", "b"])
    assert list(refs) == ["a-high", "b"]


@pytest.mark.parametrize("name", ["mail", "queue:", "queue:mail-high", "queue:\0"])
def test_what_is_no_public_name_leads_nowhere(name: str) -> None:
    assert QueueNames("s", "-", {}).native(name) is None


def test_page_far_behind_the_merged_ones_reads_only_itself() -> None:
    shape = Shape({"wait": 10**6, "failed": 10**6}, ["wait", "failed", "wait"])
    assert shape.slices(0, 3) == [Slice("wait", 0, 1), Slice("failed", 0, 1), Slice("wait", 1, 1)]
    assert shape.slices(10**6, 2) == [Slice("wait", 999_999, 1), Slice("failed", 1, 1)]
    assert shape.slices(2 * 10**6 - 1, 5) == [Slice("failed", 999_999, 1)]


@pytest.mark.parametrize(
    ("data", "payload", "is_fine"),
    [
        ("[1]", [1], True),
        ('"text"', "text", True),
        ('"half \\ud800"', "half \ufffd", True),
        ('"\\ud83d\\udcec"', "\U0001f4ec", True),
        ("{", "{", False),
        (None, None, False),
        ("[" * 101 + "]" * 101, "[" * 101 + "]" * 101, False),
    ],
)
def test_payload_is_json_or_the_raw_text(data: str | None, payload: object, is_fine: bool) -> None:
    found, trouble = decoded(data)
    assert found == payload
    assert (trouble is None) is is_fine
