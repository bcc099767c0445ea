"""A line while it is being written: the rules that hold whatever protocol it came by. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Raw

from quarterdeck.logs.levels import Scale, find_level
from quarterdeck.logs.model import MAX_NAME, Level, Line, Mark
from quarterdeck.logs.objects import encode
from quarterdeck.logs.texts import cut_message, kept
from quarterdeck.logs.timestamps import AHEAD, EPOCH, Moment, stamp

_EMPTY = Raw(b"{}")


class LineRejected(Exception):
    """This line cannot be taken; `reason` tells its sender why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Draft:
    """Fill in what the protocol says, then take the `line`."""

    arrival: datetime
    oldest: datetime
    """Before this the retention would remove a line at once."""
    service: str = ""
    message: str = ""
    request_id: str = ""
    user_id: str = ""
    tenant_id: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    """Values are `Raw`, or what JSON can say."""
    whole_metadata: Raw | None = None
    """Stored as it is, in place of `metadata`."""
    marks: set[Mark] = field(default_factory=set)
    changed: bool = False
    """The fields do not say all that arrived, so `original` must."""
    _at: datetime | None = None
    _level: Level | None = None
    _level_original: str = ""
    _has_time: bool = False

    def set_moment(self, moment: Moment | None) -> None:
        """When it was; None: what was sent could not be read.

        Raises:
            LineRejected: so old that it would be removed at once.
        """
        self._has_time = True
        if moment is None:
            self._distrust(Mark.TIMESTAMP_UNREADABLE)
        elif not EPOCH <= moment.at <= self.arrival + AHEAD:
            self._distrust(Mark.TIMESTAMP_OUT_OF_RANGE)
        elif moment.at < self.oldest:
            days = round((self.arrival - self.oldest) / timedelta(days=1))
            raise LineRejected(
                f"older than the retention of {days} days; it would be removed at once"
            )
        else:
            self._at = moment.at
            self.changed |= not moment.exact
            if moment.assumed_utc:
                self.marks.add(Mark.TIMESTAMP_ASSUMED_UTC)

    def set_level(self, text: str, scale: Scale | None = None) -> None:
        """Its level as sent."""
        level = find_level(text, scale)
        if level is None:
            self.marks.add(Mark.LEVEL_UNKNOWN)
        self.grade(level or Level.INFO, text)

    def grade(self, level: Level, original: str) -> None:
        """Its level, and how the protocol called it."""
        self._level = level
        self._level_original = "" if original == level else self.fit(original)

    def fit(self, name: str) -> str:
        """A name, no longer than names may be."""
        if len(name) <= MAX_NAME:
            return name
        self._distrust(Mark.CUT)
        return name[:MAX_NAME]

    def repaired(self) -> None:
        """Note that something in it was no text and had to be replaced."""
        self._distrust(Mark.REPAIRED)

    def cut(self) -> None:
        """Note that it did not come whole."""
        self.marks.add(Mark.CUT)

    def note(self, name: str, value: object, prefix: str) -> None:
        """Add to the metadata; a name that is taken gets `prefix.` before it."""
        while name in self.metadata:
            name = f"{prefix}.{name}"
        self.metadata[name] = value

    def _distrust(self, mark: Mark) -> None:
        self.marks.add(mark)
        self.changed = True

    def line(self, original: Callable[[], bytes | str]) -> Line:
        """The line as it is to be stored; `original` gives all of what arrived, if it must."""
        if not self._has_time:
            self.marks.add(Mark.TIMESTAMP_MISSING)
        if self._level is None:
            self.marks.add(Mark.LEVEL_MISSING)
        message = cut_message(self.message)
        if message is not self.message:
            self._distrust(Mark.CUT)
        metadata = self.whole_metadata or (Raw(encode(self.metadata)) if self.metadata else _EMPTY)
        service, request_id = self.fit(self.service), self.fit(self.request_id)
        user_id, tenant_id = self.fit(self.user_id), self.fit(self.tenant_id)
        return Line(
            timestamp=stamp(self._at or self.arrival),
            level=(self._level or Level.INFO).value,
            service=service,
            message=message,
            request_id=request_id,
            user_id=user_id,
            tenant_id=tenant_id,
            metadata=metadata,
            level_original=self._level_original,
            marks=",".join(sorted(self.marks)),
            original=kept(original()) if self.changed else "",
        )
