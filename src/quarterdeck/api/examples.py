"""Example answers for the OpenAPI document: the spec's own samples, with our additions filled in.

One value differs from the spec's text: 2500 waiting is `critical`, as the spec's rule says, where
its sample says `warning`.
"""

from typing import Any

_CAPABILITIES = {
    "completed_last_hour": "exact",
    "total": "exact",
    "pause": "native",
    "pause_scope": "band",
    "pause_durable": True,
    "retry": "native",
    "attempts_reset": "native",
    "delete": {"active": "no", "waiting": "yes", "failed": "yes", "completed": "yes"},
    "list_jobs": {"active": "yes", "waiting": "yes", "failed": "yes", "completed": "yes"},
    "error": "trace",
    "payload": "json",
    "id_scope": "db",
    "notes": ["Running jobs finish; nothing that waits is lost."],
}

_QUEUE = {
    "name": "queue:email-sending:high",
    "priority": "high",
    "active_jobs": 12,
    "waiting_jobs": 45,
    "completed_last_hour": 1234,
    "failed_jobs": 2,
    "status": "healthy",
    "paused": False,
    "source": "platform",
    "oldest_waiting_at": "2025-12-04T11:59:48Z",
    "completed_last_hour_source": "exact",
    "trend": {"direction": "falling", "waiting_per_minute": -9.0},
    "eta_s": 300.0,
    "warnings": [],
}

_JOB = {
    "id": "job_WyJwbGF0Zm9ybSIsIjEyMyIsIiJd",
    "queue": "queue:email-sending",
    "status": "failed",
    "payload": {"campaign_id": "cmp_abc", "recipient_count": 1000},
    "error": {"message": "SMTP connection timeout", "stack_trace": "..."},
    "attempts": 3,
    "created_at": "2025-12-04T10:00:00Z",
    "updated_at": "2025-12-04T10:15:00Z",
    "source": "platform",
    "native_id": "123",
    "native_status": "failed",
    "max_attempts": 3,
    "run_at": "2025-12-04T10:00:00Z",
    "payload_error": None,
    "location": None,
}

_CHANGE = {
    "queue": "queue:email-sending",
    "status": "paused",
    "timestamp": "2025-12-04T12:00:00Z",
    "changed": True,
    "scope": "band",
    "durable": True,
    "affected": ["queue:email-sending"],
    "notes": [],
}

_OPERATION = {
    "operation_id": "op_019ab000-0000-7000-8000-000000000000",
    "action": "retry_failed",
    "queue": "queue:email-sending",
    "source": "platform",
    "status": "running",
    "done": 500,
    "total": 1250,
    "error": None,
    "cutoff": "2025-12-04T12:00:00Z",
    "requested_by": "token:9xk2m4p7qd",
    "created_at": "2025-12-04T12:00:00Z",
    "updated_at": "2025-12-04T12:00:02Z",
}

_SOURCES = [{"name": "platform", "kind": "sql", "health": "ok", "error": None, "answered_at": None}]

