"""`quarterdeck logs`: search the log lines, and follow them."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from quarterdeck.cli.client import ApiClient, Data, client_of
from quarterdeck.cli.commands import Token, Url
from quarterdeck.cli.failure import EXIT_CODES, Refused
from quarterdeck.cli.log_lines import LogPrinter, leave_quietly
from quarterdeck.cli.render import known, say
from quarterdeck.cli.tailing import Log, LogTail
from quarterdeck.core.clock import utc_now

PAGE = 100
"""Lines that the API gives at once."""
INTERRUPTED = 130
PATIENCE_S = 120.0
"""Longest wait that a server may ask for in the middle of many pages."""

_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Query = Annotated[
    str | None, typer.Argument(help="What to look for, such as 'level:error timeout'.")
]
Since = Annotated[
    str | None, typer.Option(help="Not before: 15m, 1h, 2d, or a time such as 2026-11-24T10:00Z.")
]
Until = Annotated[str | None, typer.Option(help="Not after; as --since.")]
LevelOption = Annotated[str | None, typer.Option(help="error, warning, info or debug.")]
MinLevel = Annotated[str | None, typer.Option(help="This level and what is more severe.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many lines, the newest.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with lines as they come.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print NDJSON: one object a line.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=EXIT_CODES, rich_help_panel="Clients of a running server")(logs)


def logs(  # noqa: PLR0913, PLR0917 - one argument for each option
    query: Query = None,
    since: Since = None,
    until: Until = None,
    level: LevelOption = None,
    min_level: MinLevel = None,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Only of this request.")] = None,
    user_id: Annotated[str | None, typer.Option(help="Only about this user.")] = None,
    tenant_id: Annotated[str | None, typer.Option(help="Only about this tenant.")] = None,
    limit: Limit = PAGE,
    follow: Follow = False,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Search the log lines, newest first; with --follow oldest first, and on as they come."""
    if follow and until is not None:
        raise typer.BadParameter("it has no end with --follow.", param_hint="--until")
    filters = {
        "query": query,
        "level": level,
        "min_level": min_level,
        "service": service,
        "start_time": moment(since, "--since"),
        "end_time": moment(until, "--until"),
        "request_id": request_id,
        "user_id": user_id,
        "tenant_id": tenant_id,
    }
    server, show = client_of(url, token), LogPrinter(as_json=as_json).show
    try:
        if follow:
            LogTail(server, filters, show).run(lambda: _newest(server, filters, limit))
        else:
            _search(server, filters, limit, show)
    except BrokenPipeError:
        leave_quietly()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def moment(text: str | None, option: str) -> str | None:
    """`1h` as the time an hour ago, a time as it is; without an offset it is UTC.

    Raises:
        typer.BadParameter: anything else.
    """
    if text is None:
        return None
    try:
        if match := _SPAN.fullmatch(text):
            at = utc_now() - timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time. Write 15m, 1h, 2d or 2026-11-24T10:00:00Z.", param_hint=option
        ) from None


def pages(server: ApiClient, filters: Mapping[str, object], limit: int) -> Iterator[Data]:
    """The answers that hold the newest `limit` lines, one after the other."""
    cursor = None
    while limit > 0:
        query = {**filters, "limit": min(PAGE, limit), "cursor": cursor}
        data = _patiently(server, query, is_first=cursor is None)
        yield data
        limit -= len(data.get("logs", []))
        cursor = data.get("pagination", {}).get("cursor")
        if not cursor or not data.get("logs"):
            return


def _patiently(server: ApiClient, query: Mapping[str, object], *, is_first: bool) -> Data:
    """One page; in the middle of many the rate limit is waited for."""
    while True:
        try:
            return server.call("GET", ("logs",), query)
        except Refused as refusal:
            wait_s = refusal.retry_after_s
            if refusal.status != 429 or is_first or wait_s is None or wait_s > PATIENCE_S:
                raise
            say(f"The server's rate limit is reached; going on in {wait_s:.0f} s.")
            time.sleep(wait_s)


def _newest(server: ApiClient, filters: Mapping[str, object], limit: int) -> Iterator[Log]:
    for data in pages(server, filters, limit):
        yield from data.get("logs", [])


def _search(
    server: ApiClient, filters: Mapping[str, object], limit: int, show: Callable[[Log], None]
) -> None:
    shown, total = 0, None
    for data in pages(server, filters, limit):
        for log in data.get("logs", []):
            show(log)
            shown += 1
        if total is None:
            total = data.get("pagination", {}).get("total")
    say(f"{shown} of {known(total)} lines")
