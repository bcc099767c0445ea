"""What a search means, written once more from the words of docs/query-language.md, without SQL.

A line is a dict of the columns' names; `timestamp` is an aware datetime, `metadata` JSON text.
"""

import json
import re
from datetime import datetime
from typing import Any

import re2  # type: ignore[import-untyped]

from quarterdeck.logs.model import BY_SEVERITY, Filter
from quarterdeck.logs.query import parse
from quarterdeck.logs.syntax import (
    And,
    Anything,
    Comparison,
    Field,
    Key,
    Levels,
    Match,
    Node,
    Not,
    Operator,
    Or,
    Quoted,
    Regex,
    Span,
    Value,
    Word,
)

Line = dict[str, Any]

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
SPACES = "\t\n\v\f\r "
MISSING = object()

OPTIONS = re2.Options()
OPTIONS.dot_nl = True
OPTIONS.log_errors = False


def matches(wanted: Filter | Node, line: Line) -> bool:
    if not isinstance(wanted, Filter):
        return fits(wanted, line)
    same = all(
        getattr(wanted, name) in {None, line[name]}
        for name in ("level", "service", "request_id", "user_id", "tenant_id")
    )
    return (
        same
        and (wanted.min_level is None or severity(line["level"]) >= severity(wanted.min_level))
        and (wanted.start is None or line["timestamp"] >= wanted.start)
        and (wanted.end is None or line["timestamp"] <= wanted.end)
        and (wanted.query is None or fits(parse(wanted.query), line))
    )


def severity(level: str) -> int:
    return [str(known) for known in BY_SEVERITY].index(level)


def fits(node: Node, line: Line) -> bool:
    match node:
        case And(terms):
            return all(fits(term, line) for term in terms)
        case Or(terms):
            return any(fits(term, line) for term in terms)
        case Not(term):
            return not fits(term, line)
        case Match(Key(paths), value):
            found = [follow(decoded(line["metadata"]), path) for path in paths]
            return any(json_fits(value, item) for item in found if item is not MISSING)
        case Match(Field() as name, value):
            return field_fits(name, value, line[name])
    raise AssertionError(node)


def field_fits(name: Field, value: Value, found: Any) -> bool:
    match value:
        case Levels(names):
            return found in names
        case Span(start, end):
            return in_span(found, start, end)
    # A field without a value is the empty text.
    return message_fits(value, found) if name is Field.MESSAGE else text_fits(value, found)


def in_span(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or at >= start) and (end is None or at < end)


# Messages


def folded(text: str) -> str:
    return text.lower().replace("ς", "σ")  # noqa: RUF001


def is_token_sign(sign: str) -> bool:
    return sign.isalnum() if sign.isascii() else True


def message_fits(value: Value, message: str) -> bool:
    match value:
        case Anything():
            return message != ""
        case Quoted(text):
            return folded(text) in folded(message)
        case Word(parts):
            return word_fits([folded(part) for part in parts], folded(message))
        case Regex():
            return regex_fits(value, message)
    raise AssertionError(value)


def word_fits(parts: list[str], message: str) -> bool:
    if not any(parts):
        return True
    return any(
        word_ends(parts, message, at)
        for at in range(len(message) + 1)
        if starts(parts, message, at)
    )


def starts(parts: list[str], message: str, at: int) -> bool:
    """The word may begin here: not in the middle of a token, unless it begins with a `*`."""
    return (
        not parts[0]
        or not is_token_sign(parts[0][0])
        or at == 0
        or not is_token_sign(message[at - 1])
    )


def word_ends(parts: list[str], message: str, at: int) -> bool:
    """Everywhere the word may end, if it begins at `at`; a `*` is a run without white space."""
    ends = {at}
    for index, part in enumerate(parts):
        if index:
            ends = {after for end in ends for after in runs(message, end)}
        ends = {end + len(part) for end in ends if message.startswith(part, end)}
    last = parts[-1]
    return any(
        not last
        or not is_token_sign(last[-1])
        or end == len(message)
        or not is_token_sign(message[end])
        for end in ends
    )


