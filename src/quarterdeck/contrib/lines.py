"""From a `logging.LogRecord` to one line of NDJSON in the platform's log format."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

NAMES = ("request_id", "user_id", "tenant_id")
"""Keys of `extra=` and of the context that have a field of their own."""

Context = Callable[[], Mapping[str, Any]]
"""Gives what is true of the current request: its ids, and anything else as metadata."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest came by `extra=`."""

_LEVELS = {
    "CRITICAL": "critical", "ERROR": "error", "WARNING": "warning", "INFO": "info",
    "DEBUG": "debug",
}  # fmt: skip
_BY_NUMBER = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
_SURROGATES = re.compile("[\ud800-\udfff]")
_DEFAULT_FORMATTER = logging.Formatter()


def encoded(
    record: logging.LogRecord,
    service: str,
    context: Mapping[str, Any],
    formatter: logging.Formatter | None = None,
) -> bytes:
    """The record as one line without its line feed. The formatter only writes stack traces."""
    metadata: dict[str, Any] = {"logger": record.name}
    message = _message(record, metadata)
    line: dict[str, Any] = {
        "timestamp": timestamp(record.created),
        "level": _level(record, metadata),
        "service": service,
        "message": message,
    }
    extra = {key: value for key, value in vars(record).items() if key not in _OWN}
    for key, value in {**context, **extra}.items():
        if key not in NAMES:
            metadata[key] = value
        elif value is not None:
            line[key] = _text(value)
    if error := _error(record, formatter or _DEFAULT_FORMATTER):
        line["error"] = error
    if record.stack_info:
        metadata["stack_info"] = record.stack_info
    return dumped(line | {"metadata": metadata})


def dumped(line: Mapping[str, Any]) -> bytes:
    """The line as JSON; a value that JSON has not is its text, whatever it takes."""
    try:
        text = _json(line)
    except Exception:  # noqa: BLE001 - values run the user's own code: `__str__`, `keys`
        text = _json({**line, "metadata": _tamed(line.get("metadata", {}))})
    return _SURROGATES.sub("\ufffd", text).encode()


def _json(value: object) -> str:
    # NaN is no JSON; a lone surrogate is no UTF-8, so it must not hide behind an escape.
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str
    )


def _tamed(metadata: Mapping[Any, Any]) -> dict[str, Any]:
    tamed = {}
    for key, value in metadata.items():
        try:
            tamed[_text(key)] = json.loads(_json(value))
        except Exception:  # noqa: BLE001 - see above
            tamed[_text(key)] = _text(value)
    return tamed


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__name__} that cannot be shown>"


def _message(record: logging.LogRecord, metadata: dict[str, Any]) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - wrong arguments must not cost the line
        metadata["logging_error"] = f"{type(error).__name__}: {_text(error)}"
        metadata["args"] = _text(record.args)
        return _text(record.msg)


def _level(record: logging.LogRecord, metadata: dict[str, Any]) -> str:
    """A level of Python by its name; one of the program's own by its number."""
    known = _LEVELS.get(record.levelname)
    if known is not None:
        return known
    metadata["level_name"] = record.levelname
    return next((name for least, name in _BY_NUMBER if record.levelno >= least), "debug")


def timestamp(created: float) -> str:
    """ISO 8601 in UTC to the microsecond, of seconds since 1970."""
    moment = datetime.fromtimestamp(created, UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _error(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, str] | None:
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, _ = record.exc_info
        try:
            trace = formatter.formatException(record.exc_info)
        except Exception as failure:  # noqa: BLE001 - the exception's own code runs here
            trace = f"<no stack trace: {type(failure).__name__}>"
        return {"type": kind.__qualname__, "message": _text(error), "stack_trace": trace}
    return {"stack_trace": record.exc_text} if record.exc_text else None
