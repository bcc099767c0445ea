"""What the metrics that we read mean, by OpenTelemetry's semantic conventions. Pure."""

from collections.abc import Mapping

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
"""Unit to seconds."""

USED = {
    "http.server.request.duration": "s",
    "http.server.duration": "ms",
    "rpc.server.call.duration": "s",
    "rpc.server.duration": "ms",
}
"""Metrics that are response times of a service, with the unit of those that say none."""

_HTTP = ("http.response.status_code", "http.status_code")
_RPC = ("rpc.grpc.status_code", "rpc.response.status_code")
_RPC_FAILURES = {
    2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 12: "UNIMPLEMENTED", 13: "INTERNAL",
    14: "UNAVAILABLE", 15: "DATA_LOSS",
}  # fmt: skip
"""Those of the server; the others are the caller's."""


def seconds_of(name: str, unit: str) -> float | None:
    """How many seconds one unit of this metric has; None: it is no unit of time."""
    return UNITS.get(unit or USED[name])


def is_failure(name: str, attributes: Mapping[str, object]) -> bool | None:
    """Whether these requests failed by the server's fault; None: their attributes do not say."""
    if attributes.get("error.type"):
        return True
    keys, judge = (_HTTP, _is_http) if name.startswith("http.") else (_RPC, _is_rpc)
    return next((judge(attributes[key]) for key in keys if key in attributes), None)


def _is_http(status: object) -> bool | None:
    number = _number(status)
    return None if number is None else number >= 500


def _is_rpc(status: object) -> bool | None:
    number = _number(status)
    if number is not None:
        return number in _RPC_FAILURES
    return status.upper() in _RPC_FAILURES.values() if isinstance(status, str) else None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
