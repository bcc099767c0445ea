"""Which part of a file a Range header asks for (RFC 9110, 14)."""

import pytest

from quarterdeck.api.log_download import Part, Unsatisfiable, asked_part

SIZE = 1000


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-999", Part(0, SIZE)),
        ("bytes=500-", Part(500, SIZE)),
        ("bytes=999-", Part(999, SIZE)),
        ("bytes=10-5000", Part(10, SIZE)),
        ("bytes=-1", Part(999, SIZE)),
        ("bytes=-5000", Part(0, SIZE)),
        ("Bytes= 1-2 ", Part(1, 3)),
        ("bytes=0-99999999999999999", Part(0, SIZE)),
    ],
)
def test_single_range_is_understood(given: str, part: Part) -> None:
    assert asked_part(given, SIZE) == part


@pytest.mark.parametrize(
    "given",
    [
        None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=0-1,5-6",
        "lines=0-1", "bytes=0x1-2", "bytes=--1", "bytes=1--2", "bytes=\u0660-\u0661",
        f"bytes=0-{'9' * 40}",
    ],
)  # fmt: skip
def test_anything_else_is_the_whole_file(given: str | None) -> None:
    assert asked_part(given, SIZE) is None


@pytest.mark.parametrize(
    ("given", "size"),
    [("bytes=1000-", SIZE), ("bytes=5000-6000", SIZE), ("bytes=-0", SIZE), ("bytes=0-", 0)],
)
def test_range_behind_the_end_cannot_be_satisfied(given: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        asked_part(given, size)
