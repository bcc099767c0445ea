"""The server's own log: JSON lines for machines, readable lines on a terminal; never a secret."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from quarterdeck.core.clock import iso_z

FIELDS = ("request_id", "principal", "client_ip", "duration_ms", "job_id", "source")
"""What `extra=` may add to a line."""

# Our own tokens, bearer values and passwords in URLs: whatever a library may put into a message.
_SECRETS = re.compile(
    r"(qd_[a-z]+_)[A-Za-z0-9_]+|(\bbearer\s+)\S+|(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)",
    re.I,
)


def configure_logging(form: Literal["auto", "json", "text"], level: str) -> None:
    """Send everything to standard error, in the platform's log format."""
    readable = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ReadableFormatter() if readable else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("uvicorn", "uvicorn.error", "alembic", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def without_secrets(text: str) -> str:
    """`text` with tokens and passwords masked."""
    return _SECRETS.sub(lambda m: f"{m[1] or m[2] or m[3]}***", text)


class JsonFormatter(logging.Formatter):
    """`{"timestamp", "level", "service", "message", ...}`, one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "timestamp": iso_z(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "service": "quarterdeck",
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        for name in FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            kind, error, _ = record.exc_info
            line["error"] = {
                "type": kind.__name__ if kind else None,
                "message": without_secrets(str(error)),
                "stack_trace": without_secrets(self.formatException(record.exc_info)),
            }
        return json.dumps(line, ensure_ascii=False, default=str)


class ReadableFormatter(logging.Formatter):
    """`12:00:00 INFO  message  request_id=...`, for eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace below it."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        extras = "".join(
            f"  {name}={value}"
            for name in FIELDS
            if (value := getattr(record, name, None)) is not None
        )
        text = f"{moment} {record.levelname:<7} {record.getMessage()}{extras}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return without_secrets(text)
