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

DATA: dict[str, Any] = {
    "OpenSession": _SESSION,
    "GetSession": _SESSION,
    "EndSession": {"status": "ended"},
}
