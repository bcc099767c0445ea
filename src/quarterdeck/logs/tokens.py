"""The words and signs of an expression of the query language. Pure."""

import re
from dataclasses import dataclass, replace
from enum import Enum, auto

from quarterdeck.core.errors import InvalidRequest

MAX_QUERY = 4096
"""Characters of an expression."""

CONTEXT = 30
"""Characters that an error shows on either side of its place."""

MAX_SPLITS = 6
"""Parts without quotes of a dotted name: each of their 32 groupings is looked up."""

TOO_MANY_PARTS = (
    f"put a dotted name of more than {MAX_SPLITS} parts in quotes, as far as it is one key: "
    'metadata."a.b.c":value.'
)

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
_BARE = re.compile(r"(?:\\.|[^\s()\\]|\\)+", re.DOTALL)
_PIECE = re.compile(r"\\([\W_])|(\*)|(.)", re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_QUOTED_ESCAPE = re.compile(r'\\(["\\])')
_REGEX = re.compile(r"/((?:\\.|[^/\\])+)/(i?)(?=[\s()]|\Z)", re.DOTALL)
_SEGMENT = r'(?:"(?:\\.|[^"\\])+"|[^\W\d][\w@-]*|@[\w@-]+)'
_FURTHER = r'(?:"(?:\\.|[^"\\])+"|[\w@-]+)'
# `https://...` and `std::string` are words.
_NAME = re.compile(rf"{_SEGMENT}(?:\.{_FURTHER})*:(?!//|:)", re.DOTALL)
_NAME_PART = re.compile(rf"({_FURTHER})[.:]", re.DOTALL)
_OPERATOR = re.compile(r"[<>]=?")
_NEGATION = re.compile(r"-(?![\s\->)]|\Z)")
_LIKE_A_REGEX = re.compile(r"/\S*[\[\]|^\\]")
_RESERVED = ("AND", "OR", "NOT")


class Kind(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    NAME = auto()
    OPERATOR = auto()
    WORD = auto()
    QUOTED = auto()
    REGEX = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A word or sign. `at` is the index of its first character.

    `parts`: of a name its segments, of a word what is around its `*`, of a regular expression its
    pattern and flags, else one text.
    """

    kind: Kind
    at: int
    parts: tuple[str, ...] = ("",)
    exact: tuple[bool, ...] = ()
    """Of a name: which segments were in quotes."""


def trouble(text: str, at: int, message: str) -> InvalidRequest:
    """The error about the character at index `at`: where, what, and a picture of it."""
    start, end = max(0, at - CONTEXT), at + CONTEXT
    shown = "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text[start:end])
    caret = " " * (at - start) + "^"
    return InvalidRequest.of("query", f"at character {at + 1}: {message}\n{shown}\n{caret}")


def tokenize(text: str) -> list[Token]:
    """All tokens, `END` as the last one.

    Raises:
        InvalidRequest: with the position of what cannot be read.
    """
    if len(text) > MAX_QUERY:
        raise trouble(text, MAX_QUERY, f"shorten the query to {MAX_QUERY} characters.")
    if half := _SURROGATE.search(text):
        raise trouble(text, half.start(), "remove this half of a character (a lone surrogate).")
    return list(_Scanner(text).tokens())


def read_name(text: str) -> Token | None:
    """The name of a field, dotted or in quotes; None: it is none."""
    if not _NAME.fullmatch(f"{text}:"):
        return None
    written = [part[1] for part in _NAME_PART.finditer(f"{text}:")]
    exact = tuple(part.startswith('"') for part in written)
    parts = [_unquoted(part[1:-1]) if part.startswith('"') else part for part in written]
    return Token(Kind.NAME, 0, tuple(parts), exact)


class _Scanner:
    """Reads tokens one after another; in `field:( )` a colon separates nothing."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._groups: list[bool] = []
        """For each open parenthesis: is it of a field?"""
        self._last = Kind.END

    def tokens(self) -> list[Token]:
        found = []
        while (token := self._next()).kind is not Kind.END:
            found.append(token)
            self._last = token.kind
        return [*found, token]

    def _next(self) -> Token:
        if self._last is not Kind.NAME and (space := _SPACE.match(self._text, self._at)):
            self._at = space.end()
        if self._at >= len(self._text):
            return Token(Kind.END, len(self._text))
        sign = self._text[self._at]
        if sign == "(":
            self._groups.append(self._last is Kind.NAME or self._of_field())
            return self._take(Kind.OPEN, 1)
        if sign == ")":
            if self._groups:
                self._groups.pop()
            return self._take(Kind.CLOSE, 1)
        return self._name() or self._sign() or self._value()

    @property
    def _wants_value(self) -> bool:
        return self._last in {Kind.NAME, Kind.OPERATOR}

    def _of_field(self) -> bool:
        return bool(self._groups) and self._groups[-1]

    def _take(self, kind: Kind, length: int, *parts: str) -> Token:
        token = Token(kind, self._at, parts or ("",))
        self._at += length
        return token

    def _name(self) -> Token | None:
        if self._wants_value or self._of_field():
            return None
        match = _NAME.match(self._text, self._at)
        if match is None:
            return None
        name = read_name(match[0][:-1])
        if name is None or sum(not exact for exact in name.exact) > MAX_SPLITS:
            raise trouble(self._text, self._at, TOO_MANY_PARTS)
        token = replace(name, at=self._at)
        self._at = match.end()
        return token

    def _sign(self) -> Token | None:
        match = _OPERATOR.match(self._text, self._at)
        if match and (self._wants_value or self._of_field()):
            return self._take(Kind.OPERATOR, len(match[0]), match[0])
        if not self._wants_value and _NEGATION.match(self._text, self._at):
            return self._take(Kind.NOT, 1)
        return None

    def _value(self) -> Token:
        if self._text[self._at] == '"':
            match = _QUOTED.match(self._text, self._at)
            if match is None:
                raise trouble(self._text, self._at, 'close this quote with another ".')
            return self._take(Kind.QUOTED, len(match[0]), _unquoted(match[1]))
        if match := _REGEX.match(self._text, self._at):
            return self._take(Kind.REGEX, len(match[0]), match[1], match[2])
        if _LIKE_A_REGEX.match(self._text, self._at):
            raise trouble(
                self._text, self._at,
                "close this regular expression with /, and write a / in it as \\/; or put text "
                "that is none in quotes.",
            )  # fmt: skip
        return self._bare()

    def _bare(self) -> Token:
        match = _BARE.match(self._text, self._at)
        if match is None:
            return Token(Kind.END, self._at)
        written = match[0]
        if not self._wants_value and written in _RESERVED:
            return self._take(Kind[written], len(written))
        return self._take(Kind.WORD, len(written), *_parts(written))


def _unquoted(written: str) -> str:
    return _QUOTED_ESCAPE.sub(r"\1", written)


def _parts(written: str) -> tuple[str, ...]:
    """What is between the `*` of a word; `a**b` is `a*b`."""
    parts = [""]
    for escaped, star, plain in _PIECE.findall(written):
        if not star:
            parts[-1] += escaped or plain
        elif len(parts) == 1 or parts[-1]:
            parts.append("")
    return tuple(parts)
