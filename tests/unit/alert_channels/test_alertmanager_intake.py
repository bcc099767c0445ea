"""Webhooks of Alertmanager and Grafana, read; and all that is not one, refused by name."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.alerts.alertmanager_intake import MAX_ALERTS, read_alertmanager
from quarterdeck.alerts.external import ExternalAlert
from quarterdeck.alerts.model import Severity
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import is_storable

# As Alertmanager 0.28 sends it, with a field that later versions add.
WEBHOOK: dict[str, Any] = {
    "receiver": "quarterdeck",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "HighLatency", "instance": "api-1:9090", "job": "api",
                "severity": "critical",
            },
            "annotations": {
                "summary": "p95 above 1 s", "description": "for 5 minutes",
                "runbook_url": "https://docs.example.org/latency",
            },
            "startsAt": "2025-12-04T10:00:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
            "fingerprint": "c6eadffa33fcdf37",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "DiskFull", "instance": "db-1"},
            "annotations": {},
            "startsAt": "2025-12-04T11:00:00+02:00",
            "endsAt": "2025-12-04T12:00:00+02:00",
            "generatorURL": "",
            "fingerprint": "1f2e",
        },
    ],
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "version": "4",
    "groupKey": "{}:{alertname=\"HighLatency\"}",
    "truncatedAlerts": 0,
    "notification_reason": "new",
}  # fmt: skip


def read(document: Any) -> list[ExternalAlert]:
    return list(read_alertmanager(json.dumps(document).encode()))


def read_one(**changes: Any) -> ExternalAlert:
    """The first alert alone; a change to None leaves that field out."""
    document = deepcopy(WEBHOOK)
    alert = document["alerts"][0] | changes
    document["alerts"] = [{name: value for name, value in alert.items() if value is not None}]
    [found] = read(document)
    return found


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read_alertmanager(body)
    [detail] = refused.value.details
    assert detail["source"] == "body"
    return detail["field"]


def test_webhook_becomes_alerts_in_our_words() -> None:
    first, second = read(WEBHOOK)
    assert first == ExternalAlert(
        rule="HighLatency",
        service="api",
        labels=WEBHOOK["alerts"][0]["labels"],
        severity=Severity.ERROR,
        message="p95 above 1 s",
        starts_at=datetime(2025, 12, 4, 10, 0, 0, 123457, tzinfo=UTC),
        ends_at=None,
        is_resolved=False,
        runbook_url="https://docs.example.org/latency",
        fingerprint="c6eadffa33fcdf37",
    )
    assert second.is_resolved
    assert second.starts_at == datetime(2025, 12, 4, 9, tzinfo=UTC)
    assert second.ends_at == datetime(2025, 12, 4, 10, tzinfo=UTC)
    assert (second.service, second.message, second.runbook_url) == ("db-1", "DiskFull", None)


def test_grafanas_document_is_read_too() -> None:
    document = WEBHOOK | {"version": "1", "orgId": 1, "title": "[FIRING:1]", "state": "alerting"}
    document["alerts"] = [
        WEBHOOK["alerts"][0] | {"values": {"A": 1}, "silenceURL": "http://g", "orgId": 1}
    ]
    assert [each.rule for each in read(document)] == ["HighLatency"]


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("critical", "error"), ("error", "error"), ("page", "error"), ("CRITICAL", "error"),
        (" warning ", "warning"), ("info", "info"), ("none", "info"), ("", "info"),
    ],
)  # fmt: skip
def test_severity_is_mapped(label: str, severity: str) -> None:
    assert read_one(labels={"severity": label}).severity == severity


def test_severity_is_info_without_a_label() -> None:
    assert read_one(labels={}).severity is Severity.INFO


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"instance": "i", "job": "j", "service": "s"}, "s"),
        ({"instance": "i", "job": "j"}, "j"),
        ({"instance": "i"}, "i"),
        ({"instance": "i", "job": "j", "service": " "}, "j"),
        ({}, "unknown"),
    ],
    ids=["service", "job", "instance", "blank-service", "none"],
)
def test_service_is_the_first_label_that_names_one(labels: dict[str, str], service: str) -> None:
    assert read_one(labels=labels).service == service


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"message": "m", "description": "d", "summary": "s"}, "s"),
        ({"message": "m", "description": "d"}, "d"),
        ({"message": "m"}, "m"),
        ({"summary": "", "message": "m"}, "m"),
        ({}, "HighLatency"),
        ({"summary": "x" * 100_000}, "x" * 3999 + "…"),
        ({"summary": "two\r\nlines\x1b[31m"}, "two\nlines [31m"),
    ],
    ids=["summary", "description", "message", "blank", "none", "long", "control"],
)
def test_message_is_the_first_annotation_that_says_one(
    annotations: dict[str, str], message: str
) -> None:
    assert read_one(annotations=annotations).message == message


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc", "no url", "https://", ""])
def test_runbook_that_is_no_web_address_is_left_out(url: str) -> None:
    assert read_one(annotations={"runbook_url": url}).runbook_url is None


def test_fingerprint_is_made_of_the_labels_where_there_is_none() -> None:
    one = read_one(fingerprint=None, labels={"a": "1", "b": "2"})
    same = read_one(fingerprint="", labels={"b": "2", "a": "1"}, annotations={"summary": "other"})
    other = read_one(fingerprint=None, labels={"a": "1"})
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_texts_are_storable() -> None:
    found = read_one(labels={"alertname": "a\0b", "x\0": "\0"}, annotations={"summary": "\0"})
    texts = [found.rule, found.message, *found.labels, *found.labels.values()]
    assert all(map(is_storable, texts))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"startsAt": "yesterday"}, "alerts[0].startsAt"),
        ({"startsAt": "2025-12-04T10:00:00"}, "alerts[0].startsAt"),
        ({"startsAt": None}, "alerts[0].startsAt"),
        ({"startsAt": "0001-01-01T00:00:00Z"}, "alerts[0].startsAt"),
        ({"endsAt": "9999-12-31T23:59:59-14:00"}, "alerts[0].endsAt"),
        ({"endsAt": 7}, "alerts[0].endsAt"),
        ({"status": "suppressed"}, "alerts[0].status"),
        ({"status": None}, "alerts[0].status"),
        ({"labels": None}, "alerts[0].labels"),
        ({"labels": {"a": 7}}, "alerts[0].labels[...]"),
        ({"labels": {"a": "x" * 4097}}, "alerts[0].labels[...]"),
        ({"labels": {"x" * 257: "a"}}, "alerts[0].labels"),
        ({"labels": {f"l{n}": "" for n in range(201)}}, "alerts[0].labels"),
        ({"annotations": [1]}, "alerts[0].annotations"),
        ({"fingerprint": "x" * 201}, "alerts[0].fingerprint"),
    ],
    ids=[
        "no-time", "no-zone", "no-start", "year-1", "beyond-utc", "number", "unknown-status",
        "no-status", "no-labels", "label-number", "long-value", "long-name", "many-labels",
        "annotations-list", "long-fingerprint",
    ],
)  # fmt: skip
def test_wrong_field_of_an_alert_is_named(changes: dict[str, Any], field: str) -> None:
    alert = {k: v for k, v in (WEBHOOK["alerts"][0] | changes).items() if v is not None}
    assert refusal(json.dumps(WEBHOOK | {"alerts": [alert]}).encode()) == field


def test_alert_is_named_by_its_place() -> None:
    alerts = [*WEBHOOK["alerts"] * 2, {}]
    alerts[3] = WEBHOOK["alerts"][0] | {"startsAt": "x"}
    assert refusal(json.dumps(WEBHOOK | {"alerts": alerts}).encode()) == "alerts[3].startsAt"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": "3"}, "version"), ({"version": 4}, "version"), ({"alerts": None}, "alerts"),
        ({"alerts": {}}, "alerts"), ({"truncatedAlerts": "x"}, "truncatedAlerts"),
        ({"externalURL": 1}, "externalURL"),
    ],
    ids=["version-3", "version-number", "null", "object", "truncated", "external"],
)  # fmt: skip
def test_wrong_field_of_the_document_is_named(changes: dict[str, Any], field: str) -> None:
    assert refusal(json.dumps(WEBHOOK | changes).encode()) == field


@pytest.mark.parametrize("field", ["version", "alerts"])
def test_missing_field_of_the_document_is_named(field: str) -> None:
    document = {name: value for name, value in WEBHOOK.items() if name != field}
    assert refusal(json.dumps(document).encode()) == field


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"7", b"{", b"\xff\xfe", b'{"version": "\xff"}', b"[" * 200_000,
        b'{"version":"4","alerts":[],"x":' + b"[" * 200_000,
    ],
    ids=[
        "empty", "null", "array", "number", "half", "no-utf8", "broken-utf8", "deep", "deep-more",
    ],
)  # fmt: skip
def test_body_that_is_no_document_is_refused(body: bytes) -> None:
    assert refusal(body) == "body"


def test_most_alerts_are_taken_and_one_more_is_not() -> None:
    alert = {"status": "firing", "labels": {}, "startsAt": "2025-12-04T10:00:00Z"}
    document = {"version": "4", "alerts": [alert] * MAX_ALERTS}
    assert len(read(document)) == MAX_ALERTS
    document["alerts"] = [alert] * (MAX_ALERTS + 1)
    assert refusal(json.dumps(document).encode()) == "alerts"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_alertmanager(body)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from([*WEBHOOK["alerts"][0], "more"]), _json))
def test_any_values_are_read_or_refused_with_their_place(changes: dict[str, Any]) -> None:
    document = WEBHOOK | {"alerts": [WEBHOOK["alerts"][0] | changes]}
    try:
        [found] = read(document)
    except InvalidRequest as refused:
        field = refused.details[0]["field"]
        assert field == "body" or field.startswith("alerts[0].")
    else:
        assert found.starts_at.tzinfo is UTC
