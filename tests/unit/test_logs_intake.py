"""Cutting a stream of bytes at line feeds."""

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.logs import intake
from quarterdeck.logs.intake import LineCutter


def cut(pieces: list[bytes]) -> list[bytes | None]:
    cutter = LineCutter()
    blocks: list[bytes | None] = []
    for piece in pieces:
        blocks.extend(cutter.feed(piece))
    blocks.extend(cutter.finish())
    return blocks


@given(st.lists(st.binary(max_size=40)))
def test_blocks_are_the_stream_again_however_it_was_cut(pieces: list[bytes]) -> None:
    assert b"".join(block or b"" for block in cut(pieces)) == b"".join(pieces)


@given(st.lists(st.text("ab\n", max_size=600_000), max_size=6))
def test_every_block_but_the_last_ends_with_a_line(texts: list[str]) -> None:
    for block in cut([text.encode() for text in texts])[:-1]:
        assert block is not None
        assert block.endswith(b"\n")


def test_a_line_that_is_too_long_is_told_once_and_the_next_ones_are_kept() -> None:
    cutter = LineCutter()
    found = list(cutter.feed(b"first\n"))
    held = 0
    for _ in range(intake.MAX_LINE // 65_536 * 3):
        found.extend(cutter.feed(b"x" * 65_536))
        held = max(held, cutter._tail_bytes)
    found.extend(cutter.feed(b"xx\nlast\n"))
    found.extend(cutter.finish())
    assert found == [b"first\n", None, b"last\n"]
    assert held <= intake.MAX_LINE + 65_536


def test_a_last_line_without_line_feed_is_kept() -> None:
    assert cut([b"a\nb"]) == [b"a\nb"]


def test_nothing_gives_nothing() -> None:
    assert cut([b"", b""]) == []
