"""Sample answers of the routes of IP reputation, by operation id; checked against their schemas."""

from typing import Any

_IP: dict[str, Any] = {
    "ip_address": "203.0.113.12",
    "provider": "AWS",
    "reputation_score": 92,
    "blacklists": ["spamhaus"],
    "daily_volume": 50000,
    "status": "critical",
    "provider_source": "ptr",
    "pool": "marketing-eu",
    "origin": "settings",
    "confidence": "high",
    "score_breakdown": [
        {"component": "listings", "points": 6.0, "why": "on spamhaus (sbl) for 2 h"},
        {
            "component": "hard_bounces",
            "points": 2.0,
            "why": "4,890 of 315,000 letters bounced for good in 7 days: at least 1.50 %",
        },
    ],
    "coverage": {
        "checked": 8,
        "unknown": 1,
        "unknown_lists": [{"list": "barracuda", "why": "nobody answers in time"}],
    },
    "checked_at": "2025-12-04T12:00:00Z",
    "listings": [
        {
            "list": "spamhaus",
            "sub_lists": ["sbl"],
            "tier": "major",
            "state": "confirmed",
            "since": "2025-12-04T10:00:00Z",
            "seen_at": "2025-12-04T12:00:00Z",
            "stale": False,
            "reason": "https://check.spamhaus.org/sbl/query/SBL123456",
            "delist_url": "https://check.spamhaus.org/",
            "steps": [
                "sbl: A spam source, listed by hand. Only the owner of the network, mostly your "
                "provider, can ask for removal.",
                "Ask at https://check.spamhaus.org/",
            ],
        }
    ],
    "mail": {
        "attempted": 315000,
        "hard_bounces": 4890,
        "complaints": 60,
        "complainable": 240000,
        "deferred": 2100,
        "pairs": 316000,
        "daily_median": 45000.0,
    },
}

_CLEAN = _IP | {
    "ip_address": "203.0.113.13",
    "provider": "SendGrid",
    "reputation_score": 98,
    "blacklists": [],
    "daily_volume": 75000,
    "status": "good",
    "score_breakdown": _IP["score_breakdown"][1:],
    "listings": [],
}

DATA: dict[str, dict[str, Any]] = {
    "GetIpReputation": {"ips": [_IP, _CLEAN]},
    "AddSendingAddress": _CLEAN
    | {
        "origin": "api",
        "reputation_score": 100,
        "daily_volume": None,
        "confidence": "none",
        "score_breakdown": [],
        "coverage": {"checked": 0, "unknown": 0, "unknown_lists": []},
        "checked_at": None,
        "mail": None,
    },
    "RemoveSendingAddress": {"ip_address": "203.0.113.13", "status": "removed"},
    "CheckSendingAddress": _IP,
    "GetIpHistory": {
        "ip_address": "203.0.113.12",
        "since": "2025-11-04T12:00:00Z",
        "until": "2025-12-04T12:00:00Z",
        "scores": [
            {
                "at": "2025-12-04T12:00:00Z",
                "reputation_score": 92,
                "status": "critical",
                "confidence": "high",
                "daily_volume": 50000,
                "blacklists": ["spamhaus"],
            }
        ],
        "listings": [
            {
                "list": "spamhaus",
                "sub_lists": ["sbl"],
                "since": "2025-12-04T10:00:00Z",
                "until": None,
                "reason": "https://check.spamhaus.org/sbl/query/SBL123456",
            }
        ],
    },
    "SendMailEvents": {
        "accepted": 2,
        "passed_over": 5,
        "rejected": 1,
        "rejections": [{"line": 3, "reason": "ts: give its offset or Z"}],
    },
    "TakeMailHook": {"accepted": 12},
}
"""`data` of the 200 answer, by operation id."""

BODIES: dict[str, dict[str, Any]] = {
    "SendMailEvents": {
        "required": True,
        "description": "One event a line (`format=neutral`), or lines of a mail server's log.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"ts": "2025-12-04T12:00:00Z", "event": "bounced", "id": "4F2A", '
                '"ip": "203.0.113.12", "rcpt": "jane@example.org", "dsn": "5.1.1"}\n',
            },
            "text/plain": {"schema": {"type": "string"}},
        },
    },
    "TakeMailHook": {
        "required": True,
        "description": "As the provider documents it.",
        "content": {"application/json": {"schema": {}}},
    },
}
"""Request bodies that the framework cannot read off a route."""
