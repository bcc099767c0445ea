"""One service as it is watched: what its checks say, made into one status.

The status that readings decide (`status`, `since`) is kept apart from what is shown. Without data
a healthy service is shown as degraded; when data comes back and nothing had changed, it is again
healthy since it ever was. So neither a pause nor a restart invents a change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quarterdeck.health.checks import CheckState
from quarterdeck.health.kept import Kept, Note
from quarterdeck.health.model import Outcome, Reading, ResponseTimes, ServiceSpec, ServiceStatus
from quarterdeck.health.rules import RANK, SILENT_INTERVALS, worst
from quarterdeck.health.wording import no_data

TELEMETRY = "telemetry"
MOST_REASONS = 3
NO_DATA_YET = "no data yet"
OFFLINE = "no data: this monitor has lost its network"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is shown."""

    status: ServiceStatus
    since: datetime
    stale: bool
    reason: str | None
    is_judged: bool
    """Whether the status is known; else rules must neither fire nor resolve on it."""
    is_blind: bool | None
    """Whether data has been missing for too long; None: that says nothing of the service."""


class ServiceWatch:
    """Takes readings and judges; for the event loop only."""

    def __init__(
        self, spec: ServiceSpec, probes: Sequence[tuple[str, str]], started_at: datetime
    ) -> None:
        """`probes`: kind and target of each."""
        self.spec = spec
        self.probes = [
            CheckState(kind, target, spec, started_at, is_optional=False) for kind, target in probes
        ]
        self.telemetry = CheckState(TELEMETRY, "", spec, started_at, is_optional=bool(probes))
        self.checks = [*self.probes, self.telemetry]
        self.response_time: ResponseTimes | None = None
        self.note: Note | None = None
        self.verdict = Verdict(
            ServiceStatus.DEGRADED, started_at, True, NO_DATA_YET, False, None
        )  # fmt: skip
        """What was judged last."""
        self.judged_at = started_at
        self.version = 0
        """Grows whenever there is something else to show."""
        self._status: ServiceStatus | None = None
        self._since = started_at
        self._awaits_until: datetime | None = None
        """Back on the network: until then the first reading is waited for."""

    def take(
        self, check: CheckState, reading: Reading, at: datetime, *, is_new: bool = True
    ) -> None:
        """Take a reading of one of its checks; `judge` shows what follows."""
        check.take(reading, at, is_new=is_new)
        self.version += 1
        if reading.outcome is not Outcome.UNKNOWN:
            self._awaits_until = None
        found = worst(*(each.status for each in self.checks))
        if self._status is None and found is ServiceStatus.HEALTHY and not self._is_decided():
            return
        if found is not self._status:
            self._status, self._since = found, at

    def judge(self, now: datetime, *, is_offline: bool = False) -> bool:
        """Judge anew; whether status or staleness changed. Offline, the last status stays."""
        before, self.judged_at = self.verdict, now
        if is_offline:
            self._awaits_until = now + timedelta(seconds=SILENT_INTERVALS * self.spec.interval_s)
        if self._awaits_until is not None and now < self._awaits_until:
            self.verdict = replace(
                before, stale=True, reason=OFFLINE, is_judged=False, is_blind=None
            )
        else:
            self._awaits_until = None
            self.verdict = self._verdict(now)
        if self.note is not None and not self.note.holds(now):
            self.annotate(None)
        if self.verdict != before:
            self.version += 1
        return (before.status, before.stale) != (self.verdict.status, self.verdict.stale)

    def annotate(self, note: Note | None) -> None:
        """Show a note instead of the generated reason; None: no longer."""
        if note != self.note:
            self.note = note
            self.version += 1

    def keep(self) -> Kept:
        """What a restart must not forget."""
        checks = {key: check.memory for key, check in self._keyed()}
        return Kept(self.spec.name, self._status, self._since, self.checked_at, checks)

    def restore(self, kept: Kept, now: datetime) -> None:
        """Go on from what an earlier process knew. Time in between is time without data."""
        for key, check in self._keyed():
            if key in kept.checks:
                check.restore(kept.checks[key])
        # What held it there may be gone: a probe was renamed, a limit was taken away.
        is_same = kept.status is worst(*(check.status for check in self.checks))
        self._status, self._since = kept.status if is_same else None, kept.since
        self.judge(now)

    def forget_streaks(self) -> None:
        """Take back bad readings that have decided nothing yet."""
        for check in self.checks:
            check.forget_streaks()

    @property
    def checked_at(self) -> datetime | None:
        """When any of its checks was last made."""
        moments = [check.checked_at or check.memory.seen_at for check in self.checks]
        return max((moment for moment in moments if moment is not None), default=None)

    def _verdict(self, now: datetime) -> Verdict:
        silent = {id(check): since for check in self.checks if (since := check.silent_since(now))}
        blind = [
            check
            for check in self.checks
            if id(check) in silent
            and (not check.is_optional or check.status is not ServiceStatus.HEALTHY)
        ]
        if self._status is None:
            return self._undecided(blind, now)
        fresh = worst(*(check.status for check in self.checks if id(check) not in silent))
        if blind and fresh is ServiceStatus.HEALTHY:
            since = self._since
            if self._status is ServiceStatus.HEALTHY:
                since = min(silent[id(check)] for check in blind)
            status = worst(self._status, ServiceStatus.DEGRADED)
            return Verdict(status, since, True, self._blind_reason(blind, now), False, True)
        return Verdict(self._status, self._since, False, self._reason(), True, False)

    def _undecided(self, blind: Sequence[CheckState], now: datetime) -> Verdict:
        seen = [check for check in self.checks if check.memory.seen_at and check not in blind]
        pending = [text for check in seen if (text := check.pending)]
        reason = pending[0] if pending else NO_DATA_YET
        if blind:
            reason = self._blind_reason(blind, now)
        is_blind = True if blind else None
        return Verdict(ServiceStatus.DEGRADED, self._since, not seen, reason, False, is_blind)

    def _blind_reason(self, blind: Sequence[CheckState], now: datetime) -> str:
        required = [check for check in self.checks if not check.is_optional]
        freshest = min(blind, key=lambda check: check.age_s(now))
        is_partly = len(required) > len(blind)
        text = no_data(freshest.age_s(now), freshest.name if is_partly else "")
        if freshest.last.outcome is Outcome.UNKNOWN and freshest.last.reason:
            text = f"{text}: {freshest.last.reason}"
        before = self._reason()
        return f"{text}; before that: {before}" if before else text

    def _reason(self) -> str | None:
        problems = sorted(self._problems(), key=lambda each: -RANK[each[0]])
        return "; ".join(text for _, text in problems[:MOST_REASONS]) or None

    def _problems(self) -> Iterator[tuple[ServiceStatus, str]]:
        is_one = len(self.probes) <= 1
        for check in self.checks:
            for status, text in check.problems():
                yield status, text if is_one or not check.target else f"{check.name}: {text}"

    def _is_decided(self) -> bool:
        return all(
            check.is_decided
            for check in self.checks
            if not check.is_optional or check.memory.seen_at is not None
        )

    def _keyed(self) -> Iterator[tuple[str, CheckState]]:
        counts: dict[str, int] = {}
        for check in self.checks:
            number = counts[check.name] = counts.get(check.name, 0) + 1
            yield (f"{check.name} #{number}" if number > 1 else check.name), check