def runs(message: str, start: int) -> list[int]:
    end = start
    while end < len(message) and message[end] not in SPACES:
        end += 1
    return list(range(start, end + 1))


def regex_fits(regex: Regex, text: str) -> bool:
    pattern = f"(?i){regex.pattern}" if regex.ignores_case else regex.pattern
    return re2.compile(pattern, OPTIONS).search(text) is not None


# Other fields


def text_fits(value: Value, text: str) -> bool:
    match value:
        case Anything():
            return text != ""
        case Word((one,)) | Quoted(one):
            return text == one
        case Word(parts):
            return bool(re.fullmatch(".*".join(map(re.escape, parts)), text, re.DOTALL))
        case Regex():
            return text != "" and regex_fits(value, text)
        case Comparison(operator, operand) if NUMBER.fullmatch(operand):
            return NUMBER.fullmatch(text) is not None and compare(
                operator, float(text), float(operand)
            )
        case Comparison(operator, operand):
            return text != "" and compare(operator, text.encode(), operand.encode())
    raise AssertionError(value)


def compare(operator: Operator, left: Any, right: Any) -> bool:
    return bool(
        {
            Operator.MORE: left > right,
            Operator.AT_LEAST: left >= right,
            Operator.LESS: left < right,
            Operator.AT_MOST: left <= right,
        }[operator]
    )


# Metadata


class First(dict[str, Any]):
    """Of keys that are there twice, the first counts."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__()
        for key, value in pairs:
            self.setdefault(key, value)


def decoded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=First, parse_int=whole)


def whole(digits: str) -> int | str:
    """A whole number beyond 64 bits is the text of its digits."""
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else digits


def follow(found: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return MISSING
        found = found[key]
    return found


def json_fits(value: Value, found: Any) -> bool:
    if isinstance(value, Anything):
        return found is not None
    if isinstance(found, list):
        return any(scalar_fits(value, unsigned_zero(item)) for item in found)
    return scalar_fits(value, found)


def unsigned_zero(found: Any) -> Any:
    """The engine writes the elements of an array anew, and -0.0 as -0, which is 0."""
    return 0 if isinstance(found, float) and found == 0 else found


def scalar_fits(value: Value, found: Any) -> bool:
    if found is None:
        return value in {Word(("null",)), Quoted("null")}
    if isinstance(found, dict | list):
        return False
    return string_fits(value, found) if isinstance(found, str) else plain_fits(value, found)


def plain_fits(value: Value, found: bool | float) -> bool:
    text = plain(found)
    match value:
        case Word((one,)) | Quoted(one):
            if isinstance(found, bool) or WHOLE.fullmatch(one) or not NUMBER.fullmatch(one):
                return text == one
            return text == one or float(found) == float(one)
        case Comparison(_, operand) if not NUMBER.fullmatch(operand) or isinstance(found, bool):
            return False
    return string_fits(value, text)


def string_fits(value: Value, text: str) -> bool:
    match value:
        case Regex():
            return regex_fits(value, text)
        case Comparison(operator, operand) if not NUMBER.fullmatch(operand):
            return compare(operator, text.encode(), operand.encode())
    return text_fits(value, text)


def plain(found: bool | float) -> str:
    """`true`, `12`, `0.5`, `1e21`: the shortest notation, without an exponent from 1e-6 to 1e21."""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, int):
        return str(found)
    digits, _, exponent = repr(found).partition("e")
    if not exponent and not digits.endswith(".0"):
        return digits
    power = int(exponent or 0)
    digits = digits.removesuffix(".0")
    if power >= 21 or power < -6:
        return f"{digits}e{power}"
    if power < 0:
        sign, number = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
        return f"{sign}0.{'0' * (-power - 1)}{number.replace('.', '')}"
    return (
        f"{found:.0f}"
        if power < 16
        else digits.replace(".", "") + "0" * (power - len(digits.partition(".")[2]))
    )
