"""The pure rules of the queue room."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import NotFound
from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Failure, JobRef, Provenance, QueueStats, QueueStatus
from quarterdeck.queues.rules import (
    Redactor,
    TextFilter,
    decode_job_id,
    encode_job_id,
    fingerprint,
    group_failures,
    status_of,
)

REDACT = Redactor(["password", "api_key", "token", "authorization"])


def stats(waiting: int | None, failed: int | None) -> QueueStats:
    return QueueStats(
        active=0,
        waiting=waiting,
        failed=failed,
        completed_last_hour=0,
        completed_last_hour_source=Provenance.EXACT,
        paused=False,
    )


@pytest.mark.parametrize(
    ("waiting", "failed", "status"),
    [
        (0, 0, "healthy"), (99, 10, "healthy"), (100, 0, "warning"), (1000, 10, "warning"),
        (1001, 0, "critical"), (2500, 8, "critical"), (0, 11, "critical"), (None, 0, "unknown"),
        (0, None, "unknown"), (None, 11, "critical"), (1001, None, "critical"),
    ],
)  # fmt: skip
def test_status_follows_the_rule(waiting: int | None, failed: int | None, status: str) -> None:
    assert status_of(stats(waiting, failed)) == QueueStatus(status)


STORABLE = st.text().filter(is_storable)


@given(STORABLE, STORABLE, STORABLE)
def test_job_id_leads_back_and_is_url_safe(source: str, native: str, queue: str) -> None:
    ref = JobRef(source=source, id=native, queue=queue)
    job_id = encode_job_id(ref)
    assert decode_job_id(job_id) == ref
    assert job_id.replace("-", "").replace("_", "").isalnum()
    assert job_id.isascii()


@given(st.text() | st.text(alphabet="WyJhIiwiYiIsImMiXQ_-=", max_size=40).map("job_".__add__))
def test_foreign_job_id_is_not_found(text: str) -> None:
    try:
        ref = decode_job_id(text)
    except NotFound:
        return
    assert encode_job_id(ref) == text


def test_redaction_reaches_every_depth_and_spelling() -> None:
    payload = {
        "smtp_password": "hunter2",
        "list": [{"apiKey": 1, "X-API-KEY": "k", "keyboard": "qwerty"}],
        "tokens_used": 5,
        "authorization": None,
        "dsn": "postgres://mail:hunter2@db/1",
        "nested": '{"password": "hunter2", "to": "a@b.c"}',
        "header": "Authorization: Bearer hunter2",
    }
    shown = REDACT(payload)
    assert "hunter2" not in repr(shown)
    assert shown["smtp_password"] == "***"
    assert shown["list"] == [{"apiKey": "***", "X-API-KEY": "***", "keyboard": "qwerty"}]
    assert shown["tokens_used"] == 5
    assert shown["authorization"] is None
    assert shown["dsn"] == "postgres://mail:***@db/1"
    assert payload["smtp_password"] == "hunter2"


def test_text_filter_does_not_tell_a_secret() -> None:
    payload = {"api_key": "abc123", "to": "Müller"}
    assert not TextFilter("abc1", REDACT).accepts(payload, "api_key=abc123 refused")
    assert TextFilter("MÜLL", REDACT).accepts(payload, None)
    assert TextFilter("refused", REDACT).accepts(payload, "api_key=abc123 Refused")


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("SMTP timeout after 30.5 s to 203.0.113.7:25", "SMTP timeout after <n> s to <ip>"),
        ("550 5.1.1 <jane.doe@example.org>: unknown", "550 5.1.1 <<address>>: unknown"),
        ("{'a@b.c': (550, b'5.1.1 No 7')}", "{'<address>': (550, b'5.1.1 No <n>')}"),
        ("421-4.7.0 try in 300 s", "421-4.7.0 try in <n> s"),
        ("451 try in 300 s", "451 try in <n> s"),
        ("job 6f1f0e0a-1111-4222-8333-444455556666 gone", "job <id> gone"),
        ("campaign cmp_9xk2 not found", "campaign <id> not found"),
        ("deadlock on 0x7fff12 in send_mail", "deadlock on <id> in send_mail"),
        ("host 2001:db8::1 refused", "host <ip> refused"),
        ("first line\n  at 0x1234", "first line"),
        ("", "(no message)"),
    ],
)
def test_fingerprint_masks_what_differs(message: str, masked: str) -> None:
    assert fingerprint(message) == masked


@given(st.text())
def test_fingerprint_is_short_and_stable(message: str) -> None:
    assert 0 < len(fingerprint(message)) <= 300


def test_groups_are_largest_first_with_the_newest_sample() -> None:
    moment = datetime(2025, 12, 4, 10, tzinfo=UTC)
    failures = [
        Failure(JobRef("s", str(n)), f"timeout after {n} s", moment.replace(minute=59 - n))
        for n in range(3)
    ]
    failures.append(Failure(JobRef("s", "x"), "disk full", None))
    groups = group_failures(failures)
    assert [(g.fingerprint, g.count) for g in groups] == [
        ("timeout after <n> s", 3),
        ("disk full", 1),
    ]
    assert groups[0].sample == JobRef("s", "0")
    assert groups[0].first_at == moment.replace(minute=57)
    assert groups[0].last_at == moment.replace(minute=59)
    assert groups[1].last_at is None
