"""What an expression of the query language means: a tree that never changes. Pure.

`query.parse` makes it, `conditions.where` turns it into SQL. docs/query-language.md is its guide.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quarterdeck.logs.model import Level


class Field(StrEnum):
    """What every line has a place for; any other name is a key of the metadata."""

    TIMESTAMP = "timestamp"
    LEVEL = "level"
    SERVICE = "service"
    MESSAGE = "message"
    REQUEST_ID = "request_id"
    USER_ID = "user_id"
    TENANT_ID = "tenant_id"


@dataclass(frozen=True, slots=True)
class Key:
    """A name in the metadata. `a.b` may be the key `a.b`, or `b` inside of `a`: all are tried."""

    paths: tuple[tuple[str, ...], ...]


class Operator(StrEnum):
    """How a field's value compares with the one that was given."""

    MORE = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Word:
    """Text without quotes. More than one part: there was a `*` between them."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quoted:
    """Text in quotes: nothing in it has a meaning of its own."""

    text: str


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression of RE2, known to be valid."""

    pattern: str
    ignores_case: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Greater or less than a number or a text."""

    operator: Operator
    text: str


@dataclass(frozen=True, slots=True)
class Anything:
    """`field:*`: the field is there."""


@dataclass(frozen=True, slots=True)
class Levels:
    """One of these levels."""

    names: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `start` on and before `end`. None: no bound."""

    start: datetime | None
    end: datetime | None


Value = Word | Quoted | Regex | Comparison | Anything | Levels | Span


@dataclass(frozen=True, slots=True)
class Match:
    """A field has such a value. Of `LEVEL` it is `Levels`, of `TIMESTAMP` a `Span`."""

    field: Field | Key
    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """The line does not match `term`; a line without the field in it does not either."""

    term: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of them; none at all: every line."""

    terms: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them."""

    terms: tuple["Node", ...]


Node = And | Or | Not | Match
