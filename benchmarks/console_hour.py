"""An hour of live updates in Chromium: `PYTHONPATH=tests python benchmarks/console_hour.py`.

Prints what the overview and the queues page hold, in heap and in document, while all queues change.
As it stands the changes of an hour are played into the pages as fast as they take them;
`--minutes 60` changes the queues of the server once a second and lets the hour pass.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import CDPSession, Page, async_playwright
from rich.console import Console
from rich.table import Table

from acceptance.seeding import execute, seed
from acceptance.server_process import PREFIX, ServerProcess

QUEUES = 100
WAITING = 99
"""One below what is worth a warning: every change moves lines into the overview or out of it."""

UPDATES = 3600
SAMPLES = 12
VIEWS = {"overview": "/", "queues": "/dashboard/system/queues"}

STREAMS = """
window.heard = 0;
const add = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, heard) {
  window.stream = this;
  add.call(this, name, (event) => {
    if (name === 'queues') {
      window.first ??= event.data;
      window.heard += 1;
    }
    heard(event);
  });
};
"""

PLAY = """
async ([first, count]) => {
  const {queues} = JSON.parse(window.first);
  for (let turn = first; turn < first + count; turn += 1) {
    const isMore = turn % 2 === 0;
    const changed = queues.map((each) => ({
      ...each, status: isMore ? 'warning' : 'healthy', waiting_jobs: 99 + isMore,
    }));
    const data = JSON.stringify({queues: changed, removed: [], sources: []});
    window.stream.dispatchEvent(new MessageEvent('queues', {data}));
    await new Promise((drawn) => setTimeout(drawn));
  }
}
"""
"""What the server would send; the next change waits until this one is drawn."""

CHANGE = "UPDATE jobs SET status = :status WHERE priority = 200"
STATES = ("completed", "queued")


@dataclass(frozen=True)
class Sample:
    """What a page holds once all garbage is gone."""

    updates: int
    heap_mb: float
    nodes: int
    listeners: int


@dataclass(frozen=True)
class Watched:
    """A page that stays open."""

    name: str
    page: Page
    inside: CDPSession

    async def sample(self) -> Sample:
        await self.inside.send("HeapProfiler.collectGarbage")
        usage = await self.inside.send("Runtime.getHeapUsage")
        held = await self.inside.send("Memory.getDOMCounters")
        heard = await self.page.evaluate("window.heard")
        return Sample(heard, usage["usedSize"] / 1e6, held["nodes"], held["jsEventListeners"])


@asynccontextmanager
async def opened(server: ServerProcess) -> AsyncIterator[list[Watched]]:
    """Both pages, with every queue on them."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=arguments
        )
        context = await browser.new_context(bypass_csp=True)
        await context.add_init_script(STREAMS)
        origin = f"http://127.0.0.1:{server.port}"
        headers = {"Authorization": f"Bearer {server.token('ops')}"}
        assert (await context.request.post(f"{origin}{PREFIX}/session", headers=headers)).ok
        watched = []
        for name, address in VIEWS.items():
            page = await context.new_page()
            await page.goto(origin + address)
            await page.wait_for_function("window.first && document.querySelector('[data-row]')")
            watched.append(Watched(name, page, await context.new_cdp_session(page)))
        yield watched
        await browser.close()


async def play(pages: list[Watched]) -> AsyncIterator[None]:
    """The changes of an hour, without the hour; a breath after each part."""
    part = UPDATES // SAMPLES
    for turn in range(SAMPLES):
        await asyncio.gather(*(each.page.evaluate(PLAY, [turn * part, part]) for each in pages))
        yield


async def wait(minutes: float, server: ServerProcess) -> AsyncIterator[None]:
    """The hour itself; a breath after each minute."""
    end = time.monotonic() + 60 * minutes
    breath = time.monotonic() + 60
    turn = 0
    while time.monotonic() < end:
        await asyncio.to_thread(execute, server, CHANGE, status=STATES[turn % 2])
        await asyncio.sleep(1)
        turn += 1
        if time.monotonic() > breath:
            breath += 60
            yield


def fill(server: ServerProcess) -> None:
    """The queues, each with one job that comes and goes."""
    for number in range(QUEUES):
        seed(server, f"bench:{number:03}", waiting=WAITING)
        seed(server, f"bench:{number:03}", band="low", waiting=1)


async def main(server: ServerProcess, minutes: float | None) -> None:
    fill(server)
    async with opened(server) as pages:
        samples = {each.name: [await each.sample()] for each in pages}
        passing = wait(minutes, server) if minutes else play(pages)
        async for _ in passing:
            for each in pages:
                samples[each.name].append(await each.sample())
                print(each.name, samples[each.name][-1], flush=True)
    for name, found in samples.items():
        Console().print(told(name, found))


def told(name: str, samples: list[Sample]) -> Table:
    """The first, the highest and the last of what a page held."""
    table = Table("what", "first", "most", "last", "growth", title=f"An hour of the {name} page")
    for what in ("heap_mb", "nodes", "listeners"):
        held = [getattr(each, what) for each in samples]
        places = ".2f" if what == "heap_mb" else "d"
        table.add_row(
            what.replace("_mb", ", MB"),
            *(f"{value:{places}}" for value in (held[0], max(held), held[-1])),
            f"{held[-1] - held[0]:+{places}}",
        )
    table.caption = f"{samples[-1].updates - samples[0].updates} live updates"
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="let this much time pass instead")
    asked = parser.parse_args().minutes
    with TemporaryDirectory() as folder:
        started = ServerProcess(Path(folder))
        started.start()
        try:
            asyncio.run(main(started, asked))
        finally:
            started.stop()
