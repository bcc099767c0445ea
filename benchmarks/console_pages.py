"""How fast the console is in Chromium: `PYTHONPATH=tests python benchmarks/console_pages.py`.

Prints when the overview is painted and read, what it costs over the wire, how long the browser
works on a change of a table of 500 queues, and how much its heap grows meanwhile.
"""

import asyncio
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from acceptance.seeding import stamp
from acceptance.server_process import PREFIX, ServerProcess
from quarterdeck.core.clock import utc_now
from quarterdeck.core.ids import uuid7

QUEUES = 500
LOADS = 7
FOLLOWED_S = 15

MARKS = """
new MutationObserver((_, watch) => {
  if (!document.querySelector('.concern')) return;
  window.readAt = performance.now();
  watch.disconnect();
}).observe(document, {childList: true, subtree: true});
window.works = [];
const add = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, heard) {
  add.call(this, name, (event) => {
    const began = performance.now();
    heard(event);
    setTimeout(() => window.works.push(performance.now() - began));
  });
};
"""
"""When the first line can be read; and from each event to the end of the work that it causes."""


WIRE = """
performance.getEntries()
  .filter((each) => each.entryType === 'navigation' || each.name.includes('/static/'))
  .reduce((sum, each) => sum + each.transferSize, 0)
"""
"""Bytes of the page and its files, compressed and with their headers."""


def fill(connection: Connection) -> None:
    """One more waiting job for each of the queues."""
    now = stamp(utc_now())
    rows = [{"id": uuid7(), "queue": f"bench:{n:03}", "now": now} for n in range(QUEUES)]
    connection.execute(
        text("INSERT OR IGNORE INTO job_queues (name) VALUES (:queue)"),
        [{"queue": row["queue"]} for row in rows],
    )
    connection.execute(
        text(
            "INSERT INTO jobs (id, queue_name, priority, payload, run_at, created_at, updated_at)"
            " VALUES (:id, :queue, 100, '{}', :now, :now, :now)"
        ),
        rows,
    )


async def signed_in(browser: Browser, server: ServerProcess) -> Page:
    """A page without anything in its cache."""
    context = await browser.new_context(bypass_csp=True)
    await context.add_init_script(MARKS)
    headers = {"Authorization": f"Bearer {server.token('ops')}"}
    url = f"http://127.0.0.1:{server.port}{PREFIX}/session"
    assert (await context.request.post(url, headers=headers)).ok
    return await context.new_page()


async def load(browser: Browser, server: ServerProcess) -> tuple[float, float, float]:
    """Milliseconds to the first paint and to the first line, kilobytes over the wire."""
    page = await signed_in(browser, server)
    await page.goto(f"http://127.0.0.1:{server.port}/")
    await page.wait_for_function(
        "window.readAt && performance.getEntriesByName('first-contentful-paint').length"
    )
    painted = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    read = await page.evaluate("window.readAt")
    size = await page.evaluate(WIRE)
    await page.context.close()
    return painted, read, size / 1000


async def follow(browser: Browser, server: ServerProcess) -> tuple[list[float], float, int]:
    """Milliseconds of work for each change of all rows, megabytes of growth, rows."""
    page = await signed_in(browser, server)
    await page.goto(f"http://127.0.0.1:{server.port}/dashboard/system/queues")
    await page.wait_for_selector("tbody tr")
    before = await heap(page)
    await page.evaluate("window.works.length = 0")
    end = time.monotonic() + FOLLOWED_S
    while time.monotonic() < end:
        await asyncio.to_thread(server.state, lambda database: database.write(fill))
        await asyncio.sleep(1)
    rows = await page.locator("tbody tr").count()
    works = await page.evaluate("window.works")
    return sorted(works), await heap(page) - before, rows


async def heap(page: Page) -> float:
    """Megabytes in use once all garbage is gone."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    found = await session.send("Runtime.getHeapUsage")
    return float(found["usedSize"]) / 1e6


async def main(server: ServerProcess) -> None:
    server.state(lambda database: database.write(fill))
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=arguments
        )
        loads = [await load(browser, server) for _ in range(LOADS)]
        works, growth, rows = await follow(browser, server)
        await browser.close()
    table = Table("what", "median", "most", title="The console")
    for name, values in zip(
        ("first paint, ms", "first line, ms", "wire, kB"), zip(*loads, strict=True), strict=True
    ):
        table.add_row(name, f"{median(values):.0f}", f"{max(values):.0f}")
    table.add_row(f"change of {rows} rows, ms", f"{median(works):.1f}", f"{works[-1]:.1f}")
    table.add_row(f"heap after {len(works)} changes, MB", f"{growth:+.2f}", "")
    Console().print(table)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        started = ServerProcess(Path(folder))
        started.start()
        try:
            asyncio.run(main(started))
        finally:
            started.stop()
