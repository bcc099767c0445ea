"""Conditions on the metadata: a JSON object as it arrived, its spaces and escapes included. Pure.

To parse the JSON of every line takes three times as long as to look for a text in it. So a line is
parsed only if it contains what a match must contain: `host:node-1` needs `"node-1"` in the text,
unless there are escapes in it. A text without a backslash has none.
"""

import re

from quarterdeck.logs.binding import NUMBER, NUMBER_SQL, Binder, any_of, like_text
from quarterdeck.logs.syntax import Anything, Comparison, Key, Quoted, Regex, Value, Word

SCALARS = "('String', 'Int64', 'UInt64', 'Double', 'Bool')"
NUMBERS = "('Int64', 'UInt64', 'Double')"

WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")

_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
"""What a JSON text cannot have in a string but as an escape."""

_IN_NUMBER = re.compile(r"[0-9.eE+\-]*")
"""What may be a part of a number, which has many notations."""

_CONSTANTS = ("true", "false", "null")


def metadata_condition(key: Key, value: Value, binder: Binder) -> str:
    """Whether a key has such a value; of an array, whether one of its elements has."""
    exact = any_of(*[_at(path, value, binder) for path in key.paths])
    needle = _needle(key, value)
    if needle is None:
        return exact
    # A sum: with OR the engine keeps a column for each side, and takes a fifth longer.
    found = f"position(metadata, {binder.bind(needle)}) + position(metadata, '\\\\') > 0"
    return f"({found} AND {exact})"


def metadata_text(key: Key, binder: Binder) -> str:
    """The value of a key as text; empty if there is none."""
    texts = [f"JSONExtractString({_arguments(path, binder)})" for path in key.paths]
    found = texts[-1]
    for text in reversed(texts[:-1]):
        found = f"if({text} != '', {text}, {found})"
    return found


def _needle(key: Key, value: Value) -> str | None:
    """A text that is in the JSON if it matches and has no escape in it: of the value if that can
    be, which is rarer than the key. To look for two takes longer than to parse a few lines more."""
    match value:
        case Word((text,)) | Quoted(text) if (
            text and _is_string(text) and not NUMBER.fullmatch(text)
        ):
            return f'"{text}"'
        case Word(parts) if len(parts) > 1:
            texts = [part for part in parts if _is_string(part) and not _IN_NUMBER.fullmatch(part)]
            if texts:
                return max(texts, key=len)
    last = min((path[-1] for path in key.paths), key=len)
    return None if _ESCAPED.search(last) else f'{last}"'


def _is_string(text: str) -> bool:
    """Whether what has this text, if it is no number, is a string without escapes."""
    return not (_ESCAPED.search(text) or text in _CONSTANTS)


def _arguments(path: tuple[str, ...], binder: Binder) -> str:
    return ", ".join(["metadata", *map(binder.bind, path)])


def _at(path: tuple[str, ...], value: Value, binder: Binder) -> str:
    place = _arguments(path, binder)
    if isinstance(value, Anything):
        return f"JSONType({place}) != 'Null'"
    itself = _scalar(place, value, binder)
    element = _scalar("element_of_array", value, binder)
    elements = f"JSONExtractArrayRaw({place})"
    return (
        f"({itself} OR (position(metadata, '[') > 0 "
        f"AND arrayExists(element_of_array -> {element}, {elements})))"
    )


def _scalar(place: str, value: Value, binder: Binder) -> str:
    """Whether the value at a place, if it is neither an array nor an object, is as wanted."""
    text = f"JSONExtractString({place})"
    kind = f"JSONType({place})"
    match value:
        case Word((wanted,)) | Quoted(wanted):
            return _equal(place, wanted, binder)
        case Word(parts):
            like = f"{text} LIKE {binder.bind('%'.join(map(like_text, parts)))}"
            # What begins otherwise is not the text of an array, an object, or of nothing.
            is_told = parts[0] and parts[0][0] not in "[{"
            return like if is_told else f"({like} AND {kind} IN {SCALARS})"
        case Regex():
            return f"(match({text}, {binder.regex(value)}) AND {kind} IN {SCALARS})"
        case Comparison(operator, wanted) if NUMBER.fullmatch(wanted):
            number = binder.bind(float(wanted), "Float64")
            return (
                f"(toFloat64OrZero({text}) {operator} {number} AND match({text}, '{NUMBER_SQL}'))"
            )
        case Comparison(operator, wanted):
            return f"({kind} = 'String' AND {text} {operator} {binder.bind(wanted)})"
    raise AssertionError(value)


def _equal(place: str, wanted: str, binder: Binder) -> str:
    text = f"JSONExtractString({place})"
    kind = f"JSONType({place})"
    same = f"{text} = {binder.bind(wanted)}"
    if not wanted:
        return f"({kind} = 'String' AND {same})"
    if wanted[0] in "[{":
        return f"({same} AND {kind} = 'String')"
    if wanted == "null":
        return any_of(same, f"JSONExtractRaw({place}) = 'null'")
    if NUMBER.fullmatch(wanted) and not WHOLE.fullmatch(wanted):
        number = binder.bind(float(wanted), "Float64")
        return f"({same} OR ({kind} IN {NUMBERS} AND JSONExtractFloat({place}) = {number}))"
    return same
