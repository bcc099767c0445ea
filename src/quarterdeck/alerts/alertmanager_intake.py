"""Reads what Alertmanager's webhook sends (version 4), and Grafana's of the same form."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from quarterdeck.alerts.external import ExternalAlert
from quarterdeck.alerts.model import Severity
from quarterdeck.alerts.wording import lines, one_line, web_link
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import storable

MAX_ALERTS = 10_000
MAX_LABELS = 200
MAX_MESSAGE = 4000
"""Characters; a longer one is cut, so that the alert is not lost for it."""

SEVERITIES: Mapping[str, Severity] = {
    "critical": Severity.ERROR,
    "error": Severity.ERROR,
    "page": Severity.ERROR,
    "warning": Severity.WARNING,
}
"""Values of the label `severity`; all others are `info`."""

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Labels = Annotated[dict[_Name, Annotated[str, Meta(max_length=4096)]], Meta(max_length=MAX_LABELS)]
_Annotations = Annotated[
    dict[_Name, Annotated[str, Meta(max_length=1_000_000)]], Meta(max_length=MAX_LABELS)
]
_Moment = Annotated[datetime, Meta(tz=True)]


class WebhookAlert(Struct, frozen=True, rename="camel"):
    """One of `alerts`. Fields that are not named here are passed over."""

    status: Literal["firing", "resolved"]
    labels: _Labels
    starts_at: _Moment
    annotations: _Annotations = {}
    ends_at: _Moment | None = None
    generator_url: str = msgspec.field(name="generatorURL", default="")
    fingerprint: Annotated[str, Meta(max_length=200)] = ""


class Webhook(Struct, frozen=True, rename="camel"):
    """The document. `version` is `4`; Grafana sends the same form and calls it `1`."""

    version: Literal["4", "1"]
    alerts: Annotated[list[WebhookAlert], Meta(max_length=MAX_ALERTS)]
    status: str = ""
    receiver: str = ""
    group_key: str = ""
    truncated_alerts: int = 0
    """How many the sender left out, by its `max_alerts`."""
    group_labels: _Labels = {}
    common_labels: _Labels = {}
    common_annotations: _Annotations = {}
    external_url: str = msgspec.field(name="externalURL", default="")


_MISSING = re.compile("missing required field `(.*)`")
_decode = msgspec.json.Decoder(Webhook).decode


def read_alertmanager(body: bytes) -> Sequence[ExternalAlert]:
    """The alerts of a webhook's body, in its order.

    Raises:
        InvalidRequest: it is not of that form; `details` names the field, as `alerts[3].startsAt`.
    """
    try:
        document = _decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest.of("body", "expected JSON in UTF-8", "body") from None
    except RecursionError:
        raise InvalidRequest.of("body", "nested too deeply", "body") from None
    return [_external(alert, f"alerts[{index}]") for index, alert in enumerate(document.alerts)]


def _external(alert: WebhookAlert, where: str) -> ExternalAlert:
    labels = {storable(name): storable(value) for name, value in alert.labels.items()}
    notes = alert.annotations
    starts_at = _utc(alert.starts_at, f"{where}.startsAt")
    if starts_at is None:
        raise InvalidRequest.of(f"{where}.startsAt", "expected the time it began", "body")
    rule = one_line(labels.get("alertname", ""), 200) or "unnamed"
    return ExternalAlert(
        rule=rule,
        service=one_line(_first(labels, ("service", "job", "instance")), 200) or "unknown",
        labels=labels,
        severity=SEVERITIES.get(labels.get("severity", "").strip().lower(), Severity.INFO),
        message=lines(_first(notes, ("summary", "description", "message")), MAX_MESSAGE) or rule,
        starts_at=starts_at,
        ends_at=_utc(alert.ends_at, f"{where}.endsAt"),
        is_resolved=alert.status == "resolved",
        runbook_url=web_link(_first(notes, ("runbook_url", "runbook"))),
        fingerprint=one_line(alert.fingerprint, 200) or _fingerprint(labels),
    )


def _first(found: Mapping[str, str], names: Iterable[str]) -> str:
    return next((found[name] for name in names if found.get(name, "").strip()), "")


def _utc(moment: datetime | None, where: str) -> datetime | None:
    """None for the year 1 too: that is how Go writes that there is no time."""
    if moment is None or moment.year == 1:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest.of(where, "expected a time that exists in UTC", "body") from None


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()


def _invalid(raw: str) -> InvalidRequest:
    """msgspec's message, with the path of the field in our notation."""
    text, _, tail = raw.partition(" - at `")
    path = tail.rstrip("`").rpartition("$")[2].lstrip(".")
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing[1]}".lstrip(".")
        text = "it is missing"
    return InvalidRequest.of(path or "body", text[:1].lower() + text[1:], "body")
