"""The commands about services and alerts: clients of the HTTP API."""

import json
from typing import Annotated

import typer

from quarterdeck.cli.client import Sent, client_of
from quarterdeck.cli.commands import AsJson, Token, Url
from quarterdeck.cli.failure import EXIT_CODES
from quarterdeck.cli.render import (
    ALERT_HEADERS,
    SERVICE_HEADERS,
    alert_row,
    known,
    print_json,
    print_line,
    print_table,
    say,
    service_row,
)

AlertId = Annotated[str, typer.Argument(help="The alert's id, as `alerts` prints it.")]
Note = Annotated[str, typer.Option("--note", help="What the others should know.")]
Hours = Annotated[int, typer.Option(min=1, max=168, help="How far to look back.")]
Severity = Annotated[str | None, typer.Option(help="Only error, warning or info.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (health, alerts, acknowledge):
        app.command(epilog=EXIT_CODES, rich_help_panel="Clients of a running server")(command)


def health(as_json: AsJson = False, url: Url = None, token: Token = None) -> None:
    """List all services and how they are."""
    data = client_of(url, token).call("GET", ("infrastructure", "health"))
    monitor = data.get("monitor")
    if isinstance(monitor, dict) and monitor.get("online") is False:
        say(f"Warning: {known(monitor.get('reason'))}")
    if as_json:
        print_json(data)
        return
    print_table(SERVICE_HEADERS, [service_row(service) for service in data.get("services", [])])


def alerts(
    hours: Hours = 24,
    severity: Severity = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the alerts of the last hours, and all that still fire."""
    query = {"hours": hours, "severity": severity}
    data = client_of(url, token).call("GET", ("infrastructure", "alerts"), query)
    if as_json:
        print_json(data)
        return
    print_table(ALERT_HEADERS, [alert_row(alert) for alert in data.get("alerts", [])])


def acknowledge(alert_id: AlertId, note: Note = "", url: Url = None, token: Token = None) -> None:
    """Say that somebody looks after an alert: it is escalated no further."""
    sent = Sent(json.dumps({"note": note}).encode(), {"Content-Type": "application/json"})
    path = ("infrastructure", "alerts", alert_id, "acknowledge")
    data = client_of(url, token).call("POST", path, sent=sent)
    print_line(f"{alert_id} is acknowledged by {known(data.get('acknowledged_by'))}")
