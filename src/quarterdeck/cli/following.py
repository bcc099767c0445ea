"""Which files are read: those at the given paths, and what they were before a rotation.

A file is known by its inode, so a renamed one is read to its end, also by a later run. When the
file at a path is another one than before, or was truncated, what came in between is looked for
among the rotated files beside it: several rotations between two looks lose nothing.
"""

import errno
import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from quarterdeck.cli.followed import FollowedFile
from quarterdeck.cli.positions import Identity, Position, Positions
from quarterdeck.cli.render import say
from quarterdeck.cli.rotation import beside, find_identity, rotated_since

LINGER_S = 600.0
"""A rotated file is closed when nobody wrote to it for so long."""


class Follower:
    """The open files of all patterns, by path, each path's oldest first."""

    def __init__(
        self,
        patterns: Sequence[str],
        positions: Positions,
        *,
        from_start: bool,
        linger_s: float = LINGER_S,
    ) -> None:
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]  # noqa: PTH100 - globs
        self._positions = positions
        self._from_start = from_start
        self._linger_s = linger_s
        self._files: dict[str, list[FollowedFile]] = {}
        self._told: set[tuple[str, str]] = set()
        self._is_fresh = True

    def __iter__(self) -> Iterator[Sequence[FollowedFile]]:
        """The files of each path, oldest first: the next one's lines come after its own."""
        yield from [list(files) for files in self._files.values()]

    def scan(self) -> None:
        """Open what is new, follow what was renamed, close what is at its end."""
        if self._is_fresh:
            self._is_fresh = False
            self._resume()
        seen: set[str] = set()
        for pattern in self._patterns:
            is_new = pattern not in self._positions.patterns
            for path in _paths(pattern):
                seen.add(path)
                self._look(path, at_end=is_new and not self._from_start)
            self._positions.patterns.add(pattern)
            if is_new:
                self._positions.save()
        for path, files in list(self._files.items()):
            if path not in seen:
                self._mark_gone(path)
            self._retire(files)
            if not files and path not in seen:
                del self._files[path]

    def is_ending(self, file: FollowedFile) -> bool:
        """Whether the file was rotated away, and nobody writes to it any more."""
        return not file.is_there and file.is_quiet_for(self._linger_s)

    def close(self) -> None:
        """Close all files."""
        for files in self._files.values():
            for file in files:
                file.close()
        self._files.clear()

    def _look(self, path: str, *, at_end: bool) -> None:
        for file in list(self._files.get(path, ())):
            self._check_truncated(path, file)
        try:
            state = Path(path).stat()
        except OSError as error:
            self._tell(path, error)
            self._mark_gone(path)
            before = self._predecessor(path)
            if before is not None and path in self._files:
                is_found = self._is_open(before.identity)
                self._files[path] += self._unseen(path, before, is_found=is_found)
            return
        self._files.setdefault(path, [])
        last = self._last(path)
        if last is None or last.identity != (state.st_dev, state.st_ino):
            self._open(path, (state.st_dev, state.st_ino), at_end=at_end)
        else:
            last.is_there, last.mtime_ns = True, state.st_mtime_ns

    def _check_truncated(self, path: str, file: FollowedFile) -> None:
        """Begin anew in a file that was, after what was copied from it."""
        mtime_ns = file.current_mtime_ns()
        is_truncated = file.is_truncated()
        # Written to, copied and truncated since we last looked: of nothing, only the time can tell.
        if is_truncated or (file.offset == 0 and file.mtime_ns != mtime_ns):
            index = self._files[path].index(file)
            copies = self._unseen(path, file.position(), is_found=not is_truncated)
            self._files[path][index:index] = copies
            file.mtime_ns = mtime_ns
        if is_truncated:
            file.move_to(0)
            self._positions.put(file.position())

    def _open(self, path: str, identity: Identity, *, at_end: bool) -> None:
        """Open the file that is at the path now."""
        before = self._predecessor(path)
        self._mark_gone(path)
        if self._is_open(identity):
            return  # rotated within the pattern: it is followed as what it was before
        try:
            file = FollowedFile(Path(path), path)
        except OSError as error:
            self._tell(path, error)
            return
        if before is not None:
            self._replace(path, before, file.identity)
        if before is None and at_end:
            self._pass_over_older(path)
        self._place(file, is_new=before is not None or not at_end)
        file.is_last = file.is_there = True
        self._files[path].append(file)
        self._positions.put(file.position())
        self._forget_gone(path)

    def _replace(self, path: str, before: Position, now: Identity) -> None:
        """Another file is at the path than before: go on with what was in between."""
        is_found = self._is_open(before.identity)
        between = self._unseen(path, before, is_found=is_found)
        is_found = is_found or any(file.fits(before) for file in between)
        if not is_found and before.identity != now:
            say(
                f"quarterdeck: {path}: the file that was read up to byte {before.offset} is gone; "
                "what was written to it after that is not sent."
            )
        self._files[path] += between
        for file in self._files[path]:
            file.is_last = False
            self._positions.put(file.position())
        self._positions.supersede(path)

    def _pass_over_older(self, path: str) -> None:
        """Who begins at the end of a file wants nothing of those that were rotated before."""
        for entry in rotated_since(path, 0):
            file = self._opened(entry, path)
            if file is not None:
                if not self._is_known(file):
                    file.skip_to_last_line()
                    self._positions.put(file.position())
                file.close()

    def _place(self, file: FollowedFile, *, is_new: bool) -> None:
        saved = self._positions.find(file.identity)
        if saved is not None and file.fits(saved):
            file.move_to(saved.offset, saved.part)
        elif not is_new:
            file.skip_to_last_line()

    def _resume(self) -> None:
        """Open the files of a former run, wherever they are now."""
        for path in self._positions.paths():
            if not any(_matches(path, pattern) for pattern in self._patterns):
                continue
            files = self._files[path] = []
            for saved in self._positions.of(path):
                entry = find_identity(path, saved.identity)
                file = self._opened(entry, path) if entry else None
                if file is not None and file.fits(saved) and not self._is_open(file.identity):
                    file.move_to(saved.offset, saved.part)
                    file.is_last, file.mtime_ns = saved.is_last, saved.mtime_ns
                    files.append(file)
                elif file is not None:
                    file.close()

    def _predecessor(self, path: str) -> Position | None:
        """What was at the path when we last looked, in this run or a former one."""
        last = self._last(path)
        if last is not None:
            return last.position()
        return next((saved for saved in self._positions.of(path) if saved.is_last), None)

    def _unseen(self, path: str, before: Position, *, is_found: bool) -> list[FollowedFile]:
        """Rotated files that we never saw at the path, after what we saw last.

        One that begins with all that we read was copied before it was truncated: the rest of it
        is read. `is_found`: the file itself is still there, so no copy has to stand for it.
        """
        files = []
        for entry in rotated_since(path, before.mtime_ns):
            file = self._opened(entry, path)
            if file is None:
                continue
            if self._is_known(file):
                file.close()
                continue
            if not is_found and before.head_bytes and file.fits(before):
                file.move_to(before.offset, before.part)
                is_found = True
            self._positions.put(file.position())
            files.append(file)
        return files

    def _is_known(self, file: FollowedFile) -> bool:
        """Whether it is or was followed; of an empty one nobody can tell."""
        if self._is_open(file.identity):
            return True
        known = self._positions.find(file.identity)
        return known is not None and known.head_bytes > 0 and file.fits(known)

    def _opened(self, entry: Path, path: str) -> FollowedFile | None:
        try:
            return FollowedFile(entry, path)
        except OSError as error:
            self._tell(str(entry), error)
            return None

    def _mark_gone(self, path: str) -> None:
        """The file that was at the path is there no more."""
        for file in self._files.get(path, ()):
            file.is_there = False

    def _last(self, path: str) -> FollowedFile | None:
        return next((file for file in self._files.get(path, ()) if file.is_last), None)

    def _is_open(self, identity: Identity) -> bool:
        return any(file.identity == identity for files in self._files.values() for file in files)

    def _retire(self, files: list[FollowedFile]) -> None:
        for file in list(files):
            if self.is_ending(file) and file.is_read():
                file.close()
                files.remove(file)

    def _forget_gone(self, path: str) -> None:
        there = {(state.st_dev, state.st_ino) for _, state in beside(path)}
        for saved in self._positions.of(path):
            if saved.identity not in there and not self._is_open(saved.identity):
                self._positions.forget(saved.identity)

    def _tell(self, path: str, error: OSError) -> None:
        """Once for each path and reason; a path that was there may be missing for a moment."""
        reason = error.strerror or str(error)
        is_rotation = error.errno == errno.ENOENT and path in self._files
        if not is_rotation and (path, reason) not in self._told:
            self._told.add((path, reason))
            say(f"quarterdeck: {path}: {reason}. It is looked at again.")


def _matches(path: str, pattern: str) -> bool:
    return path == pattern or fnmatch.fnmatchcase(path, pattern)


def _paths(pattern: str) -> list[str]:
    """The files that match; a name with brackets in it may also be meant as it is."""
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of absolute patterns
