"""Alerts in memory: what the store does with `advance`, without a database."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from quarterdeck.alerts.advance import Known, Look, Outcome, Policy, advance
from quarterdeck.alerts.fingerprint import fingerprint
from quarterdeck.alerts.lifecycle import Limits
from quarterdeck.alerts.model import Alert, AlertState, Severity, Silence, Transition
from quarterdeck.alerts.observation import Finding, Observation
from quarterdeck.alerts.record import Record
from quarterdeck.alerts.routing import Route, Routing
from quarterdeck.alerts.telling import Notice, Told, acknowledge, unacknowledge
from unit.alerts_core.world import NOON

INTERVAL_S = 15.0


class Book:
    """All alerts, and all notices that were made."""

    def __init__(self, routes: Sequence[Route] = (Route("ops"),)) -> None:
        self.now = NOON
        self.records: dict[str, Record] = {}
        self.silences: list[Silence] = []
        self.notices: list[Notice] = []
        self.events: list[Alert] = []
        self.routing = Routing(routes)

    def look(self, *observations: Observation, after: float = INTERVAL_S) -> Outcome:
        """One evaluation, some seconds after the last; sources seen are those looked at."""
        self.now += timedelta(seconds=after)
        answered = frozenset(each.source for each in observations)
        return self.advance(Look([_at(each, self.now) for each in observations], answered))

    def repeat(self, seconds: float, *observations: Observation) -> None:
        """Evaluations at each interval for so long."""
        for _ in range(round(seconds / INTERVAL_S)):
            self.look(*observations)

    def advance(self, look: Look) -> Outcome:
        every = list(self.records.values())
        known = Known(
            open=[each for each in every if each.alert.resolved_at is None],
            ended=[each for each in every if each.alert.resolved_at is not None],
            silences=[each for each in self.silences if each.ends_at > self.now],
        )
        policy = Policy(self.routing, Limits(3 * INTERVAL_S))
        outcome = advance(known, look, policy, self.now)
        for alert_id in outcome.gone:
            del self.records[alert_id]
        for record in (*outcome.added, *outcome.changed):
            self.records[record.alert.id] = record
        self.notices += outcome.notices
        self.events += outcome.events
        return outcome

    def acknowledge(self, record: Record) -> None:
        self._take(acknowledge(record, "ann", "", self.now))

    def unacknowledge(self, record: Record) -> None:
        self._take(unacknowledge(record, self.routing, self.now))

    def _take(self, told: Told) -> None:
        self.records[told.record.alert.id] = told.record
        self.notices += told.notices

    @property
    def told(self) -> list[Transition]:
        return [notice.transition for notice in self.notices]

    @property
    def states(self) -> list[AlertState]:
        return [record.alert.state for record in self.records.values()]

    @property
    def only(self) -> Record:
        (record,) = self.records.values()
        return record


def _at(observation: Observation, now: datetime) -> Observation:
    return Observation(
        observation.fingerprint, observation.source, observation.subject, observation.labels, now,
        observation.findings, observation.depends_on,
    )  # fmt: skip


def finding(
    holds: bool | None,
    severity: Severity = Severity.ERROR,
    rule: str = "rule",
    for_s: float = 0.0,
    keep_s: float = 0.0,
) -> Finding:
    return Finding(rule, holds, severity, f"{rule} speaks", 1.0, for_s, keep_s)


def seen(
    *findings: Finding, subject: str = "email", depends_on: Sequence[str] = (), group: str = "g"
) -> Observation:
    return Observation(
        fingerprint(group, "queue", subject, {}), "queue", subject, {}, NOON, findings, depends_on
    )
