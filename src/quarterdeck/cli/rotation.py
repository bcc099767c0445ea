"""Where lines are after a rotation: files beside the one that is followed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from quarterdeck.cli.positions import Identity

_NUMBER = re.compile(r"[.\-_](\d{1,4})\Z")
_SUFFIX = r"[.\-_](?:\d[\dTZ:._\-]*|old|bak|backup|prev)"
"""`.1`, `-20261124`, `.2026-11-24T10:00`, `.old`; what is compressed cannot be read."""

_Candidate = tuple[int, int, Path]


def beside(path: str) -> Iterator[tuple[Path, os.stat_result]]:
    """All files in the directory of what `path` leads to, through links."""
    try:
        entries = sorted(Path(os.path.realpath(path)).parent.iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            yield entry, entry.stat()
        except OSError:
            continue


def find_identity(path: str, identity: Identity) -> Path | None:
    """Where the file with this inode is now."""
    for entry, state in beside(path):
        if (state.st_dev, state.st_ino) == identity:
            return entry
    return None


def rotated_since(path: str, mtime_ns: int) -> list[Path]:
    """Files that by their names and times came from `path` after that, oldest first."""
    real = Path(os.path.realpath(path))
    name = _rotated_name(real)
    found: list[_Candidate] = []
    for entry, state in beside(path):
        if name.fullmatch(entry.name) and entry != real and state.st_mtime_ns >= mtime_ns:
            found.append((state.st_mtime_ns, -_number(entry.name), entry))
    return [entry for _, _, entry in sorted(found)]


def _rotated_name(path: Path) -> re.Pattern[str]:
    """`app.log.1`, `app.log-20261124`, `app-2026-11-24.log`."""
    whole, stem, ending = map(re.escape, (path.name, path.stem, path.suffix))
    return re.compile(rf"{whole}{_SUFFIX}|{stem}{_SUFFIX}{ending}")


def _number(name: str) -> int:
    """`.2` is older than `.1`, when both changed within one tick of the clock."""
    match = _NUMBER.search(name)
    return int(match[1]) if match else 0
