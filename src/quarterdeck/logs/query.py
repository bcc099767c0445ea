"""The query language of log search: from text to a tree. Pure; docs/query-language.md is its guide.

any   = all { "OR" all }
all   = part { [ "AND" ] part }
part  = { "NOT" | "-" } ( "(" any ")" | value | name ":" ( "(" any ")" | [ operator ] value ) )
value = word | quoted | regex
"""

from itertools import pairwise, product

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import is_storable
from quarterdeck.logs.regex import check_regex
from quarterdeck.logs.syntax import (
    And,
    Anything,
    Comparison,
    Field,
    Key,
    Match,
    Node,
    Not,
    Operator,
    Or,
    Quoted,
    Regex,
    Word,
)
from quarterdeck.logs.tokens import (
    MAX_QUERY,
    MAX_SPLITS,
    TOO_MANY_PARTS,
    Kind,
    Token,
    read_name,
    tokenize,
    trouble,
)
from quarterdeck.logs.values import ValueRejected, levels_of, span_of

__all__ = ["MAX_DEPTH", "MAX_QUERY", "MAX_TERMS", "field_named", "parse"]

MAX_DEPTH = 50
"""Parentheses in parentheses."""

MAX_TERMS = 200
"""Words, phrases and field values of one expression: its SQL stays below the engine's limit."""

METADATA = "metadata"
"""`metadata.level:x` is the key `level` of the metadata, whatever fields a line has."""

_FIELDS = frozenset(field.value for field in Field)
_STARTS = (Kind.OPEN, Kind.NOT, Kind.NAME, Kind.OPERATOR, Kind.WORD, Kind.QUOTED, Kind.REGEX)


def parse(text: str) -> Node:
    """The tree of an expression; an empty one matches every line.

    Raises:
        InvalidRequest: it is none; says where (counting characters from 1) and what to do.
    """
    return _Parser(text).parse()


def _key_of(parts: tuple[str, ...], exact: tuple[bool, ...]) -> Key:
    """The paths that a dotted name may stand for, the one with the fewest keys first.

    `exact` says which parts are whole keys; neighbours among the others may be one key or two.
    """
    free = [not (left or right) for left, right in pairwise(exact)]
    paths = []
    for joined in product(*[(True, False) if is_free else (False,) for is_free in free]):
        path = [parts[0]]
        for part, is_joined in zip(parts[1:], joined, strict=True):
            if is_joined:
                path[-1] += f".{part}"
            else:
                path.append(part)
        paths.append(tuple(path))
    return Key(tuple(paths))


