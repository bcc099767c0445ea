"""What fields are called in the formats of this world. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from quarterdeck.logs.levels import Scale

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "timestamp": (
        "@timestamp", "time", "ts", "@t", "date", "datetime", "_time", "eventtime", "event_time",
        "timemillis", "asctime", "__realtime_timestamp",
    ),
    "level": (
        "severity", "lvl", "loglevel", "log_level", "log.level", "levelname", "level_name", "@l",
        "severity_text", "severitytext", "levelno", "severity_number", "severitynumber",
    ),
    "service": (
        "service.name", "service_name", "servicename", "app", "application", "app_name", "appname",
        "syslog_identifier",
    ),
    "message": ("msg", "log", "body", "text", "short_message", "@m", "event"),
})  # fmt: skip
"""In lower case: pino, bunyan, logrus, zap, slog, structlog, Serilog, GELF, ECS, journald, Docker.
`logger` and `name` are left alone: they name a part of a program, not the service."""

IDS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "request_id": (
        "requestId", "requestID", "RequestId", "request.id", "http.request.id", "req_id", "reqId",
        "x-request-id", "X-Request-ID", "x_request_id", "correlation_id", "correlationId",
    ),
    "user_id": ("userId", "userID", "UserId", "user.id", "enduser.id", "usr.id"),
    "tenant_id": ("tenantId", "tenantID", "TenantId", "tenant.id", "organization.id"),
})  # fmt: skip
"""Exactly as they are: lines with all other fields in place are looked through for these too."""

ID_NAMES = frozenset(name for names in IDS.values() for name in names)

FIELD_OF = {
    alias: (name, rank)
    for name, aliases in ALIASES.items()
    for rank, alias in enumerate((name, *aliases))
}
"""Name in lower case -> the field, and which of several names goes first."""

ID_OF = {
    alias: (name, rank)
    for name, aliases in IDS.items()
    for rank, alias in enumerate((name, *aliases))
}
"""The same for `IDS`."""

SCALES = {
    "levelno": Scale.PYTHON, "severity_number": Scale.OTLP, "severitynumber": Scale.OTLP,
}  # fmt: skip
"""Where the name tells what its numbers mean."""

ERROR_NAMES = {"type": "error_type", "message": "error_message", "stack_trace": "stack_trace"}
OTHER_ERROR_NAMES = {"stack": "stack_trace", "stacktrace": "stack_trace", "name": "error_type"}
"""As in an `error` object -> as in the metadata."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a format calls things. A dot also leads into an object, from which it is only copied."""

    fields: Mapping[str, str]
    """Field of a line -> its name there."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Name there -> name in the metadata."""


PLATFORM = Vocabulary({name: name for name in (*ALIASES, *IDS)})
