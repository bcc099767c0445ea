"""What people see: tables and sentences. What servers say is shown, never obeyed.

Unknown is `?`: nothing here turns it into a zero.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from quarterdeck.core.clock import utc_now

UNKNOWN = "?"
STYLES = {
    "healthy": "green", "warning": "yellow", "critical": "bold red", "paused": "yellow",
    "active": "cyan", "waiting": "yellow", "failed": "bold red", "completed": "green",
    "revoked": "red", "expired": "yellow", "degraded": "yellow", "down": "bold red",
    "error": "bold red", "info": "cyan", "firing": "bold red", "resolved": "green",
    "acknowledged": "yellow", "stale": "yellow", "listed": "bold red", "clean": "green",
    "unknown": "yellow",
}  # fmt: skip
SHORTEST_TAIL = 24
GAP = "  "


def safe(value: object) -> str:
    """One printable line: control characters, which a terminal obeys, are shown as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)
    )


def known(value: object) -> str:
    """The value, or `?` when nobody knows it."""
    return UNKNOWN if value is None else safe(value)


def say(message: str) -> None:
    """A sentence for the user on standard error."""
    print(safe(message), file=sys.stderr)  # noqa: T201 - the command line's own output


def print_json(data: object) -> None:
    """For programs: plain ASCII, whatever the terminal's encoding."""
    print(json.dumps(data, indent=2))  # noqa: T201 - the command line's own output


def print_line(text: str) -> None:
    """A sentence for the user on standard output."""
    print(safe(text))  # noqa: T201 - the command line's own output


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> None:
    """A table without lines; the last `numbers` columns are right-aligned.

    Cells are never wrapped or cut, so that what is in them can be copied: a table that is wider
    than the terminal is broken by the terminal. Only a last column named `error` is cut to fit.
    """
    console = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]
    room = None
    if headers[-1] == "error" and console.is_terminal:
        room = max(SHORTEST_TAIL, console.width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1))
    first_number = len(headers) - numbers
    for index, row in enumerate((headers, *rows)):
        cells = [Text(cell, "bold" if index == 0 else STYLES.get(cell, "")) for cell in row]
        if room is not None:
            cells[-1].truncate(room, overflow="ellipsis")
        aligned = [
            _aligned(cell, width, is_number=column >= first_number)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        line = Text(GAP).join(aligned)
        line.rstrip()
        console.print(line, soft_wrap=True)


def _aligned(cell: Text, width: int, *, is_number: bool) -> Text:
    padding = " " * (width - cell.cell_len)
    return Text.assemble(padding, cell) if is_number else Text.assemble(cell, padding)


def span(seconds: float) -> str:
    """A length of time for people: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


QUEUE_HEADERS = (
    "queue", "status", "paused", "waiting", "active", "failed", "completed/h", "oldest",
)  # fmt: skip


PAUSED: Mapping[object, str] = {True: "paused", False: "no"}


def queue_row(queue: Mapping[str, Any]) -> list[str]:
    """One line of the list of queues."""
    paused = PAUSED.get(queue.get("paused"), UNKNOWN)
    counts = ("waiting_jobs", "active_jobs", "failed_jobs", "completed_last_hour")
    return [
        known(queue.get("name")),
        known(queue.get("status")),
        paused,
        *(known(queue.get(key)) for key in counts),
        _oldest(queue),
    ]


def _oldest(queue: Mapping[str, Any]) -> str:
    """How long the oldest job has been waiting; `-` when none is."""
    age = queue.get("oldest_waiting_age_s")
    if isinstance(age, int | float):
        return span(age)
    since = queue.get("oldest_waiting_at")
    if isinstance(since, str):
        try:
            return span(max(0.0, (utc_now() - datetime.fromisoformat(since)).total_seconds()))
        except (ValueError, TypeError):
            return UNKNOWN
    return "-" if queue.get("waiting_jobs") == 0 else UNKNOWN


JOB_HEADERS = ("id", "status", "attempts", "created", "updated", "error")


def job_row(job: Mapping[str, Any]) -> list[str]:
    """One line of the list of jobs."""
    error = job.get("error")
    message = known(error.get("message")) if isinstance(error, dict) else ""
    keys = ("id", "status", "attempts", "created_at", "updated_at")
    return [*(known(job.get(key)) for key in keys), message]


def page_line(shown: int, pagination: Mapping[str, Any]) -> str:
    """Which part of all jobs a page is: `jobs 51-100 of 125`."""
    offset, total = pagination.get("offset") or 0, known(pagination.get("total"))
    if pagination.get("total_kind") == "capped":
        total = f"at least {total}"
    return (
        f"jobs {offset + 1}-{offset + shown} of {total}" if shown else f"no jobs here, of {total}"
    )


SERVICE_HEADERS = ("service", "status", "fresh", "p95 ms", "errors %", "since", "reason")
FRESH: Mapping[object, str] = {True: "stale", False: "yes"}


def service_row(service: Mapping[str, Any]) -> list[str]:
    """One line of the list of services; `-` where a service has no such measure."""
    times = service.get("response_time_ms")
    p95 = times.get("p95") if isinstance(times, dict) else None
    rate, reason = service.get("error_rate_percent"), service.get("reason")
    return [
        known(service.get("name")),
        known(service.get("status")),
        FRESH.get(service.get("stale"), UNKNOWN),
        "-" if p95 is None else known(p95),
        "-" if rate is None else known(rate),
        known(service.get("since")),
        "" if reason is None else safe(reason),
    ]


ALERT_HEADERS = ("id", "since", "severity", "state", "service", "message")


def alert_row(alert: Mapping[str, Any]) -> list[str]:
    """One line of the list of alerts; one that somebody looks after says so."""
    state = alert.get("status")
    if state == "firing" and alert.get("acknowledged") is True:
        state = "acknowledged"
    keys = ("id", "timestamp", "severity")
    return [
        *(known(alert.get(key)) for key in keys),
        known(state),
        known(alert.get("service")),
        known(alert.get("message")),
    ]
