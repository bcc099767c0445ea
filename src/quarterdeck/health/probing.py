"""What all probes share: a deadline of their own, and a reason for whatever goes wrong."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from quarterdeck.health.model import Outcome, Reading
from quarterdeck.net.line import Line
from quarterdeck.net.reasons import reason_of

log = logging.getLogger("quarterdeck.health")

OWN_SHARE = 0.95
"""Of the caller's timeout: a probe ends before it is given up, to say what it waited for."""

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~_-]{0,31}")


class Misbehaved(Exception):
    """The service answered, and not as it must. The text is a clause and holds nothing of it."""

    def __init__(self, reason: str, metrics: Mapping[str, float | None] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.metrics = metrics or {}
        """What is known all the same."""


@dataclass(slots=True)
class Stage:
    """How far a check has come: what the reason says when it comes no further."""

    waiting_for: str = "connection"
    line: Line | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    """What is known so far; a failed reading carries it, too."""

    @property
    def asked(self) -> str:
        """What was sent, when an answer to it is waited for."""
        return self.waiting_for.removeprefix("answer to ").removeprefix("end of ")


async def observed(
    steps: Callable[[Stage], Awaitable[Reading]], timeout_s: float, protocol: str
) -> Reading:
    """Take the steps within the time, and make a reading of whatever comes of them.

    `protocol` is what the service should speak, such as `Redis`.
    """
    stage = Stage()
    try:
        async with asyncio.timeout(timeout_s * OWN_SHARE):
            return await steps(stage)
    except Misbehaved as error:
        return Reading(Outcome.FAIL, error.reason, metrics={**stage.metrics, **error.metrics})
    except Exception as error:  # noqa: BLE001 - drivers raise anything when they are sent garbage
        log.debug("the probe of %s ended with a %s", protocol, type(error).__name__)
        return Reading(
            Outcome.FAIL, _explain(error, stage, timeout_s, protocol), metrics=stage.metrics
        )


def _explain(error: Exception, stage: Stage, timeout_s: float, protocol: str) -> str:
    line = stage.line
    if line is not None and line.is_overrun:
        return "it sent more than 64 KiB"
    if isinstance(error, TimeoutError):
        is_there = line is None or line.is_connected
        return f"no {stage.waiting_for if is_there else 'connection'} within {timeout_s:g} s"
    found = reason_of(error)
    if found is None and line is not None and line.is_silent:
        return "it closed the connection"
    return found or f"it answered with something that is not {protocol}"


def version_of(text: object) -> str | None:
    """A version number at the start of what a service says of itself; nothing else of it."""
    found = _VERSION.match(str(text))
    return found.group() if found else None


def percent(part: float, whole: float) -> float | None:
    """A share in percent, to a hundredth; None of nothing."""
    return round(100 * part / whole, 2) if whole > 0 else None


def present(facets: Mapping[str, str | None]) -> dict[str, str]:
    """Those that are known."""
    return {name: value for name, value in facets.items() if value}
