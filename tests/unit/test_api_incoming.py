"""Bodies of any length and encoding, piece by piece."""

import contextlib
import gzip
import zlib
from typing import Any

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.api import incoming
from quarterdeck.api.errors import HttpError
from quarterdeck.core.errors import InvalidRequest

PACKERS = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


def request(encoding: str, chunks: list[bytes]) -> tuple[dict[str, Any], Any]:
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return {"headers": [(b"content-encoding", encoding.encode())]}, receive


async def unpacked(encoding: str, chunks: list[bytes]) -> list[bytes]:
    return [piece async for piece in incoming.pieces(*request(encoding, chunks))]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


@pytest.mark.parametrize("encoding", PACKERS)
@given(data=st.binary(max_size=2000), size=st.integers(1, 50))
async def test_every_encoding_gives_the_body_back(encoding: str, data: bytes, size: int) -> None:
    chunks = cut(PACKERS[encoding](data), size)
    assert b"".join(await unpacked(encoding, chunks)) == data


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_several_members_one_after_another_are_one_body(encoding: str) -> None:
    packed = PACKERS[encoding](b"one\n") + PACKERS[encoding](b"two\n")
    for size in (1, 7, 1000):
        assert b"".join(await unpacked(encoding, cut(packed, size))) == b"one\ntwo\n"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_bomb_comes_in_small_pieces_and_ends_at_the_limit(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "MAX_UNPACKED", 20_000_000)
    packed = PACKERS[encoding](bytes(50_000_000))
    assert len(packed) < 100_000
    largest, total = 0, 0
    with pytest.raises(HttpError) as caught:
        async for piece in incoming.pieces(*request(encoding, [packed])):
            largest, total = max(largest, len(piece)), total + len(piece)
    assert caught.value.status == 413
    assert largest <= incoming.PIECE
    assert total <= 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_body_that_ends_in_the_middle_gives_what_came_and_an_error(encoding: str) -> None:
    data = b"".join(b"%d line\n" % number for number in range(100_000))
    packed = PACKERS[encoding](data)
    came = b""
    with pytest.raises(InvalidRequest, match="ends in the middle"):
        async for piece in incoming.pieces(*request(encoding, cut(packed[:-9], 1000))):
            came += piece
    assert came
    assert data.startswith(came)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(junk=st.binary(min_size=1, max_size=300))
async def test_junk_is_an_error_of_the_caller(encoding: str, junk: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        await unpacked(encoding, [junk])


async def test_an_unknown_encoding_names_the_known_ones() -> None:
    with pytest.raises(HttpError, match="gzip") as caught:
        await unpacked("br", [b"x"])
    assert caught.value.status == 415


async def test_a_caller_that_hangs_up_is_an_error() -> None:
    scope, receive = request("identity", [b"x"])

    async def hanging_up() -> dict[str, Any]:
        message: dict[str, Any] = await receive()
        return message | {"more_body": True} if message["type"] == "http.request" else message

    with pytest.raises(InvalidRequest, match="closed"):
        [piece async for piece in incoming.pieces(scope, hanging_up)]


async def test_a_zstd_frame_that_wants_a_huge_window_is_refused() -> None:
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(bytes(range(256)) * 4000) + packer.flush()
    with pytest.raises(InvalidRequest, match="not zstd"):
        await unpacked("zstd", [packed])
