"""The commands that are clients of the HTTP API, for people and for scripts."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from quarterdeck.cli.client import ApiClient, Data, call_queue, client_of
from quarterdeck.cli.failure import EXIT_CODES, CommandFailed, ExitCode
from quarterdeck.cli.render import (
    JOB_HEADERS,
    QUEUE_HEADERS,
    job_row,
    known,
    page_line,
    print_json,
    print_line,
    print_table,
    queue_row,
    say,
)

Url = Annotated[
    str | None, typer.Option("--url", help="The server's address.  [env: QUARTERDECK_URL]")
]
Token = Annotated[
    str | None, typer.Option("--token", help="The token to use.  [env: QUARTERDECK_TOKEN]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer's data as JSON.")]
Queue = Annotated[str, typer.Argument(help="The queue's name, with or without `queue:`.")]
JobId = Annotated[str, typer.Argument(help="The job's id, as `jobs` prints it.")]
Source = Annotated[
    str | None, typer.Option("--source", help="The source, where several have such a queue.")
]
Scope = Annotated[
    str | None,
    typer.Option("--scope", help="How far it may reach; `global` where it stops all queues."),
]

ATTEMPTS: Mapping[object, str] = {True: "start from zero", False: "go on from where they were"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (queues, jobs, pause, resume, retry, delete):
        app.command(epilog=EXIT_CODES, rich_help_panel="Clients of a running server")(command)


def queues(
    source: Annotated[str | None, typer.Option(help="Only queues of this source.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List all queues and how they are."""
    data = client_of(url, token).call("GET", ("queues",), {"source": source})
    _warn_of_sources(data)
    if as_json:
        print_json(data)
        return
    print_table(QUEUE_HEADERS, [queue_row(queue) for queue in data.get("queues", [])], numbers=5)


def jobs(  # noqa: PLR0913, PLR0917 - one argument for each option
    queue: Queue,
    status: Annotated[
        str | None, typer.Option(help="Only active, waiting, failed or completed jobs.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many jobs, up to 100.")] = None,
    offset: Annotated[int | None, typer.Option(help="Pass over so many jobs.")] = None,
    q: Annotated[
        str | None, typer.Option("--q", help="Only jobs with this text in payload or error.")
    ] = None,
    source: Source = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the jobs of a queue, newest first."""
    query = {"status": status, "limit": limit, "offset": offset, "q": q, "source": source}
    data = call_queue(client_of(url, token), "GET", queue, "jobs", query)
    if as_json:
        print_json(data)
        return
    found = data.get("jobs", [])
    print_table(JOB_HEADERS, [job_row(job) for job in found])
    say(page_line(len(found), data.get("pagination", {})))


def pause(
    queue: Queue,
    source: Source = None,
    scope: Scope = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Stop a queue: no worker takes a job from it any more; running jobs finish."""
    _switch(client_of(url, token), queue, "pause", {"source": source, "scope": scope}, as_json)


def resume(
    queue: Queue,
    source: Source = None,
    scope: Scope = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Let workers take jobs from a queue again."""
    _switch(client_of(url, token), queue, "resume", {"source": source, "scope": scope}, as_json)


def retry(job_id: JobId, as_json: AsJson = False, url: Url = None, token: Token = None) -> None:
    """Put a failed job back into its queue."""
    data = client_of(url, token).call("POST", ("jobs", job_id, "retry"))
    if as_json:
        print_json(data)
        return
    told = ATTEMPTS.get(data.get("attempts_reset"), "are unknown")
    print_line(f"{known(data.get('job_id'))} is {known(data.get('status'))}; its attempts {told}")


def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Remove a job for good. Asks first; needs --yes where nobody can answer."""
    client = client_of(url, token)
    if not yes:
        _ask(job_id)
    data = client.call("DELETE", ("jobs", job_id))
    if as_json:
        print_json(data)
        return
    status = str(data.get("status")).replace("_", " ")
    print_line(f"{known(data.get('job_id'))} is {status}")


def _ask(job_id: str) -> None:
    if not sys.stdin.isatty():
        raise CommandFailed(
            "Nobody is there to be asked: give --yes to delete this job.", ExitCode.USAGE
        )
    if not typer.confirm(f"Delete {job_id} for good?", err=True):
        raise CommandFailed("Nothing was deleted.", ExitCode.REFUSED)


def _switch(client: ApiClient, queue: str, verb: str, query: Data, as_json: bool) -> None:
    data = call_queue(client, "POST", queue, verb, query)
    if as_json:
        print_json(data)
        return
    already = " (it was already)" if data.get("changed") is False else ""
    print_line(f"{known(data.get('queue'))} is {known(data.get('status'))}{already}")
    for other in data.get("affected", []):
        if other != data.get("queue"):
            say(f"Also {known(data.get('status'))}: {other}")
    for note in data.get("notes", []):
        say(f"Note: {note}")


def _warn_of_sources(data: Data) -> None:
    for source in data.get("sources", []):
        if source.get("error"):
            say(f"Warning: source {known(source.get('name'))} does not answer: {source['error']}")
