"""From an exception to status, headers and envelope: the only place that knows HTTP numbers."""

import enum
import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from quarterdeck.api.context import context_of
from quarterdeck.api.envelope import ErrorBody, ErrorEnvelope, Headers, encode
from quarterdeck.core import errors
from quarterdeck.core.errors import Detail, QuarterdeckError, TooManyRequests

log = logging.getLogger("quarterdeck.http")

STATUS: Mapping[type[QuarterdeckError], int] = {
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.KeyReused: 422,
    errors.TooManyRequests: 429,
    errors.SourceUnavailable: 503,
}

CODES = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "IDEMPOTENCY_KEY_REUSED",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "SOURCE_UNAVAILABLE",
}

INTERNAL = (
    "Something went wrong on our side. The server's log has the details under this request id."
)


class HttpError(QuarterdeckError):
    """An error that exists only in HTTP: a body too large, a media type we do not read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def render(error: BaseException, request_id: str) -> tuple[int, Headers, bytes]:
    """The answer to any exception. Unexpected ones tell the caller nothing but the request id."""
    if isinstance(error, QuarterdeckError):
        status, headers = _own(error)
        message, details = error.message, error.details
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status, message, details, headers = _litestar(error)
    else:
        log.error("unexpected error", exc_info=error, extra={"request_id": request_id})
        status, message, details, headers = 500, INTERNAL, [], []
    body = ErrorBody(CODES.get(status, "VALIDATION_ERROR"), message, details, request_id)
    return status, headers, encode(ErrorEnvelope(error=body))


def _own(error: QuarterdeckError) -> tuple[int, Headers]:
    if isinstance(error, HttpError):
        return error.status, []
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 401:
        return status, [(b"www-authenticate", b'Bearer realm="quarterdeck"')]
    if isinstance(error, TooManyRequests):
        return status, [(b"retry-after", str(error.retry_after_s).encode())]
    if status == 503:
        return status, [(b"retry-after", b"5")]
    return status, []


def _litestar(error: HTTPException) -> tuple[int, str, list[Detail], Headers]:
    if error.status_code == 404:
        return 404, "There is no such route. See /docs for all of them.", [], []
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "")
        return 405, f"This route answers {allowed} only.", [], [(b"allow", allowed.encode())]
    details = _details(error)
    message = "; ".join(f"{d['field']}: {d['message']}" for d in details) or error.detail
    return error.status_code, message, details, []


_MISSING = re.compile(r"^Missing required (\w+) parameter '([^']+)'")


def _details(error: HTTPException) -> list[Detail]:
    if missing := _MISSING.search(error.detail):
        return [{"field": missing[2], "message": "is missing", "source": missing[1]}]
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return []
    found: list[Detail] = []
    for item in error.extra:
        text = str(item.get("message", "is not valid")).replace("`", "'")
        found.append(
            {
                "field": str(item.get("key", "request")),
                "message": text,
                "source": str(getattr(item.get("source"), "value", item.get("source", "query"))),
            }
        )
    return found


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler, for everything that is raised inside a route."""
    _put_right(request, error)
    status, headers, body = render(error, context_of(request.scope).request_id)
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={name.decode(): value.decode() for name, value in headers},
    )


def _put_right(request: Request[Any, Any, Any], error: Exception) -> None:
    """`Invalid enum value 'x'` does not say what would be right, and a parameter may have another
    name than the handler's argument; the handler's signature says both.
    """
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return
    parameters = request.scope["route_handler"].parsed_fn_signature.parameters
    for item in error.extra:
        parameter = parameters.get(item.get("key", ""))
        if parameter is None:
            continue
        kinds = [parameter.annotation, *getattr(parameter.annotation, "__args__", ())]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, enum.Enum):
                item["message"] = f"must be one of {', '.join(member.value for member in kind)}"
        item["key"] = getattr(parameter.kwarg_definition, "name", None) or item["key"]


def decoded(raw: bytes, what: str) -> Any:
    """A JSON body as plain data.

    Raises:
        InvalidRequest: it is not JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidRequest.of(
            "body", f"{what} is not valid JSON: {error}", "body"
        ) from None
