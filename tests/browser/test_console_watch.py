"""On watch: alerts, a server that is away, and a page that nobody looks at."""

import re

import pytest
from playwright.async_api import expect

from acceptance.server_process import wait_until
from browser.console import QUEUES, Console

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_server_that_is_away_is_told_and_comes_back(console: Console) -> None:
    """The last numbers stay, with their age and the reason; nothing turns green or empty."""
    await console.go("/dashboard/system/infrastructure")
    card = console.page.get_by_role("link", name=re.compile("Nightly Backup"))
    await expect(card).to_be_visible()
    await console.context.set_offline(True)
    said = console.page.get_by_role("status").filter(has_text="The server cannot be reached.")
    await expect(said).to_contain_text("What you see is")
    await expect(card).to_be_visible()
    await console.context.set_offline(False)
    await expect(said).to_have_count(0)
    console.forgive("ERR_INTERNET_DISCONNECTED")


async def test_page_that_nobody_sees_holds_no_stream(console: Console) -> None:
    await console.go(QUEUES)
    await expect(console.page.get_by_text("live", exact=True)).to_be_visible()
    hide = "Object.defineProperty(document, 'hidden', {get: () => %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    await console.page.evaluate(hide % "true" + tell)
    await expect(console.page.get_by_text("live", exact=True)).to_have_count(0)
    await console.page.evaluate(hide % "false" + tell)
    await expect(console.page.get_by_text("live", exact=True)).to_be_visible()


async def test_line_of_an_alert_shows_when_it_fired(console: Console) -> None:
    wait_until(lambda: bool(console.api("/infrastructure/alerts")["alerts"]), 120)
    await console.go("/")
    line = console.page.locator("a.concern", has_text="queue:alarming")
    spark = line.get_by_role("img", name=re.compile("This alert, by half-hours of the last day"))
    await expect(spark).to_have_accessible_name(re.compile("at most 1, now 1$"))


async def test_page_of_a_service_draws_its_errors(console: Console) -> None:
    """Numbers stand beside the plot, and are those of the API."""

    def known() -> list[float]:
        series = console.api("/infrastructure/health/API%20Server/history?hours=24")["series"]
        return [each["failed_checks"] for each in series if each["checks"]]

    wait_until(lambda: bool(known()), 60)
    await console.go("/dashboard/system/infrastructure/services/API%20Server")
    plot = console.page.get_by_role("img", name=re.compile("^Errors, now: .*failed checks"))
    await expect(plot.locator("canvas")).to_be_visible()
    await expect(plot).to_have_accessible_name(re.compile(r"failed checks [\d.]+ %"))


async def test_alert_is_acknowledged_with_a_note(console: Console) -> None:
    def firing() -> list[str]:
        alerts = console.api("/infrastructure/alerts")["alerts"]
        return [
            each["id"]
            for each in alerts
            if each["status"] == "firing" and each["service"] == "queue:alarming"
        ]

    wait_until(lambda: bool(firing()), 120)
    [alert] = firing()
    await console.go("/dashboard/system/infrastructure?tab=alerts")
    await console.page.get_by_role("link", name=re.compile("queue:alarming")).click()
    await console.page.get_by_role("button", name="Acknowledge…").click()
    dialog = console.page.get_by_role("dialog", name="Acknowledge this alert?")
    await dialog.get_by_label("Note for your colleagues").fill("<b>mine</b> now")
    await dialog.get_by_role("button", name="Acknowledge").click()
    await expect(console.page.get_by_text("Acknowledged: it escalates no further.")).to_be_visible()
    after = console.api(f"/infrastructure/alerts/{alert}")
    assert (after["acknowledged"], after["note"]) == (True, "<b>mine</b> now")
    await expect(console.page.get_by_text("<b>mine</b> now")).to_be_visible()
    await console.page.get_by_role("button", name="Take back").click()
    await expect(console.page.get_by_role("button", name="Acknowledge…")).to_be_visible()
    assert console.api(f"/infrastructure/alerts/{alert}")["acknowledged"] is False