DATA: dict[str, dict[str, Any]] = {
    "ListQueues": {
        "queues": [
            _QUEUE,
            _QUEUE
            | {
                "name": "queue:email-sending",
                "priority": "normal",
                "active_jobs": 50,
                "waiting_jobs": 2500,
                "completed_last_hour": 5678,
                "failed_jobs": 8,
                "status": "critical",
            },
        ],
        "sources": _SOURCES,
    },
    "GetQueue": _QUEUE
    | {
        "completed_jobs": 98_200,
        "oldest_waiting_age_s": 12.4,
        "capabilities": _CAPABILITIES,
        "source_state": _SOURCES[0],
    },
    "GetQueueHistory": {
        "queue": "queue:email-sending:high",
        "source": "platform",
        "since": "2025-12-03T12:00:00Z",
        "until": "2025-12-04T12:00:00Z",
        "step_s": 300,
        "series": [
            {
                "at": "2025-12-04T11:50:00Z",
                "waiting": 61.4,
                "waiting_max": 90,
                "active": 11.8,
                "failed": 2,
                "oldest_age_s": 48.1,
                "completed_per_minute": 20.6,
                "failed_per_minute": 0.1,
            },
            {
                "at": "2025-12-04T11:55:00Z",
                "waiting": None,
                "waiting_max": None,
                "active": None,
                "failed": None,
                "oldest_age_s": None,
                "completed_per_minute": None,
                "failed_per_minute": None,
            },
        ],
    },
    "ListQueueJobs": {
        "jobs": [_JOB],
        "pagination": {"total": 125, "limit": 50, "offset": 0, "total_kind": "exact"},
    },
    "ListQueueErrors": {
        "groups": [
            {
                "fingerprint": "421 4.7.0 <address> try again in <n> s",
                "count": 31,
                "sample_job_id": _JOB["id"],
                "sample_message": "421 4.7.0 jane@example.org try again in 300 s",
                "first_failed_at": "2025-12-04T10:02:00Z",
                "last_failed_at": "2025-12-04T11:58:00Z",
            }
        ],
        "examined": 31,
        "complete": True,
    },
    "PauseQueue": _CHANGE,
    "ResumeQueue": _CHANGE | {"status": "resumed"},
    "RetryFailedJobs": _OPERATION,
    "DeleteFailedJobs": _OPERATION | {"action": "delete_failed"},
    "GetJob": _JOB
    | {
        "history": [
            {
                "number": 3,
                "outcome": "failed",
                "started_at": "2025-12-04T10:14:30Z",
                "finished_at": "2025-12-04T10:15:00Z",
                "duration_ms": 30_000,
                "message": "SMTP connection timeout",
                "stack_trace": "...",
            }
        ]
    },
    "RetryJob": {"job_id": _JOB["id"], "status": "queued", "attempts_reset": True},
    "DeleteJob": {"job_id": _JOB["id"], "status": "deleted"},
    "GetOperation": _OPERATION | {"status": "completed", "done": 1250},
    "ListAudit": {
        "entries": [
            {
                "id": 42,
                "at": "2025-12-04T12:00:00Z",
                "principal": "token:9xk2m4p7qd",
                "role": "ops",
                "action": "queue.pause",
                "resource": "queue_name=queue:email-sending",
                "outcome": "ok",
                "status": 200,
                "ip_address": "198.51.100.7",
                "user_agent": "curl/8.9.1",
                "request_id": "req_01KBM5Z4W8Q6T3",
                "detail": None,
            }
        ],
        "pagination": {"total": 1, "limit": 50, "offset": 0, "total_kind": "exact"},
    },
}
"""`data` of the 200 answer, by operation id."""

TEXTS = {
    "StreamQueues": 'event: queues\ndata: {"queues":[...],"removed":[],"sources":[]}\n\n',
}
"""Answers that are no JSON, by operation id."""

ERRORS: dict[int, tuple[str, str]] = {
    400: ("VALIDATION_ERROR", "limit: Expected 'int' <= 100"),
    401: ("UNAUTHORIZED", "Send a token: Authorization: Bearer <token>."),
    403: ("FORBIDDEN", "Your role 'viewer' may not do this; it takes the role ops or admin."),
    404: (
        "NOT_FOUND",
        "There is no queue 'queue:email-sendin'. Did you mean 'queue:email-sending'?",
    ),
    409: ("CONFLICT", "This job is running: only failed jobs can be retried."),
    413: ("PAYLOAD_TOO_LARGE", "The body is larger than 64 KiB; send less."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Send the body as it is: 'gzip' is not read here."),
    422: (
        "IDEMPOTENCY_KEY_REUSED",
        "This Idempotency-Key was used for another request; use a new one.",
    ),
    429: (
        "RATE_LIMIT_EXCEEDED",
        "You have used up your requests for now. Wait 12 s and try again.",
    ),
    503: (
        "SOURCE_UNAVAILABLE",
        "The platform database: connection refused. It is tried again with every request.",
    ),
}
"""Code and message by status."""
