"""Example answers of sessions and tokens for the OpenAPI document."""

from typing import Any

_SESSION = {
    "principal": "token:k3n5q7x2m4aa",
    "name": "night watch",
    "role": "ops",
    "rights": ["read", "change"],
    "kind": "token",
    "expires_at": "2025-12-05T00:15:30Z",
    "version": "0.1.0",
}

_TOKEN = {
    "id": "k3n5q7x2m4aa",
    "name": "night watch",
    "role": "ops",
    "state": "valid",
    "created_at": "2025-12-04T12:15:30Z",
    "expires_at": "2026-03-04T12:15:30Z",
    "revoked_at": None,
    "last_used_at": "2025-12-04T12:20:00Z",
}

DATA: dict[str, Any] = {
    "OpenSession": _SESSION,
    "GetSession": _SESSION,
    "EndSession": {"status": "ended"},
    "ListTokens": {
        "tokens": [_TOKEN],
        "pagination": {"total": 1, "limit": 50, "offset": 0, "total_kind": "exact"},
    },
    "CreateToken": {
        "token": _TOKEN | {"last_used_at": None},
        "secret": "qd_ops_k3n5q7x2m4aa_<43 letters and digits><6 of a checksum>",
    },
    "RevokeToken": _TOKEN | {"state": "revoked", "revoked_at": "2025-12-05T08:00:00Z"},
    "ListSignInWays": {"token": True, "single_sign_on": "Example ID"},
    "BeginSingleSignOn": {
        "url": "https://id.example.org/authorize?response_type=code&client_id=quarterdeck&state=..."
    },
    "FinishSingleSignOn": {
        "session": _SESSION | {"principal": "jwt:u-7", "name": "Ann Example", "kind": "jwt"},
        "return_to": "/dashboard/system/queues",
    },
}
