"""One demo and one browser for all tests of a process; each test has a context of its own."""

import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

import servers
from acceptance.demo_process import DemoProcess
from acceptance.seeding import seed
from browser.console import WIDE, Console

# How long a busy machine may take is not under test.
expect.set_options(timeout=30_000)

DEAD_SOURCE = """
[[queues.sources]]
name = "dead"
kind = "sql"
url = "postgresql://ops@127.0.0.1:{port}/ops"
"""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """The sample platform, with a source beside it that nobody reaches."""
    running = DemoProcess(
        tmp_path_factory.mktemp("browser"),
        settings=DEAD_SOURCE.format(port=servers.free_port()),
        environment={"QUARTERDECK_RATE_LIMIT_CONSOLE": "1000000/minute"},
    )
    running.start()
    # At once, so that its alert fires by the time that it is looked for.
    seed(running, "alarming", failed=30)
    yield running
    assert running.end(signal.SIGTERM) == 0
    assert "unexpected error" not in running.log


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    # Its sandbox refuses to start for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=arguments
        )
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(demo: DemoProcess, browser: Browser) -> AsyncIterator[Console]:
    """A browser in which nobody is signed in. It must have nothing to complain of at the end."""
    context = await browser.new_context(viewport=WIDE, reduced_motion="reduce")
    console = Console(demo, context, await context.new_page())
    console.listen()
    yield console
    await context.close()
    assert console.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def console(stranger: Console) -> Console:
    """A browser in which `ops` is signed in."""
    await stranger.sign_in()
    return stranger
