"""Regular expressions of RE2: whether one is valid, and what every text that it finds contains.

RE2 takes linear time whatever the expression and the text. ClickHouse uses it, and so do we, with
the same options, to tell of errors before a query runs. Pure.

An expression alone makes the engine read every message. `literals` finds the texts that must be in
it, in lower case and in order, so that an index of substrings tells which blocks to read at all:
`lease \\w+ (failed|lost)` matches only what contains `lease `, and then `failed` or `lost`.
"""

import re
from dataclasses import dataclass

import re2  # type: ignore[import-untyped]

MAX_PATTERN = 1000
"""Characters of an expression."""

MAX_ALTERNATIVES = 8
"""More ways to match than this are not told apart."""

OPTIONS = re2.Options()
OPTIONS.log_errors = False
OPTIONS.dot_nl = True
OPTIONS.max_mem = 1024 * 1024

GAP = None
"""Any text, even none, in a sequence of pieces."""

Sequence = tuple[str | None, ...]
Alternatives = tuple[Sequence, ...]

_EMPTY: Alternatives = ((),)
_UNKNOWN: Alternatives = ((GAP,),)

# After an escape: what is a class or a number of a character; what is a place between two.
_CLASSES = re.compile(r"[dDwWsSC]|[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|[0-7]{1,3}", re.DOTALL)
_PLACES = re.compile(r"[bBAz]")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BRACKETS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?P?<\w+>|\?([a-zA-Z]*)(-[a-zA-Z]*)?([:)]))?")
_REPEAT = re.compile(r"([*+?]|\{([0-9]+)(?:(,)[0-9]*)?\})\??")
_REPEAT_SIGN = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an expression, at which index of it."""

    at: int
    message: str


def check_regex(pattern: str, ignores_case: bool) -> Problem | None:
    """Why RE2 does not take the expression, if it does not."""
    if len(pattern) > MAX_PATTERN:
        return Problem(MAX_PATTERN, f"shorten the regular expression to {MAX_PATTERN} characters.")
    try:
        find_in("", pattern, ignores_case)
    except re2.error as error:
        return _problem(pattern, error.args[0].decode(errors="replace"))
    return None


def find_in(text: str, pattern: str, ignores_case: bool) -> bool:
    """Whether an expression matches somewhere in a text."""
    found = re2.compile(f"(?i){pattern}" if ignores_case else pattern, OPTIONS)
    return found.search(text) is not None


def _problem(pattern: str, reason: str) -> Problem:
    wrong = reason.partition(": ")[2]
    at = len(pattern) - 1 if reason.startswith("trailing") else max(0, pattern.find(wrong))
    return Problem(at, f"RE2 cannot read this regular expression ({reason}); correct it.")


def literals(pattern: str, ignores_case: bool) -> tuple[tuple[str, ...], ...]:
    """What a text must contain, in lower case, to match a valid expression.

    The texts of one of these tuples, one after another without overlap. None at all: not known.
    """
    try:
        found = _Walker(pattern, ignores_case).walk()
    except _Unsure:
        return ()
    alternatives = {tuple(piece for piece in sequence if piece) for sequence in found}
    return () if () in alternatives else tuple(sorted(alternatives))


class _Unsure(Exception):
    """The walker does not know how RE2 reads this."""


class _Walker:
    """Reads an expression as RE2 does, and keeps only what must be there."""

    def __init__(self, pattern: str, ignores_case: bool) -> None:
        self._pattern = pattern
        self._at = 0
        self._ignores_case = ignores_case

    def walk(self) -> Alternatives:
        found = self._branches()
        if self._at < len(self._pattern):
            raise _Unsure
        return found

    def _branches(self) -> Alternatives:
        outer = self._ignores_case
        found = self._sequence()
        while self._peek() == "|":
            self._at += 1
            found += self._sequence()
        self._ignores_case = outer
        return found if len(found) <= MAX_ALTERNATIVES else _UNKNOWN

    def _sequence(self) -> Alternatives:
        found = _EMPTY
        while (sign := self._peek()) and sign not in "|)":
            atom = self._atom(sign)
            if atom is None:
                # Repetition here would be of what stands before.
                if _REPEAT_SIGN.match(self._pattern, self._at):
                    raise _Unsure
                continue
            found = _joined(found, self._repeated(atom))
        return found

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _atom(self, sign: str) -> Alternatives | None:
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._skip(_BRACKETS, _UNKNOWN)
        if sign == "\\":
            return self._escape()
        self._at += 1
        if sign in "^$":
            return _EMPTY
        return _UNKNOWN if sign == "." else self._literal(sign)

    def _skip(self, what: re.Pattern[str], stands_for: Alternatives) -> Alternatives:
        match = what.match(self._pattern, self._at)
        if match is None:
            raise _Unsure
        self._at = match.end()
        return stands_for

    def _group(self) -> Alternatives | None:
        match = _GROUP.match(self._pattern, self._at)
        if match is None:
            raise _Unsure
        self._at = match.end()
        outer = self._ignores_case
        if match[3]:
            if "i" in (match[2] or ""):
                self._ignores_case = False
            elif "i" in match[1]:
                self._ignores_case = True
        if match[3] == ")":
            return None
        found = self._branches()
        if self._peek() != ")":
            raise _Unsure
        self._at += 1
        self._ignores_case = outer
        return found

    def _escape(self) -> Alternatives | None:
        self._at += 1
        sign = self._peek()
        if sign == "Q":
            raise _Unsure
        for what, stands_for in ((_CLASSES, _UNKNOWN), (_PLACES, _EMPTY)):
            if what.match(self._pattern, self._at):
                return self._skip(what, stands_for)
        self._at += 1
        if sign in _CONTROLS:
            return self._literal(_CONTROLS[sign])
        if sign.isalnum() or not sign.isascii():
            raise _Unsure
        return self._literal(sign)

    def _literal(self, sign: str) -> Alternatives:
        if not sign.isascii():
            return _UNKNOWN
        if self._ignores_case and sign in "sS":
            return (("s",), ("\N{LATIN SMALL LETTER LONG S}",))
        # The other sign beyond ASCII that RE2 takes for a letter is that of kelvin; in lower case
        # it is a k.
        return ((sign.lower(),),)

    def _repeated(self, atom: Alternatives) -> Alternatives:
        match = _REPEAT.match(self._pattern, self._at)
        if match is None:
            if self._peek() == "{":
                # Perhaps a plain brace; not worth knowing for sure.
                raise _Unsure
            return atom
        self._at = match.end()
        if match[1] in {"*", "?"}:
            return _UNKNOWN
        if match[1] == "+":
            return _joined(atom, _UNKNOWN)
        if match[2].startswith("0"):
            return _UNKNOWN
        if match[2] == "1" and not match[3]:
            return atom
        return _joined(atom, _UNKNOWN)


def _joined(left: Alternatives, right: Alternatives) -> Alternatives:
    """Every way to match `left` and then `right`."""
    if len(left) * len(right) > MAX_ALTERNATIVES:
        return tuple({_linked(sequence, (GAP,)) for sequence in left})
    return tuple({_linked(first, second) for first in left for second in right})


def _linked(first: Sequence, second: Sequence) -> Sequence:
    if not first or not second:
        return first or second
    last, start = first[-1], second[0]
    if last is GAP and start is GAP:
        return first + second[1:]
    if last is not GAP and start is not GAP:
        return (*first[:-1], last + start, *second[1:])
    return first + second