def field_named(name: str) -> Field | Key:
    """What a field's name stands for, outside of an expression: one that needs quotes in an
    expression is taken as the key that it is.

    Raises:
        InvalidRequest: there can be no such field.
    """
    if not name or not is_storable(name):
        raise InvalidRequest.of("field", "give the name of a field.")
    token = read_name(name)
    if token is None:
        return Key(((name,),))
    if sum(not exact for exact in token.exact) > MAX_SPLITS:
        raise InvalidRequest.of("field", TOO_MANY_PARTS)
    return _field_of(token)


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._depth = 0
        self._terms = 0

    def parse(self) -> Node:
        if self._is(Kind.END):
            return And(())
        found = self._any(None)
        if self._is(Kind.CLOSE):
            raise self._trouble('nothing was opened that this ")" closes; remove it or quote it.')
        return found

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _is(self, *kinds: Kind) -> bool:
        return self._token.kind in kinds

    def _take(self) -> Token:
        token = self._token
        self._index += 1
        return token

    def _trouble(self, message: str, token: Token | None = None) -> InvalidRequest:
        return trouble(self._text, (token or self._token).at, message)

    def _any(self, field: Token | None) -> Node:
        terms = [self._all(field)]
        while self._is(Kind.OR):
            self._index += 1
            terms.append(self._all(field))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all(self, field: Token | None) -> Node:
        terms = [self._part(field)]
        while self._is(Kind.AND, *_STARTS):
            if self._is(Kind.AND):
                self._index += 1
            terms.append(self._part(field))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _part(self, field: Token | None) -> Node:
        is_negated = False
        while self._is(Kind.NOT):
            self._index += 1
            is_negated = not is_negated
        found = self._group(field) if self._is(Kind.OPEN) else self._term(field)
        return Not(found) if is_negated else found

    def _group(self, field: Token | None) -> Node:
        opened = self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._trouble(f"put at most {MAX_DEPTH} parentheses into each other.", opened)
        found = self._any(field)
        if not self._is(Kind.CLOSE):
            raise self._trouble('close this "(" with a ")", or quote it.', opened)
        self._index += 1
        self._depth -= 1
        return found

    def _term(self, field: Token | None) -> Node:
        if self._is(Kind.NAME):
            field = self._take()
            if self._is(Kind.OPEN):
                return self._group(field)
        if not self._is(*_STARTS):
            raise self._nothing(field)
        started = self._token
        found = self._match(field)
        self._terms += len(found.field.paths) if isinstance(found.field, Key) else 1
        if self._terms > MAX_TERMS:
            raise self._trouble(
                f"use at most {MAX_TERMS} words and values; a name with dots counts once for each "
                "way to read it.",
                started,
            )
        return found

    def _nothing(self, field: Token | None) -> InvalidRequest:
        if field is not None and self._tokens[self._index - 1] is field:
            name = ".".join(field.parts)
            return self._trouble(
                f"write a value right after {name}: or put the text in quotes.", field
            )
        if self._is(Kind.AND, Kind.OR):
            word = self._token.kind.name
            return self._trouble(
                f'{word} stands between two terms; write "{word}" to search for the word.'
            )
        return self._trouble("a word or a value is missing here.")

    def _match(self, field: Token | None) -> Match:
        operator = self._take() if self._is(Kind.OPERATOR) else None
        if not self._is(Kind.WORD, Kind.QUOTED, Kind.REGEX):
            raise self._trouble("a value is missing here.")
        token = self._take()
        place = Field.MESSAGE if field is None else _field_of(field)
        try:
            if operator is not None:
                value = self._comparison(operator, token)
                return _compared(place, value)
            return self._valued(place, token)
        except ValueRejected as rejected:
            raise self._trouble(rejected.reason, token) from None

    def _comparison(self, operator: Token, token: Token) -> Comparison:
        if token.kind is Kind.REGEX:
            raise self._trouble("compare with a number or a text, not with a pattern.", token)
        return Comparison(Operator(operator.parts[0]), "*".join(token.parts))

    def _valued(self, place: Field | Key, token: Token) -> Match:
        value: Word | Quoted | Regex | Anything
        if token.kind is Kind.REGEX:
            value = self._regex(token)
        elif token.kind is Kind.QUOTED:
            value = Quoted(token.parts[0])
        else:
            value = Anything() if token.parts == ("", "") else Word(token.parts)
        if place is Field.LEVEL:
            return Match(place, levels_of(value))
        if place is Field.TIMESTAMP:
            return Match(place, span_of(value))
        return Match(place, value)

    def _regex(self, token: Token) -> Regex:
        regex = Regex(token.parts[0], token.parts[1] == "i")
        problem = check_regex(regex.pattern, regex.ignores_case)
        if problem is not None:
            raise trouble(self._text, token.at + 1 + problem.at, problem.message)
        return regex


def _field_of(name: Token) -> Field | Key:
    if name.exact == (False,) and name.parts[0] in _FIELDS:
        return Field(name.parts[0])
    if len(name.parts) > 1 and name.parts[0] == METADATA and not name.exact[0]:
        return _key_of(name.parts[1:], name.exact[1:])
    return _key_of(name.parts, name.exact)


def _compared(place: Field | Key, value: Comparison) -> Match:
    if place is Field.LEVEL:
        return Match(place, levels_of(value))
    if place is Field.TIMESTAMP:
        return Match(place, span_of(value))
    if place is Field.MESSAGE:
        raise ValueRejected("a message is not compared; search for words of it.")
    return Match(place, value)
