"""The platform's log format: one JSON object a line. Pure.

`timestamp`, `level`, `service`, `message`, `request_id`, `user_id`, `tenant_id` are the fields of a
line. `error` with `type`, `message` and `stack_trace` becomes `error_type`, `error_message` and
`stack_trace` in the metadata; anything else, and the entries of an object called `metadata`, are
the metadata, their JSON text byte for byte. `null` and an empty text say that there is no value.
Where two want one name, the entry beside the fields wins; the one from the `metadata` object is
then called `metadata.<name>`, the one from the `error` object `error.<name>`.

What the senders of other formats call a field is understood (`ALIASES` and `IDS` in `vocabulary`)
where the field itself is missing. A name used that way is no metadata any more.

**When `original` holds the line as it came: whenever the fields, read by the paragraph above, do
not give back the same JSON object.** That is: a field of another type than text, a field under
another name, a timestamp that is not ISO 8601 in UTC to the microsecond (or of a date and time
without a zone, which the mark says), a name that was there twice, text that was cut or repaired,
a timestamp that was replaced by the time of arrival. White space, the order of names and the way
a character is escaped are not looked at. `texts.original_bytes` gives the bytes back.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from quarterdeck.logs.drafts import Draft, LineRejected
from quarterdeck.logs.levels import find_level
from quarterdeck.logs.model import Line
from quarterdeck.logs.objects import (
    NULL,
    OBJECT,
    has_duplicates,
    is_scalar,
    is_text,
    read_object,
    text_of,
    within,
)
from quarterdeck.logs.texts import sound_json
from quarterdeck.logs.timestamps import find_moment
from quarterdeck.logs.vocabulary import (
    ERROR_NAMES,
    FIELD_OF,
    ID_OF,
    OTHER_ERROR_NAMES,
    PLATFORM,
    SCALES,
    Vocabulary,
)

__all__ = ["LineRejected", "fill", "normalise", "read_line"]

NAMES = ("service", "request_id", "user_id", "tenant_id")

_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)

BOM = b"\xef\xbb\xbf"


def read_line(raw: bytes, arrival: datetime, oldest: datetime) -> Line:
    """Read one line of NDJSON.

    Raises:
        LineRejected: it is no JSON object, says nothing, or is older than `oldest`.
    """
    raw = raw.strip(b" \t\r\n").removeprefix(BOM)
    sound, repaired = sound_json(raw)
    try:
        record = read_object(sound)
    except msgspec.DecodeError as error:
        raise LineRejected(f"not a JSON object: {error}") from error
    except RecursionError as error:
        raise LineRejected("nested too deeply") from error
    draft = Draft(arrival, oldest)
    if repaired:
        draft.repaired()
    return fill(draft, record, raw)


def normalise(
    record: Mapping[str, Raw], arrival: datetime, oldest: datetime, original: bytes | str
) -> Line:
    """Make a line of the JSON object `record` whose text is `original`.

    Raises:
        LineRejected: it says nothing, or is older than `oldest`.
    """
    return fill(Draft(arrival, oldest), record, original)


def fill(
    draft: Draft,
    record: Mapping[str, Raw],
    original: bytes | str,
    vocabulary: Vocabulary = PLATFORM,
) -> Line:
    """As `normalise`, into a draft that something is known of already."""
    try:
        return _fill(draft, record, original, vocabulary)
    except RecursionError as error:  # objects within are read from deeper down the stack
        raise LineRejected("nested too deeply") from error


def _fill(
    draft: Draft, record: Mapping[str, Raw], original: bytes | str, vocabulary: Vocabulary
) -> Line:
    draft.changed |= has_duplicates(record, original)
    known = len(draft.metadata)
    reader = _Reader(dict(record), draft, vocabulary.fields)
    _take_timestamp(reader)
    _take_level(reader)
    for name in NAMES:
        _take_name(reader, name)
    has_message = _take_message(reader)
    _take_metadata(reader.rest, draft, vocabulary.metadata)
    if not has_message and len(draft.metadata) == known and not draft.whole_metadata:
        raise LineRejected("it has neither a message nor metadata")
    return draft.line(lambda: original)


class _Reader:
    """The names of one object that are not used yet."""

    def __init__(self, rest: dict[str, Raw], draft: Draft, names: Mapping[str, str]) -> None:
        self.rest = rest
        self.draft = draft
        self._names = names
        self._aliases: dict[str, list[tuple[int, str, str]]] | None = None

    def take(self, field: str) -> Raw | None:
        """The field itself; `null` is none."""
        name = self._names[field]
        value = self.rest.pop(name, None)
        if value is None and "." in name:
            value = within(self.rest, name)
        return None if value is None or memoryview(value)[0] == NULL else value

    def others(self, field: str) -> Iterable[tuple[str, str]]:
        """Other names of it that are there: as in `ALIASES` or `IDS`, and as it is here."""
        if self._aliases is None:
            self._aliases = self._find_aliases()
        found = self._aliases.get(field)
        return [pair[1:] for pair in sorted(found) if pair[2] in self.rest] if found else ()

    def _find_aliases(self) -> dict[str, list[tuple[int, str, str]]]:
        found: dict[str, list[tuple[int, str, str]]] = {}
        for name in self.rest:
            # journald's; in lower case it may be the priority of anything.
            alias = "severity" if name == "PRIORITY" else name.lower()
            place = FIELD_OF.get(alias) or ID_OF.get(name)
            if place is not None:
                field, rank = place
                found.setdefault(field, []).append((rank, alias, name))
        return found

    def use(self, name: str) -> None:
        """This other name became a field."""
        del self.rest[name]
        self.draft.changed = True


def _take_timestamp(reader: _Reader) -> None:
    draft = reader.draft
    value = reader.take("timestamp")
    if value is not None and (text := text_of(value)):
        draft.set_moment(find_moment(text, draft.arrival))
        return
    for alias, name in reader.others("timestamp"):
        value = reader.rest[name]
        moment = find_moment(text_of(value), draft.arrival) if is_scalar(value) else None
        # `time` may be how long something took, `date` the date of something else.
        if alias == "@timestamp" or (moment is not None and moment.at >= _YEAR_2000):
            reader.use(name)
            draft.set_moment(moment)
            return


def _take_level(reader: _Reader) -> None:
    draft = reader.draft
    value = reader.take("level")
    if value is not None and (text := text_of(value)):
        draft.changed |= not is_text(value)
        draft.set_level(text)
        return
    for alias, name in reader.others("level"):
        value = reader.rest[name]
        text = text_of(value) if is_scalar(value) else ""
        scale = SCALES.get(alias)
        if find_level(text, scale) is not None:
            reader.use(name)
            draft.set_level(text, scale)
            return


def _take_name(reader: _Reader, field: str) -> None:
    draft = reader.draft
    value = reader.take(field)
    if value is not None:
        draft.changed |= not is_text(value)
    else:
        for _, name in reader.others(field):
            if is_scalar(reader.rest[name]) and text_of(reader.rest[name]):
                value = reader.rest[name]
                reader.use(name)
                break
    if value is not None:
        setattr(draft, field, text_of(value))


def _take_message(reader: _Reader) -> bool:
    value = reader.take("message")
    if value is not None:
        reader.draft.changed |= not is_text(value)
    else:
        for _, name in reader.others("message"):
            if is_text(reader.rest[name]):
                value = reader.rest[name]
                reader.use(name)
                break
    if value is not None:
        reader.draft.message = text_of(value)
    return value is not None


def _take_metadata(rest: dict[str, Raw], draft: Draft, names: Mapping[str, str]) -> None:
    nested = _pop_object(rest, "metadata")
    error = _pop_object(rest, "error")
    if error is None and (error := _pop_object(rest, "err")) is not None:
        draft.changed = True
    if nested is not None and not error and not rest and not draft.metadata:
        draft.whole_metadata = nested
        return
    if names or draft.metadata:
        for name, value in rest.items():
            draft.note(names.get(name, name), value, "metadata")
    else:
        draft.metadata.update(rest)
    for path, name in names.items():
        if path not in rest and (found := within(rest, path)) is not None:
            draft.note(name, found, "metadata")
    for name, value in _entries(nested, draft):
        draft.note(name, value, "metadata")
    for name, value in _entries(error, draft):
        _note_error(name, value, draft)


def _note_error(name: str, value: Raw, draft: Draft) -> None:
    target = ERROR_NAMES.get(name)
    if target is None and (target := OTHER_ERROR_NAMES.get(name)) is not None:
        draft.changed = True
    if target is None or target in draft.metadata:
        target = f"error.{name}"
    draft.note(target, value, "error")


def _pop_object(rest: dict[str, Raw], name: str) -> Raw | None:
    """An object with entries. `null`, and `metadata` without any, are removed; others stay."""
    value = rest.get(name)
    if value is None:
        return None
    first = memoryview(value)[0]
    empty = first == OBJECT and not bytes(value)[1:-1].strip()
    if (first == NULL and name != "err") or (empty and name == "metadata"):
        del rest[name]
    return rest.pop(name) if first == OBJECT and not empty else None


def _entries(value: Raw | None, draft: Draft) -> Iterable[tuple[str, Raw]]:
    if value is None:
        return ()
    record = read_object(value)
    draft.changed |= has_duplicates(record, bytes(value))
    return record.items()
