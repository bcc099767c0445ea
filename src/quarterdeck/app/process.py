"""Running: one process from its start to a clean end."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop

from quarterdeck.app.composition import Companion, Server, compose, data_dir, migrate_state
from quarterdeck.config import Settings
from quarterdeck.core.errors import ConfigError
from quarterdeck.facts import open_facts
from quarterdeck.journal import configure_logging
from quarterdeck.state import DataDirLock

log = logging.getLogger("quarterdeck.server")


def serve(settings: Settings, demo: Companion | None = None) -> int:
    """Migrate, take the data directory, answer until SIGTERM or SIGINT; gives the exit code.

    Raises:
        ConfigError: the settings, the data directory or the port do not allow a start.
    """
    configure_logging(settings.server.log_format, settings.server.log_level)
    if demo:
        settings = demo.attach(settings)
    with DataDirLock(data_dir(settings)), _listener(settings) as listener:
        facts = open_facts(settings.facts, data_dir(settings))
        server = compose(settings, facts)
        migrate_state(settings)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info("Quarterdeck listens on http://%s:%s", shown, port)
        # What is there by now stays: no collection needs to look at it ever again.
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(server, settings, listener, demo))
    return 0


class HttpServer(uvicorn.Server):
    """uvicorn waits for all answers before it ends; `take_leave` runs before, while it answers."""

    def __init__(self, config: uvicorn.Config, take_leave: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._take_leave = take_leave

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        await self._take_leave()
        await super().shutdown(sockets)


async def _run(
    server: Server, settings: Settings, listener: socket.socket, demo: Companion | None
) -> None:
    async def take_leave() -> None:
        # First the demo, whose processes send their last lines here; without a server they wait.
        if demo:
            await demo.stop()
        server.end_streams()

    http = HttpServer(
        uvicorn.Config(
            server.application,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=False,
            timeout_graceful_shutdown=settings.server.shutdown_grace_s,
        ),
        take_leave,
    )
    _end_gently(http)
    stop = asyncio.Event()
    await server.open()
    working = None
    try:
        if demo:
            # Before anything looks at it: what is not there yet would be told as a trouble.
            await demo.start()
        working = asyncio.create_task(server.run(stop))
        await http.serve(sockets=[listener])
    finally:
        log.info("stopping: what runs is finished first")
        stop.set()
        if demo:
            await demo.stop()
        if working is not None:
            await _finished(working, settings.server.shutdown_grace_s)
        await server.close()


def _end_gently(http: uvicorn.Server) -> None:
    """A signal before uvicorn listens for it ends the start; one it raises again does no harm."""

    def note(_signal: int, _frame: object) -> None:
        http.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)


async def _finished(working: "asyncio.Task[None]", grace_s: float) -> None:
    """Wait for running jobs; one that outlasts the grace is picked up after its lease."""
    done, _ = await asyncio.wait([working], timeout=grace_s)
    if not done:
        log.warning("a background job did not finish in %s s; it will be run again", grace_s)
        working.cancel()
        await asyncio.wait([working], timeout=5)


def _listener(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            "Choose another with --host and --port."
        ) from None
