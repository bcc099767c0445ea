"""Write docs/screenshots/*.png: every view of the console, on a demo that has run for a while."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from acceptance.demo_process import DemoProcess
from acceptance.server_process import PREFIX

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screenshots"
SIZE = {"width": 1120, "height": 720}
MINUTES = 14.5
"""Into the second round of the sample platform, when most is wrong; and plots have a history."""

ELSEWHERE = """
([root, prefix]) => {
  for (const each of document.querySelectorAll("pre")) {
    each.textContent = each.textContent
      .replaceAll(root, "/srv/quarterdeck").replaceAll(prefix, "/usr");
  }
}
"""
"""Stack traces do not tell on whose machine the pictures were made."""

QUEUES = "/dashboard/system/queues"
INFRASTRUCTURE = "/dashboard/system/infrastructure"


def views(demo: DemoProcess) -> dict[str, str]:
    """Name of the picture -> address."""
    jobs = demo.get("/queues/queue%3Aemail-sending/jobs?status=failed&limit=1").data["jobs"]
    alert = demo.get("/infrastructure/alerts").data["alerts"][0]
    queue = f"{QUEUES}/queue%3Aemail-sending?source=demo"
    return {
        "overview": "/",
        "queues": QUEUES,
        "queue": queue,
        "failed-jobs": f"{queue}&status=failed&job={jobs[0]['id']}",
        "job": f"/dashboard/system/jobs/{jobs[0]['id']}",
        "services": INFRASTRUCTURE,
        "service": f"{INFRASTRUCTURE}/services/API%20Server",
        "addresses": f"{INFRASTRUCTURE}?tab=ips",
        "address": f"{INFRASTRUCTURE}/ips/203.0.113.12",
        "alerts": f"{INFRASTRUCTURE}?tab=alerts",
        "alert": f"/console/alerts/{alert['id']}",
        "logs": "/dashboard/system/logs",
        "audit": "/dashboard/system/audit",
        "tokens": "/dashboard/settings/tokens",
    }


async def draw(demo: DemoProcess, page: Page) -> None:
    """Each view in the light theme, and the overview in both."""
    origin = f"http://127.0.0.1:{demo.port}"
    await page.goto(origin)
    await page.get_by_label("Token").fill("qd_ops_...")
    await page.screenshot(path=FOLDER / "sign-in.png")
    headers = {"Authorization": f"Bearer {demo.token('admin')}"}
    await page.request.post(f"{origin}{PREFIX}/session", headers=headers)
    for name, address in views(demo).items():
        await page.goto(origin + address)
        await settled(page)
        await page.evaluate(ELSEWHERE, [str(ROOT), sys.base_prefix])
        await page.screenshot(path=FOLDER / f"{name}.png")
    await page.emulate_media(color_scheme="dark")
    await page.goto(origin)
    await settled(page)
    await page.screenshot(path=FOLDER / "overview-dark.png")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("email")
    await page.screenshot(path=FOLDER / "palette-dark.png")


async def settled(page: Page) -> None:
    """Everything has come, the small pictures and the plots as well."""
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.locator(".bones")).to_have_count(0)
    await page.wait_for_timeout(1500)


async def main(demo: DemoProcess) -> None:
    """Draw everything."""
    FOLDER.mkdir(exist_ok=True)
    # Its sandbox refuses to start for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=arguments
        )
        context = await browser.new_context(
            viewport=SIZE, reduced_motion="reduce", timezone_id="UTC"
        )
        await draw(demo, await context.new_page())
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long the demo runs")
    waits_s = 60 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        started = DemoProcess(Path(folder))
        started.start()
        try:
            # Nothing to wait for: histories on the pictures take as long as they show.
            time.sleep(waits_s)
            asyncio.run(main(started))
        finally:
            started.end(signal.SIGTERM)
