"""The composition root: the only caller of constructors."""

from pathlib import Path

from quarterdeck import access, work

MIGRATIONS = tuple(Path(room.__path__[0]) / "migrations" for room in (work, access))
"""Schema versions of every room that keeps state."""
