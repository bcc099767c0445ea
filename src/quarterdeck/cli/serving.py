"""The commands that run or prepare a server on this machine, all through `app`.

`app` is imported by the commands that need it: it takes half a second, `--help` does not.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from quarterdeck import config
from quarterdeck.access.model import Role
from quarterdeck.cli.failure import EXIT_CODES
from quarterdeck.cli.render import print_json, print_line, say
from quarterdeck.config import Settings, State

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="The settings file (TOML).  [env: QUARTERDECK_CONFIG]"),
]
DataDir = Annotated[
    str | None, typer.Option("--data-dir", help="Where everything is kept.  [default: data]")
]
Host = Annotated[
    str | None, typer.Option("--host", help="The address to listen on.  [default: 127.0.0.1]")
]
Port = Annotated[int | None, typer.Option("--port", help="The port to listen on.  [default: 8080]")]

DEMO_TOKEN = "demo"  # noqa: S105 - a name
DEMO_LOGS_TOKEN = "demo logs"  # noqa: S105 - a name
DEMO_TOKEN_LASTS = timedelta(days=7)

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (serve, demo, migrate):
        app.command(epilog=EXIT_CODES, rich_help_panel="Server")(command)
    config_app.command("check", epilog=EXIT_CODES)(check)
    app.add_typer(config_app, name="config", rich_help_panel="Server")


def load(
    file: Path | None, data_dir: str | None, host: str | None = None, port: int | None = None
) -> Settings:
    """The settings with these flags over them.

    Raises:
        ConfigError: see `config.load`.
    """
    flags = {"server.data_dir": data_dir, "server.host": host, "server.port": port}
    return config.load(file or config.config_path_from_environment(), flags)


def serve(
    config_file: ConfigFile = None, data_dir: DataDir = None, host: Host = None, port: Port = None
) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    settings = load(config_file, data_dir, host, port)
    from quarterdeck import app  # noqa: PLC0415 - slow

    raise typer.Exit(app.serve(settings))


def demo(
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    seed: Annotated[int, typer.Option(help="The same seed shows the same jobs.")] = 7,
    pace: Annotated[
        float, typer.Option(min=0.1, max=100, help="So many times faster comes what goes wrong.")
    ] = 1.0,
) -> None:
    """Run the server with a sample mail platform beside it: real workers on sample data."""
    settings = load(config_file, data_dir, host, port)
    from quarterdeck import app  # noqa: PLC0415 - slow
    from quarterdeck.demo.launcher import DemoLauncher  # noqa: PLC0415 - nothing else needs it

    platform = DemoLauncher(
        Path(settings.server.data_dir),
        seed,
        migrate=lambda url: app.migrate_state(Settings(settings.server, State(url))),
        announce=_announcer(settings),
        log_door=_log_door(settings),
        pace=pace,
    )
    raise typer.Exit(app.serve(settings, platform))


def migrate(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Bring the state database to the newest schema. Safe to repeat."""
    settings = load(config_file, data_dir)
    from quarterdeck import app  # noqa: PLC0415 - slow

    url = app.migrate_state(settings)
    print_line(f"{url} has the newest schema.")


def check(config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Print the settings in effect, secrets masked, and say what a start would refuse."""
    settings = load(config_file, data_dir)
    from quarterdeck import app  # noqa: PLC0415 - slow

    app.check_settings(settings)
    print_json(config.masked(settings))
    say("settings are fine")


def address(settings: Settings) -> str:
    """The URL at which a client on this machine finds the server."""
    host = settings.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _announcer(settings: Settings) -> Callable[[], Awaitable[None]]:
    async def announce() -> None:
        secret = await _fresh_token(settings, DEMO_TOKEN, Role.OPS)
        url = address(settings)
        lines = (
            "",
            "Quarterdeck runs beside a sample mail platform. All its data is sample data.",
            f"  address  {url}",
            f"  token    {secret}",
            f"  try      curl -H 'Authorization: Bearer {secret}' "
            f"{url}/api/v1/platform/system/queues",
            f"  health   quarterdeck health --url {url} --token {secret}",
            f"  alerts   quarterdeck alerts --url {url} --token {secret}",
            f"  logs     quarterdeck logs 'level:error' --follow --url {url} --token {secret}",
            "",
        )
        print("\n".join(lines), flush=True)  # noqa: T201 - the command line's own output

    return announce


def _log_door(settings: Settings) -> Callable[[], Awaitable[tuple[str, str]]]:
    async def door() -> tuple[str, str]:
        return address(settings), await _fresh_token(settings, DEMO_LOGS_TOKEN, Role.INGEST)

    return door


async def _fresh_token(settings: Settings, name: str, role: Role) -> str:
    """A new token of this name; those of former runs are revoked, so that they do not pile up."""
    from quarterdeck import app  # noqa: PLC0415 - slow

    async with app.open_tokens(settings) as tokens:
        for token in await tokens.list_tokens():
            if token.name == name and token.revoked_at is None:
                await tokens.revoke(token.id)
        _, secret = await tokens.create(name, role, DEMO_TOKEN_LASTS)
    return secret
