"""Example answers and bodies of the infrastructure routes: the spec's samples, with our own."""

from typing import Any

_SINCE = "2025-12-04T08:00:00Z"
_CHECKED = "2025-12-04T12:00:00Z"


def _service(name: str, status: str, **specific: Any) -> dict[str, Any]:
    common = {
        "since": _SINCE, "checked_at": _CHECKED, "stale": False, "depends_on": [],
        "runbook_url": None, "metrics": {}, "facets": {}, "probes": [],
    }  # fmt: skip
    return {"name": name, "status": status, **specific, **common}


_SERVICES = [
    _service(
        "API Server",
        "healthy",
        response_time_ms={"avg": 120, "p95": 250, "p99": 450, "approximate": False},
        error_rate_percent=0.1,
    ),
    _service(
        "SMTP Service",
        "degraded",
        queue_backlog=5000,
        reason="High volume during campaign launch",
        reason_source="operator",
    ),
    _service(
        "OLTP Database",
        "healthy",
        connection_pool_usage_percent=45,
        query_latency_ms=8,
    ),
]

_HISTORY = {
    "service": "SMTP Service",
    "since": "2025-12-03T12:00:00Z",
    "until": "2025-12-04T12:00:00Z",
    "uptime_percent": 99.93,
    "healthy_s": 71_900.0,
    "degraded_s": 14_400.0,
    "down_s": 60.0,
    "unknown_s": 40.0,
    "changes": [{"at": "2025-12-03T12:00:00Z", "status": "healthy"}],
    "changes_complete": True,
    "step_s": 300,
    "series": [
        {"at": "2025-12-03T12:00:00Z", "avg_ms": None, "p95_ms": None, "p99_ms": None,
         "check_ms": 12.5, "checks": 4, "failed_checks": 0, "error_rate_percent": 0.1},
    ],
}  # fmt: skip

_NOTE = {
    "service": "SMTP Service",
    "note": "High volume during campaign launch",
    "expires_at": "2025-12-04T18:00:00Z",
}

_ALERT = {
    "id": "alert_01KBM5Z4W8Q6T3R9V2N7X1C5D8",
    "timestamp": "2025-12-04T11:30:00Z",
    "severity": "error",
    "service": "SMTP",
    "message": "Queue size exceeded 10000 threshold: 12500 jobs wait in SMTP",
    "acknowledged": False,
    "status": "firing",
    "rule": "queue_depth",
    "source": "queue",
    "labels": {"source": "platform", "priority": "high"},
    "value": 12_500,
    "started_at": "2025-12-04T11:30:00Z",
    "updated_at": "2025-12-04T11:30:00Z",
    "resolved_at": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "note": None,
    "runbook_url": None,
    "count": 1,
    "flapping": False,
    "silenced_by": None,
    "inhibited_by": None,
    "fingerprint": "5f2b",
}
_TAKEN = _ALERT | {
    "acknowledged": True,
    "acknowledged_at": "2025-12-04T11:34:00Z",
    "acknowledged_by": "token:9xk2m4p7qd (console)",
    "note": "Relay restarted, draining",
}
_SILENCE = {
    "id": "silence_01KBM5Z4W8Q6T3R9V2N7X1C5D8",
    "matchers": [{"name": "service", "value": "SMTP*"}],
    "author": "token:9xk2m4p7qd (console)",
    "comment": "Planned move of the relay",
    "created_at": "2025-12-04T12:00:00Z",
    "starts_at": "2025-12-04T12:00:00Z",
    "ends_at": "2025-12-04T14:00:00Z",
    "active": True,
}

DATA: dict[str, Any] = {
    "GetInfrastructureHealth": {
        "services": _SERVICES, "monitor": {"online": True, "reason": None},
    },
    "GetServiceHistory": _HISTORY,
    "SetServiceNote": _NOTE,
    "ClearServiceNote": _NOTE | {"note": None, "expires_at": None},
    "SendHeartbeat": {"heartbeat": "nightly-backup", "received_at": _CHECKED},
    "ListAlerts": {"alerts": [_ALERT]},
    "GetAlert": _ALERT,
    "AcknowledgeAlert": _TAKEN,
    "UnacknowledgeAlert": _ALERT,
    "TestAlertChannels": {
        "channels": [{"channel": "on-call", "delivered": True, "error": None}],
    },
    "ListDeadLetters": {
        "dead_letters": [
            {
                "id": "alert_01KBM5Z4W8Q6T3R9V2N7X1C5D8:1:on-call",
                "alert_id": "alert_01KBM5Z4W8Q6T3R9V2N7X1C5D8",
                "channel": "on-call",
                "transition": "firing",
                "attempts": 7,
                "error": "hooks.example.com answered 503.",
                "created_at": "2025-12-04T11:30:00Z",
            },
        ],
    },
    "TakeAlertmanagerAlerts": {"accepted": 2},
    "CreateSilence": _SILENCE,
    "ListSilences": {
        "silences": [_SILENCE],
        "pagination": {"total": 1, "limit": 50, "offset": 0, "total_kind": "exact"},
    },
    "EndSilence": {"id": "silence_01KBM5Z4W8Q6T3R9V2N7X1C5D8", "status": "ended"},
}  # fmt: skip

TEXTS = {
    "StreamAlerts": 'id: 41\nevent: alert\ndata: {"id":"alert_01KBM5Z4W8Q6T3R9V2N7X1C5D8",...}\n\n',
}

BODIES: dict[str, Any] = {
    "TakeAlertmanagerAlerts": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "sample": {
                        "value": {
                            "version": "4",
                            "groupKey": "{}:{}",
                            "status": "firing",
                            "alerts": [
                                {
                                    "status": "firing",
                                    "labels": {"alertname": "DiskFull", "severity": "critical"},
                                    "annotations": {"summary": "Disk of db-1 is full"},
                                    "startsAt": "2025-12-04T11:30:00Z",
                                    "endsAt": "0001-01-01T00:00:00Z",
                                    "generatorURL": "https://prometheus.example/graph",
                                    "fingerprint": "a1b2c3",
                                }
                            ],
                        }
                    }
                },
            }
        },
    },
}
"""What Alertmanager's webhook sends, version 4."""
