"""Example answers and bodies of the log routes: the spec's own samples, with our additions."""

from typing import Any

LOG: dict[str, Any] = {
    "id": "log_AAZFHqWzdkAAAAAAAAAALAAAAAc",
    "timestamp": "2025-12-04T12:15:30Z",
    "level": "error",
    "service": "api",
    "message": "Payment processing failed",
    "request_id": "req_abc123",
    "user_id": "usr_xyz",
    "metadata": {"error_type": "PaymentError", "stack_trace": "..."},
    "tenant_id": "tnt_7",
    "level_original": "ERROR",
    "marks": [],
    "original": None,
}

DATA: dict[str, Any] = {
    "SearchLogs": {
        "logs": [LOG],
        "pagination": {"total": 345, "limit": 50, "offset": 0, "cursor": LOG["id"]},
    },
    "GetLog": LOG,
    "GetLogContext": {"log": LOG, "before": [], "after": [], "same_request": [LOG]},
    "GetLogHistogram": {
        "steps": [
            {"start": "2025-12-04T12:00:00Z", "counts": {"error": 12, "info": 333}, "total": 345}
        ],
        "step_s": 900,
        "total": 345,
    },
    "GetLogFacet": {
        "field": "service",
        "values": [{"value": "api", "count": 301}, {"value": "smtp", "count": 44}],
        "exact": True,
    },
    "GetLogStats": {
        "rows": 5_000_000,
        "bytes": 135_000_000,
        "oldest": "2025-09-05T00:00:00Z",
        "newest": "2025-12-04T12:15:30Z",
        "ingest_lines_per_s": 58.3,
        "waiting_bytes": 0,
        "retention_days": 90,
        "retention_bytes": None,
        "dropped_datagrams": 0,
    },
    "IngestLogs": {
        "accepted": 2,
        "rejected": 1,
        "rejections": [{"line": 3, "reason": "not a JSON object: JSON is malformed"}],
    },
}
"""`data` of the 200 answer, by operation id."""

TEXTS: dict[str, str] = {
    "TailLogs": f'id: {LOG["id"]}\nevent: log\ndata: {{"id": "{LOG["id"]}", "level": "error"}}\n\n',
}
"""Answers that are no JSON, by operation id."""

BODIES: dict[str, dict[str, Any]] = {
    "IngestLogs": {
        "required": True,
        "description": "One JSON object a line, or a JSON array of them; plain, gzip or zstd. "
        "`timestamp`, `level`, `service`, `message`, `request_id`, `user_id`, `tenant_id`, `error` "
        "are known; anything else becomes metadata.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "examples": {
                    "sample": {
                        "value": '{"timestamp": "2025-12-04T12:15:30Z", "level": "error", '
                        '"service": "api", "message": "Payment processing failed", '
                        '"request_id": "req_abc123", "error": {"type": "PaymentError"}}\n'
                    }
                },
            }
        },
    }
}
"""Request bodies that the framework cannot see, by operation id."""
