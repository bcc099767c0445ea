"""Small pieces of SQL that every condition is made of. Pure: nothing from a user is pasted."""

import re
from dataclasses import dataclass, field

from quarterdeck.facts import Param
from quarterdeck.logs.syntax import Regex

_LIKE_SIGNS = re.compile(r"[%_\\]")
_REGEX_SIGNS = re.compile(r"[\x00-/:-@\[-`{-\x7f]")

EVERY_LINE = "1"
NO_LINE = "0"

NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
NUMBER_SQL = r"^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$"
"""What reads as a number, here and as a literal in SQL."""


@dataclass(slots=True)
class Binder:
    """Keeps the values of the parameters of one statement."""

    prefix: str = "p"
    params: dict[str, Param] = field(default_factory=dict)

    def bind(self, value: Param, kind: str = "String") -> str:
        """The placeholder that stands for a value."""
        name = f"{self.prefix}{len(self.params)}"
        self.params[name] = value
        return f"{{{name}:{kind}}}"

    def regex(self, regex: Regex) -> str:
        """The placeholder of a regular expression."""
        return self.bind(f"(?i){regex.pattern}" if regex.ignores_case else regex.pattern)


def like_text(text: str) -> str:
    """The text as a part of a LIKE pattern that matches just it."""
    return _LIKE_SIGNS.sub(r"\\\g<0>", text)


def regex_text(text: str) -> str:
    """The text as a part of an RE2 expression that matches just it; without capital letters."""
    return _REGEX_SIGNS.sub(lambda match: f"\\x{{{ord(match[0]):x}}}", text)


def all_of(*conditions: str) -> str:
    """True where each is; of none: everywhere."""
    if not conditions:
        return EVERY_LINE
    return conditions[0] if len(conditions) == 1 else f"({' AND '.join(conditions)})"


def any_of(*conditions: str) -> str:
    """True where at least one is."""
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"
