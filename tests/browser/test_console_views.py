"""Every view: it loads without a complaint, anybody can use it, on any width, in both themes."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from acceptance.seeding import seed
from acceptance.server_process import wait_until
from browser.console import NARROW, QUEUES, Console

pytestmark = pytest.mark.asyncio(loop_scope="session")

INFRASTRUCTURE = "/dashboard/system/infrastructure"


def failed_job(console: Console) -> str:
    found = console.api("/queues/queue%3Aalarming/jobs?status=failed&limit=1")["jobs"]
    return str(found[0]["id"])


def some_alert(console: Console) -> str:
    wait_until(lambda: bool(console.api("/infrastructure/alerts")["alerts"]), 120)
    return str(console.api("/infrastructure/alerts")["alerts"][0]["id"])


VIEWS: dict[str, Callable[[Console], str]] = {
    "overview": lambda _: "/",
    "queues": lambda _: QUEUES,
    "queue": lambda _: f"{QUEUES}/queue%3Aemail-sending?source=demo",
    "failed jobs": lambda _: f"{QUEUES}/queue%3Aalarming?source=quarterdeck&status=failed",
    "drawer": lambda console: f"{QUEUES}/queue%3Aalarming?job={failed_job(console)}",
    "job": lambda console: f"/dashboard/system/jobs/{failed_job(console)}",
    "services": lambda _: INFRASTRUCTURE,
    "service": lambda _: f"{INFRASTRUCTURE}/services/API%20Server",
    "addresses": lambda _: f"{INFRASTRUCTURE}?tab=ips",
    "address": lambda _: f"{INFRASTRUCTURE}/ips/203.0.113.12",
    "alerts": lambda _: f"{INFRASTRUCTURE}?tab=alerts",
    "alert": lambda console: f"/console/alerts/{some_alert(console)}",
    "audit": lambda _: "/dashboard/system/audit",
    "no such view": lambda _: "/dashboard/no/such/view",
}


async def barriers(console: Console) -> list[Any]:
    """What axe-core finds: rules of WCAG 2 A and AA, and best practices."""
    found = await Axe().run(console.page)
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found.response["violations"]
    ]


async def overhang(console: Console) -> float:
    """How many pixels one can scroll sideways."""
    await console.page.evaluate("scrollTo(99999, 0)")
    far: float = await console.page.evaluate("scrollX")
    return far


@pytest.mark.parametrize("view", VIEWS)
async def test_view_is_for_everybody(console: Console, view: str) -> None:
    await console.go(VIEWS[view](console))
    assert await barriers(console) == []
    await console.page.emulate_media(color_scheme="dark")
    await console.page.set_viewport_size(NARROW)
    assert await overhang(console) == 0
    assert await barriers(console) == []


async def test_sign_in_is_for_everybody(stranger: Console) -> None:
    await stranger.go("/")
    assert await barriers(stranger) == []
    await stranger.page.emulate_media(color_scheme="dark")
    await stranger.page.set_viewport_size(NARROW)
    assert await overhang(stranger) == 0
    assert await barriers(stranger) == []
    stranger.forgive("401")


async def test_dialogs_are_for_everybody(console: Console) -> None:
    seed(console.demo, "talked-about", failed=2)
    await console.open_queue("queue:talked-about")
    for name in ("Pause queue:talked-about", "Clear failed…"):
        await console.page.get_by_role("button", name=name).click()
        await expect(console.page.get_by_role("dialog")).to_be_visible()
        assert await barriers(console) == []
        await console.page.keyboard.press("Escape")
        await expect(console.page.get_by_role("dialog")).to_have_count(0)


async def test_chosen_theme_is_kept(console: Console) -> None:
    async def ground() -> str:
        colour: str = await console.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    await console.go("/")
    as_system = await ground()
    await console.page.get_by_role("button", name="auto theme").click()
    await console.page.get_by_role("button", name="light theme").click()
    await expect(console.page.get_by_role("button", name="dark theme")).to_be_visible()
    assert await ground() != as_system
    await console.page.reload()
    await expect(console.page.get_by_role("button", name="dark theme")).to_be_visible()
    assert await ground() != as_system


async def test_times_are_shown_in_the_zone_that_is_asked_for(console: Console) -> None:
    await console.go(VIEWS["job"](console))
    time = console.page.locator("time").first
    told = await time.get_attribute("datetime")
    await console.page.get_by_role("button", name="local time").click()
    assert told is not None
    await expect(time).to_have_text(told[:19].replace("T", " "))
