"""Starts the sample platform beside the server, keeps it running, and takes it down again."""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from quarterdeck.config import Settings
from quarterdeck.demo.attachment import attached
from quarterdeck.demo.backlog import prepare
from quarterdeck.demo.logs import write_address
from quarterdeck.demo.plan import Plan, Ports

log = logging.getLogger("quarterdeck.demo")

PROCESSES = ("neighbours", "producer", "mailer", "analyst")
STOP_GRACE_S = 8.0
UP_WITHIN_S = 15.0
LOOK_S = 0.05
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
SETTLED_AFTER_S = 60.0
STDERR_KEPT = 4096


class DemoLauncher:
    """The sample platform: a database of its own, and child processes that work on it.

    `migrate` brings the database at a URL to the newest schema; `announce` runs once, when the
    platform is up; `log_door` gives the address and a token where its processes send their logs.
    """

    def __init__(
        self,
        data_dir: Path,
        seed: int,
        migrate: Callable[[str], object],
        announce: Callable[[], Awaitable[None]],
        log_door: Callable[[], Awaitable[tuple[str, str]]] | None = None,
        pace: float = 1.0,
    ) -> None:
        url = f"sqlite:///{(data_dir / 'demo' / 'platform.sqlite3').absolute()}"
        log_file = (data_dir / "demo" / "logs.json").absolute()
        self._plan = Plan(
            url=url,
            seed=seed,
            # Who is told nothing of our doors has no neighbours, whose servers need them.
            ports=Ports.free() if log_door else None,
            pace=pace,
            log_file=str(log_file) if log_door else None,
        )
        self._migrate = migrate
        self._announce = announce
        self._log_door = log_door
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def attach(self, settings: Settings) -> Settings:
        """The settings that also watch the platform."""
        return attached(settings, self._plan)

    async def start(self) -> None:
        """Make the platform's database with its backlog, and start its processes.

        Raises:
            ConfigError, SourceUnavailable: the database cannot be made.
        """
        plan = replace(self._plan, started_at=time.time())
        await asyncio.to_thread(self._migrate, plan.url)
        await prepare(plan.url, plan.seed)
        log.info(
            "the demo platform runs beside the server: all its data is sample data, seed %d",
            plan.seed,
        )
        if self._log_door is not None and plan.log_path is not None:
            write_address(plan.log_path, *await self._log_door())
        for name in PROCESSES if plan.ports else PROCESSES[1:]:
            command = (sys.executable, "-m", f"quarterdeck.demo.{name}", plan.to_argument())
            self._tasks.append(asyncio.create_task(Child(name, command, self._stop).keep_running()))
        try:
            await self._until_neighbours_listen()
            await self._announce()
        except BaseException:
            await self.stop()
            raise

    async def _until_neighbours_listen(self) -> None:
        """Who looks at them sooner finds them down. One that never comes is looked at, too."""
        ports = self._plan.ports
        if ports is None:
            return
        end = time.monotonic() + UP_WITHIN_S
        # The API is the last of them to listen.
        while not (self._stop.is_set() or time.monotonic() > end or await _is_open(ports.api)):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)

    async def stop(self) -> None:
        """End the processes; running jobs may finish for `STOP_GRACE_S`. Safe to repeat."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()


class Child:
    """One process that is started again, ever more slowly, when it dies."""

    def __init__(self, name: str, command: tuple[str, ...], stop: asyncio.Event) -> None:
        self._name = name
        self._command = command
        self._stop = stop

    async def keep_running(self) -> None:
        """Return once `stop` is set and the process has ended."""
        clock = asyncio.get_running_loop().time
        backoff_s = FIRST_BACKOFF_S
        while not self._stop.is_set():
            started = clock()
            last_words = await self._run_once()
            if self._stop.is_set():
                return
            if clock() - started > SETTLED_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            log.warning(
                "the demo's %s has died (%s); it is started again in %.1f s",
                self._name, last_words, backoff_s,
            )  # fmt: skip
            await self._pause(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    async def _run_once(self) -> str:
        """Run the process until it dies or is to stop; its exit and the end of its errors."""
        pipe = asyncio.subprocess.PIPE
        try:
            # A session of its own: Ctrl-C in the terminal is for the server, which stops us.
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            errors = asyncio.create_task(_tail(process.stderr))
            await self._until_end(process)
            text = (await errors).strip()
        finally:
            if process.returncode is None:
                process.kill()
        return f"exit {process.returncode}: {text.splitlines()[-1] if text else 'no message'}"

    async def _until_end(self, process: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            process.terminate()
            done, _ = await asyncio.wait({ended}, timeout=STOP_GRACE_S)
            if not done:
                process.kill()
        await ended

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """All that a stream gives, of which only the end is kept."""
    kept = b""
    while stream is not None and (chunk := await stream.read(STDERR_KEPT)):
        kept = (kept + chunk)[-STDERR_KEPT:]
    return kept.decode(errors="replace")
