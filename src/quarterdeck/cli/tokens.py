"""`token create | list | revoke`: on the state database itself, also while a server runs."""

import asyncio
import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from quarterdeck.access.model import Role, Token
from quarterdeck.cli.failure import EXIT_CODES
from quarterdeck.cli.render import print_json, print_table, safe, say
from quarterdeck.cli.serving import ConfigFile, DataDir, load
from quarterdeck.config import Settings
from quarterdeck.core.clock import iso_z, utc_now

tokens_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens.")

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, command in (("create", create), ("list", list_tokens), ("revoke", revoke)):
        tokens_app.command(name, epilog=EXIT_CODES)(command)
    app.add_typer(tokens_app, name="token", rich_help_panel="Server")


def expiry(text: str) -> timedelta | None:
    """`30m`, `12h`, `90d` as a span; `never` is None.

    Raises:
        typer.BadParameter: anything else.
    """
    if text == "never":
        return None
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no span of time. Write 30m, 12h, 90d or never.",
            param_hint="--expires",
        )
    amount, unit = match.groups()
    return timedelta(**{_UNITS[unit]: int(amount)})


def create(
    name: Annotated[str, typer.Option(help="Whose token it is; shown in the audit trail.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    expires: Annotated[str, typer.Option(help="30m, 12h, 90d or never.")] = "90d",
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token. Its text is printed once, alone on standard output."""
    span = expiry(expires)
    settings = load(config_file, data_dir)
    token, secret = asyncio.run(_create(settings, name, role, span))
    print(secret)  # noqa: T201 - the command line's own output
    until = f"until {iso_z(token.expires_at)}" if token.expires_at else "until it is revoked"
    say(f"Token {token.id} ({token.name}, {token.role}) is good {until}. It is not shown again.")


def list_tokens(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List all tokens that were ever made, without their secrets."""
    found = asyncio.run(_list(load(config_file, data_dir)))
    rows = [_row(token) for token in found]
    if as_json:
        print_json({"tokens": rows})
        return
    headers = ("id", "name", "role", "state", "created", "expires", "last used")
    keys = ("id", "name", "role", "state", "created_at", "expires_at", "last_used_at")
    never = {"expires_at": "never", "last_used_at": "never"}
    cells = [[safe(row[key] or never[key]) for key in keys] for row in rows]
    print_table(headers, cells)


def revoke(
    token_id: Annotated[str, typer.Argument(help="The token's id, as `token list` prints it.")],
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Refuse a token from now on. Safe to repeat."""
    token = asyncio.run(_revoke(load(config_file, data_dir), token_id))
    say(f"Token {token.id} ({token.name}, {token.role}) is revoked.")


def _row(token: Token) -> dict[str, Any]:
    moments = {
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    }
    written = {key: moment and iso_z(moment) for key, moment in moments.items()}
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "state": _state(token),
    } | written


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= utc_now():
        return "expired"
    return "valid"


async def _create(
    settings: Settings, name: str, role: Role, span: timedelta | None
) -> tuple[Token, str]:
    from quarterdeck import app  # noqa: PLC0415 - slow

    async with app.open_tokens(settings) as tokens:
        return await tokens.create(name, role, span)


async def _list(settings: Settings) -> list[Token]:
    from quarterdeck import app  # noqa: PLC0415 - slow

    async with app.open_tokens(settings) as tokens:
        return await tokens.list_tokens()


async def _revoke(settings: Settings, token_id: str) -> Token:
    from quarterdeck import app  # noqa: PLC0415 - slow

    async with app.open_tokens(settings) as tokens:
        return await tokens.revoke(token_id)
