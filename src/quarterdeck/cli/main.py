"""`quarterdeck`: the command line, and how its failures become exit codes."""

import io
import sys
from typing import Annotated

import typer

from quarterdeck import __version__
from quarterdeck.cli import (
    check_ip,
    commands,
    infrastructure,
    logs,
    serving,
    ship,
    tokens,
)
from quarterdeck.cli.failure import EXIT_CODES, CommandFailed, ExitCode
from quarterdeck.cli.render import say
from quarterdeck.core.errors import (
    ConfigError,
    InvalidRequest,
    QuarterdeckError,
    SourceUnavailable,
)

app = typer.Typer(
    name="quarterdeck",
    help="Operations API and console for platforms that send e-mail.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
serving.register(app)
tokens.register(app)
commands.register(app)
infrastructure.register(app)
check_ip.register(app)
logs.register(app)
ship.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)  # noqa: T201 - the command line's own output
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Operations API and console for platforms that send e-mail."""


def run() -> None:
    """Run the command named by the arguments, and exit with one of `ExitCode`."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="quarterdeck")
    except CommandFailed as failure:
        say(f"quarterdeck: {failure.message}")
        sys.exit(failure.exit_code)
    except QuarterdeckError as error:
        say(f"quarterdeck: {error.message}")
        sys.exit(_exit_code(error))


def _exit_code(error: QuarterdeckError) -> ExitCode:
    if isinstance(error, ConfigError | InvalidRequest):
        return ExitCode.USAGE
    if isinstance(error, SourceUnavailable):
        return ExitCode.UNREACHABLE
    return ExitCode.REFUSED
