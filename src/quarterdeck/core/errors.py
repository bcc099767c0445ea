"""The error tree. One handler in `api/errors.py` turns it into the documented envelope.

QuarterdeckError
├── InvalidRequest           400 VALIDATION_ERROR
├── Unauthenticated          401 UNAUTHORIZED
├── Forbidden                403 FORBIDDEN
├── NotFound                 404 NOT_FOUND
├── Conflict                 409 CONFLICT
│   ├── Unsupported          the engine cannot do it; `details` names the capability
│   └── InFlight             the same idempotency key is being answered right now
├── KeyReused                422 IDEMPOTENCY_KEY_REUSED
├── TooManyRequests          429 RATE_LIMIT_EXCEEDED
├── SourceUnavailable        503 SOURCE_UNAVAILABLE
└── ConfigError              stops the start; never travels over HTTP
"""

from collections.abc import Sequence
from typing import ClassVar, TypedDict


class Detail(TypedDict, total=False):
    """One entry of `error.details`: where the trouble is and what would be right."""

    field: str
    message: str
    source: str


class QuarterdeckError(Exception):
    """Root of all errors that we raise on purpose. `message` is written for the user."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)


class InvalidRequest(QuarterdeckError):
    """The request is not of the documented form; `details` names the field."""

    code = "VALIDATION_ERROR"

    @classmethod
    def of(cls, field: str, message: str, source: str = "query") -> "InvalidRequest":
        """Build the error for one wrong field; `source` is query, path, header or body."""
        return cls(f"{field}: {message}", [{"field": field, "message": message, "source": source}])


class Unauthenticated(QuarterdeckError):
    """No token, or one that is malformed, unknown, expired or revoked."""

    code = "UNAUTHORIZED"


class Forbidden(QuarterdeckError):
    """A known principal whose role does not reach this far."""

    code = "FORBIDDEN"


class NotFound(QuarterdeckError):
    """No such queue, job, operation, token or route."""

    code = "NOT_FOUND"


class Conflict(QuarterdeckError):
    """The thing exists, but its present state does not allow this."""

    code = "CONFLICT"


class Unsupported(Conflict):
    """The engine cannot do this. `details` carries the capability and its value."""

    @classmethod
    def of(cls, capability: str, value: str, message: str) -> "Unsupported":
        """Name the capability that forbids the call."""
        return cls(message, [{"field": capability, "message": value, "source": "capabilities"}])


class InFlight(Conflict):
    """A request with this Idempotency-Key has not been answered yet."""


class KeyReused(QuarterdeckError):
    """The Idempotency-Key was first used with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class TooManyRequests(QuarterdeckError):
    """The caller must wait `retry_after_s` seconds."""

    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SourceUnavailable(QuarterdeckError):
    """Something we depend on is gone, locked, full or too slow. `source` is its name."""

    code = "SOURCE_UNAVAILABLE"

    def __init__(self, source: str, message: str) -> None:
        super().__init__(message, [{"field": "source", "message": message, "source": source}])
        self.source = source


class ConfigError(QuarterdeckError):
    """The settings are wrong; the message names key, line and what was expected."""

    code = "CONFIG_ERROR"
