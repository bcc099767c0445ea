"""Which silence withholds the notices of an alert. Pure."""

from collections.abc import Sequence
from datetime import datetime

from quarterdeck.alerts.model import Alert, Matcher, Silence
from quarterdeck.alerts.wildcard import matches


def find_silence(alert: Alert, silences: Sequence[Silence], now: datetime) -> str | None:
    """Id of the first silence that holds now and matches; None: there is none."""
    for silence in silences:
        if silence.starts_at <= now < silence.ends_at and is_silenced(alert, silence.matchers):
            return silence.id
    return None


def is_silenced(alert: Alert, matchers: Sequence[Matcher]) -> bool:
    """Whether an alert matches all of them; none at all match nothing."""
    return bool(matchers) and all(_fits(alert, matcher) for matcher in matchers)


def _fits(alert: Alert, matcher: Matcher) -> bool:
    fields = {
        "rule": alert.rule,
        "source": alert.source,
        "service": alert.service,
        "severity": alert.severity.value,
    }
    # A label may have the name of a field: a queue's `source` is the engine that has it.
    said = [known[matcher.name] for known in (fields, alert.labels) if matcher.name in known]
    return any(matches(matcher.value, text) for text in said)
