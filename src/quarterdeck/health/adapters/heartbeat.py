"""Waits for a service that calls us: a cron job, a worker without a port."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox


class HeartbeatOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `heartbeat` may say."""

    name: str
    interval_s: Annotated[float, Meta(gt=0)]
    kind: str = "heartbeat"
    grace_s: Annotated[float, Meta(ge=0)] = 0.0
    """How much later than the interval it may come."""


class HeartbeatProbe:
    """OK as long as the last call is young enough."""

    Options: ClassVar[type[Struct]] = HeartbeatOptions

    def __init__(self, options: HeartbeatOptions, toolbox: Toolbox) -> None:
        self._options = options
        self._toolbox = toolbox
        self._started_at = toolbox.clock()
        self._allowed_s = options.interval_s + options.grace_s
        self.target = f"heartbeat {options.name}"

    async def check(self) -> Reading:
        """Look when it last came."""
        last = self._toolbox.last_heartbeat(self._options.name)
        age = self._age(last or self._started_at)
        metrics = {"heartbeat_age_s": age if last else None}
        if age <= self._allowed_s:
            if last:
                return Reading(Outcome.OK, metrics=metrics)
            return Reading(Outcome.UNKNOWN, "no heartbeat since this server's start", None, metrics)
        what = "the last heartbeat came" if last else "no heartbeat since this server's start,"
        reason = f"{what} {age:.0f} s ago, expected every {self._options.interval_s:g} s"
        return Reading(Outcome.FAIL, reason, metrics=metrics)

    async def close(self) -> None:
        """It holds nothing."""

    def _age(self, moment: datetime) -> float:
        # A clock that was set back must not give a negative age.
        return max(0.0, (self._toolbox.clock() - moment).total_seconds())
