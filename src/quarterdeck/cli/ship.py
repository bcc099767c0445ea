"""`quarterdeck ship`: send log files as they grow."""

import glob
import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.cli.client import client_of
from quarterdeck.cli.commands import Token, Url
from quarterdeck.cli.failure import EXIT_CODES
from quarterdeck.cli.following import Follower
from quarterdeck.cli.mail_lines import MailFormat, MailLines
from quarterdeck.cli.positions import Positions
from quarterdeck.cli.render import say
from quarterdeck.cli.shipping import Format, Shipper, Stopped, Wording, Words
from quarterdeck.contrib.backoff import Backoff

POLL_S = 0.5
"""Between two looks at the files, when there was nothing more to send."""

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Files, or patterns such as 'logs/*.log'.")
]
Service = Annotated[
    str | None, typer.Option(help="Whose lines of text these are. Default: the file's name.")
]
StateDir = Annotated[
    Path | None,
    typer.Option(help="Where positions are kept. Default: ~/.local/state/quarterdeck-ship"),
]
FromStart = Annotated[
    bool, typer.Option("--from-start", help="Send what the files hold already, too.")
]
As = Annotated[
    MailFormat | None,
    typer.Option(
        "--as", help="Send lines of a mail server's log as mail events, not as log lines."
    ),
]
Source = Annotated[
    str | None, typer.Option(help="With --as: the host they are from. Default: this host's name.")
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="Lines of JSON are sent as they are.")
]
Once = Annotated[
    bool, typer.Option("--once", help="Send what is there (from the start at first), and end.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=EXIT_CODES, rich_help_panel="Clients of a running server")(ship)


def ship(  # noqa: PLR0913, PLR0917 - one argument for each option
    files: Files,
    service: Service = None,
    state_dir: StateDir = None,
    from_start: FromStart = False,
    form: FormatOption = Format.AUTO,
    once: Once = False,
    mail: As = None,
    source: Source = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Send log files as they grow, across rotations and restarts, until SIGTERM or Ctrl-C.

    Each line arrives at least once: the position is saved after the server's acknowledgement, so
    lines are sent again only when a crash or a lost answer comes between the two. With --as they
    are a mail server's, and are counted for the addresses that mail is sent from.
    """
    wording = _wording(mail, source, form, service)
    for name in files if once else []:
        if not glob.has_magic(name) and not Path(name).is_file():
            raise typer.BadParameter(f"{name!r} is no file.", param_hint="FILE")
    positions = Positions(state_dir or Path.home() / ".local" / "state" / "quarterdeck-ship")
    follower = Follower(files, positions, from_start=from_start or once)
    try:
        with _signals() as stop:
            shipper = Shipper(client_of(url, token), follower, positions, wording, stop, Backoff())
            shipper.round(is_final=once)
            while not once and not stop.wait(POLL_S):
                shipper.round()
    except Stopped:
        say("quarterdeck: ended before the server had everything; the position is saved.")
    finally:
        follower.close()
        positions.close()


def _wording(
    mail: MailFormat | None, source: str | None, form: Format, service: str | None
) -> Words:
    if mail is None:
        if source is not None:
            raise typer.BadParameter("It goes with --as only.", param_hint="--source")
        return Wording(form, service)
    if service is not None or form is not Format.AUTO:
        raise typer.BadParameter(
            "Mail events have no service and no other format; leave --service and --format out.",
            param_hint="--as",
        )
    return MailLines(mail, source or socket.gethostname())


class _Signals:
    """Tells that SIGTERM or SIGINT came, without breaking into what is under way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> bool:
        """See `Stop`."""
        # The byte stays in the pipe: once asked for, the end stays asked for.
        return bool(select.select([self._descriptor], [], [], seconds)[0])


@contextmanager
def _signals() -> Iterator[_Signals]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    for name in before:
        signal.signal(name, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield _Signals(reading)
    finally:
        signal.set_wakeup_fd(wakeup)
        for name, handler in before.items():
            signal.signal(name, handler)
        os.close(reading)
        os.close(writing)
