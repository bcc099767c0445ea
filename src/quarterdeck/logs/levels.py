"""Every dialect's level as one of our four. Pure."""

import re
from enum import Enum
from functools import lru_cache

from quarterdeck.logs.model import Level

LONGEST = 64
"""Characters; a longer text is no level's name."""

WORDS = {
    Level.ERROR: (
        "error err eror e fatal ftl f critical crit crt c alert a emergency emerg panic pnc "
        "severe s failure failed fail exception fault assert"
    ),
    Level.WARNING: "warning warn wrn w",
    Level.INFO: (
        "info inf i information informational notice note n log default success audit system "
        "statement hint detail context"
    ),
    Level.DEBUG: (
        "debug dbug dbg d trace trce trc t verbose vrb v fine finer finest config all silly http"
    ),
}
"""syslog, log4j, java.util.logging, Python, .NET, Serilog, zerolog, winston, npm, glog, logcat,
PostgreSQL, MySQL, Google Cloud."""

_BY_WORD = {word: level for level, words in WORDS.items() for word in words.split()}

# Colours of a terminal; `INFO+2` (Go's slog), `DEBUG5` (PostgreSQL), `WARN3` (OpenTelemetry).
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_STEP = re.compile("[+-]?[0-9]+$")
_EDGES = re.compile("^[^a-z0-9]+|[^a-z0-9]+$")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.0+)?")


class Scale(Enum):
    """Numbers mean different things: from which number up is it info, warning, error?

    A scale that counts downwards has its bounds negated. The last bound is the highest number.
    """

    SYSLOG = (-7, -6, -4, -3, 0)
    OTLP = (1, 9, 13, 17, 24)
    PYTHON = (1, 20, 30, 40, 50)
    PINO = (1, 30, 40, 50, 99)
    MONOLOG = (100, 200, 300, 400, 600)
    JAVA = (601, 800, 900, 1000, 1000)
    LOGBACK = (5000, 20000, 30000, 40000, 50000)

    def find(self, number: float) -> Level | None:
        """The level of a number; None: not of this scale."""
        lowest, info, warning, error, highest = self.value
        if self is Scale.SYSLOG:
            number = -number
        if not lowest <= number <= highest:
            return None
        if number >= error:
            return Level.ERROR
        if number >= warning:
            return Level.WARNING
        return Level.INFO if number >= info else Level.DEBUG


def find_level(text: str, scale: Scale | None = None) -> Level | None:
    """The level that a name or number stands for; None: we do not know it.

    Any case, with punctuation or colours around it, with a class before it (`LogLevel.Warn`).
    Numbers are read by `scale`, or else as what a field `level` most often holds: 0-7 as syslog
    (GELF), multiples of ten up to 60 as pino and bunyan, others up to 24 as OpenTelemetry, further
    ones as Monolog, java.util.logging and Logback. (Python's 30 is a warning and pino's is not:
    JSON from Python has names, and `levelno` is read by Python's scale.)
    """
    return _find_level(text, scale) if len(text) <= LONGEST else None


@lru_cache(maxsize=4096)
def _find_level(text: str, scale: Scale | None) -> Level | None:
    name = _EDGES.sub("", _COLOUR.sub("", text).lower())
    if _NUMBER.fullmatch(name):
        # `-4` is a number of nobody's scale; what is in brackets is not negative.
        return None if "-" in text else _of_number(float(name), scale)
    word = name.rpartition(".")[2]
    return _BY_WORD.get(word) or _BY_WORD.get(_STEP.sub("", word))


def _of_number(number: float, scale: Scale | None) -> Level | None:
    if scale is None:
        scale = _guess(number)
    return scale.find(number)


def _guess(number: float) -> Scale:
    if number <= 7:
        return Scale.SYSLOG
    if number <= 24 and number % 10:
        return Scale.OTLP
    for scale in (Scale.PINO, Scale.MONOLOG, Scale.JAVA):
        if number <= scale.value[-1]:
            return scale
    return Scale.LOGBACK
