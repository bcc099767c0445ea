"""Growing files of exports."""

import gzip
import zlib
from pathlib import Path

import pytest

from quarterdeck.logs.export_files import ExportDirectory, PartFile

PIECES = [b"first\n", b"second\n" * 100_000, b"third\n"]
WHOLE = b"".join(PIECES)


def read(path: Path, packed: bool) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if packed else content


async def fresh(directory: ExportDirectory, packed: bool, run: str = "a") -> PartFile:
    part = PartFile(directory, directory.part("export_logs_1", run), packed)
    assert await part.open(None, 0)
    return part


@pytest.fixture
def directory(tmp_path: Path) -> ExportDirectory:
    return ExportDirectory(tmp_path / "exports", reserve_bytes=0)


@pytest.mark.parametrize("packed", [False, True])
async def test_file_holds_what_was_written(directory: ExportDirectory, packed: bool) -> None:
    part = await fresh(directory, packed)
    for piece in PIECES:
        await part.write(piece)
    size = await part.mark()
    await part.close()
    assert size == part.path.stat().st_size == part.size
    assert read(part.path, packed) == WHOLE
    assert part.path.stat().st_mode & 0o777 == 0o600
    assert directory.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("packed", [False, True])
async def test_file_is_continued_from_a_point_that_was_marked(
    directory: ExportDirectory, packed: bool
) -> None:
    dead = await fresh(directory, packed)
    await dead.write(PIECES[0])
    size = await dead.mark()
    await dead.write(b"lost in the crash")
    await dead.mark()
    part = PartFile(directory, directory.part("export_logs_1", "b"), packed)
    assert await part.open(dead.path, size)
    await dead.write(b"still writing, though nobody waits for it")
    for piece in PIECES[1:]:
        await part.write(piece)
    await part.mark()
    for each in (dead, part):
        await each.close()
    assert read(part.path, packed) == WHOLE


@pytest.mark.parametrize("keep", [3, 1000])
async def test_file_begins_anew_when_the_earlier_one_is_gone_or_short(
    directory: ExportDirectory, keep: int
) -> None:
    short = await fresh(directory, packed=False, run="a")
    await short.write(b"ab")
    await short.mark()
    await short.close()
    for earlier in (short.path, directory.part("export_logs_1", "gone")):
        part = PartFile(directory, directory.part("export_logs_1", "b"), gzip=False)
        assert not await part.open(earlier, keep)
        await part.write(b"anew")
        await part.mark()
        await part.close()
        assert part.path.read_bytes() == b"anew"


@pytest.mark.parametrize("packed", [False, True])
async def test_rewound_file_has_forgotten_what_came_after_the_mark(
    directory: ExportDirectory, packed: bool
) -> None:
    part = await fresh(directory, packed)
    await part.write(PIECES[0])
    mark = await part.mark()
    await part.write(b"too much" * 10_000)
    await part.rewind(mark)
    await part.write(b"too much again")
    await part.rewind(mark)
    for piece in PIECES[1:]:
        await part.write(piece)
    assert await part.mark() == part.path.stat().st_size
    await part.close()
    assert read(part.path, packed) == WHOLE


async def test_empty_compressed_file_is_a_gzip_file(directory: ExportDirectory) -> None:
    part = await fresh(directory, packed=True)
    await part.write(b"")
    await part.mark()
    await part.close()
    assert zlib.decompress(part.path.read_bytes(), 16 + zlib.MAX_WBITS) == b""


async def test_failed_write_shows_at_the_next_call(directory: ExportDirectory) -> None:
    full = ExportDirectory(directory.path, reserve_bytes=2**62)
    part = PartFile(full, full.part("export_logs_1", "a"), gzip=False)
    await part.open(None, 0)
    await part.write(b"x")
    with pytest.raises(OSError, match="No space left"):
        await part.mark()
    await part.close()


def test_directory_knows_its_own_files(directory: ExportDirectory) -> None:
    assert directory.list_files() == []
    directory.path.mkdir()
    for name in ("export_logs_1.a.part", "export_logs_1.b.csv", "export_logs_12.a.csv", "x.csv"):
        (directory.path / name).touch()
    found = sorted((export_id, path.name) for export_id, path in directory.list_files())
    assert found == [
        ("export_logs_1", "export_logs_1.a.part"),
        ("export_logs_1", "export_logs_1.b.csv"),
        ("export_logs_12", "export_logs_12.a.csv"),
    ]
    directory.remove("export_logs_1")
    assert sorted(path.name for path in directory.path.iterdir()) == [
        "export_logs_12.a.csv", "x.csv",
    ]  # fmt: skip
