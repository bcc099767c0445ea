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

_FILTER = {
    "query": "timeout -healthz",
    "level": None,
    "min_level": "warning",
    "service": "api",
    "start_time": None,
    "end_time": None,
    "request_id": None,
    "user_id": None,
    "tenant_id": None,
}
_EXPORT = {
    "export_id": "export_logs_01KBM5Z4W8Q6T3R9V2N7X1C5D8",
    "status": "processing",
    "download_url": None,
    "format": "json",
    "shape": "ndjson",
    "gzip": False,
    "progress": 0.4,
    "rows": 138,
    "total": 345,
    "bytes": 41_400,
    "error": None,
    "created_at": "2025-12-04T12:20:00Z",
    "created_by": "token:9xk2m4p7qd",
    "completed_at": None,
    "expires_at": None,
    "filter": _FILTER,
}
_DONE = _EXPORT | {
    "status": "completed",
    "download_url": "/api/v1/platform/system/logs/export/"
    "export_logs_01KBM5Z4W8Q6T3R9V2N7X1C5D8/download",
    "progress": 1.0,
    "rows": 345,
    "bytes": 103_500,
    "completed_at": "2025-12-04T12:20:01Z",
    "expires_at": "2025-12-05T12:20:01Z",
}
_SEARCH = {
    "id": "search_01KBM5Z4W8Q6T3R9V2N7X1C5D8",
    "name": "timeouts of the API",
    "filter": _FILTER,
    "created_by": "token:9xk2m4p7qd",
    "created_at": "2025-12-04T12:20:00Z",
    "updated_at": "2025-12-04T12:20:00Z",
}
_PAGE = {"total": 1, "limit": 50, "offset": 0, "total_kind": "exact"}

DATA: dict[str, Any] = {
    "ExportLogs": _EXPORT,
    "GetLogExport": _DONE,
    "ListLogExports": {"exports": [_DONE], "pagination": _PAGE},
    "DeleteLogExport": _EXPORT | {"status": "cancelled"},
    "SaveLogSearch": _SEARCH,
    "GetLogSearch": _SEARCH,
    "ListLogSearches": {"searches": [_SEARCH], "pagination": _PAGE},
    "DeleteLogSearch": {"id": _SEARCH["id"], "status": "deleted"},
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
    "DownloadLogExport": '{"id": "log_AAZFHqWzdkAAAAAAAAAALAAAAAc", "level": "error"}\n',
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
