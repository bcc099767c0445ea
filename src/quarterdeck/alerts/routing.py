"""Which channels are told of what, and when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck.alerts.model import Severity


@dataclass(frozen=True, slots=True)
class Route:
    """A channel's place in the policy."""

    channel: str
    min_severity: Severity = Severity.INFO
    """Milder alerts are not told there."""
    step: int = 1
    """1: at once; 2: when nobody acknowledged what step 1 was told; and so on."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The policy: steps in order, and how long each has."""

    routes: Sequence[Route] = ()
    escalate_after_s: float = 600.0

    @property
    def channels(self) -> list[str]:
        """All of them."""
        return [route.channel for route in self.routes]

    @property
    def first_step(self) -> int:
        """The one that is told at once."""
        return min((route.step for route in self.routes), default=1)

    def up_to(self, step: int, severity: Severity) -> list[str]:
        """Channels of this and all earlier steps that want to hear of such an alert."""
        return [each.channel for each in self._wanting(severity) if each.step <= step]

    def of(self, step: int, severity: Severity) -> list[str]:
        """Channels of one step that want to hear of such an alert."""
        return [each.channel for each in self._wanting(severity) if each.step == step]

    def after(self, step: int, severity: Severity) -> int | None:
        """The next step that has a channel for such an alert; None: there is none."""
        later = [each.step for each in self._wanting(severity) if each.step > step]
        return min(later, default=None)

    def _wanting(self, severity: Severity) -> list[Route]:
        return [each for each in self.routes if each.min_severity.rank <= severity.rank]
