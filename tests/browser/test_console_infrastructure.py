"""What one does about services, addresses and alerts: each with its effect, as the API tells it."""

import re

import pytest
from playwright.async_api import expect

from acceptance.server_process import wait_until
from browser.console import Console
from browser.test_console_views import INFRASTRUCTURE, failed_job

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_alerts_are_filtered_and_the_filter_is_in_the_address(console: Console) -> None:
    def alarming() -> bool:
        alerts = console.api("/infrastructure/alerts")["alerts"]
        return any(each["service"] == "queue:alarming" for each in alerts)

    wait_until(alarming, 120)
    await console.go(f"{INFRASTRUCTURE}?tab=alerts")
    line = console.page.get_by_role("link", name=re.compile("queue:alarming"))
    await expect(line).to_be_visible()
    await console.page.get_by_label("State").select_option("resolved")
    await expect(console.page).to_have_url(re.compile("state=resolved"))
    await expect(line).to_have_count(0)
    await console.page.get_by_label("State").select_option("firing")
    await expect(line).to_be_visible()
    await console.page.reload()
    await expect(console.page.get_by_label("State")).to_have_value("firing")
    await expect(line).to_be_visible()


async def test_alert_is_silenced_by_keys_and_the_silence_is_ended(console: Console) -> None:
    def silences() -> list[str]:
        found = console.api("/infrastructure/silences?active=true")["silences"]
        return [each["comment"] for each in found]

    wait_until(lambda: bool(console.api("/infrastructure/alerts")["alerts"]), 120)
    await console.go(f"{INFRASTRUCTURE}?tab=alerts")
    await console.page.get_by_role("button", name="Silence…").first.press("Enter")
    await expect(console.page.get_by_role("dialog", name=re.compile("^Silence "))).to_be_visible()
    await console.page.get_by_label("Why").fill("a drill <i>until</i> noon")
    await console.page.get_by_role("button", name="Silence", exact=True).press("Enter")
    listed = console.page.get_by_role("region", name="Silences")
    await expect(listed).to_contain_text("a drill <i>until</i> noon")
    assert silences() == ["a drill <i>until</i> noon"]
    await listed.get_by_role("button", name="End now").press("Enter")
    await expect(listed).to_have_count(0)
    assert silences() == []


async def test_note_on_a_service_stands_as_its_reason(console: Console) -> None:
    def reason() -> object:
        services = console.api("/infrastructure/health")["services"]
        return next(each for each in services if each["name"] == "OLTP Database").get("reason")

    await console.go(f"{INFRASTRUCTURE}/services/OLTP%20Database")
    await console.page.get_by_role("button", name="Write a note…").click()
    await console.page.get_by_label(re.compile("What colleagues should know")).fill("vacuum at 5")
    await console.page.get_by_role("button", name="Write it").click()
    await expect(console.page.get_by_text("said by an operator")).to_be_visible()
    assert reason() == "vacuum at 5"
    await console.page.get_by_role("button", name="Take the note away").click()
    await expect(console.page.get_by_text("vacuum at 5")).to_have_count(0)
    assert reason() != "vacuum at 5"


async def test_address_is_added_and_removed_by_administrators(stranger: Console) -> None:
    console = stranger
    await console.sign_in("admin")

    def watched() -> bool:
        ips = console.api("/infrastructure/ip-reputation")["ips"]
        return any(each["ip_address"] == "203.0.113.77" for each in ips)

    await console.go(f"{INFRASTRUCTURE}?tab=ips")
    await console.page.get_by_role("button", name="Add an address…").click()
    await console.page.get_by_role("textbox", name="Address").fill("203.0.113.777")
    await console.page.get_by_role("button", name="Add", exact=True).click()
    await expect(console.page.get_by_role("alert")).to_contain_text("address")
    await console.page.get_by_role("textbox", name="Address").fill("203.0.113.77")
    await console.page.get_by_role("button", name="Add", exact=True).click()
    await console.page.get_by_role("link", name="203.0.113.77").click()
    assert watched()
    await console.page.get_by_role("button", name="Remove…").click()
    dialog = console.page.get_by_role("dialog", name="Stop watching 203.0.113.77?")
    await dialog.get_by_role("button", name="Remove").click()
    await expect(console.page.get_by_text("203.0.113.77 is watched no longer.")).to_be_visible()
    assert not watched()
    console.forgive("400")


async def test_addresses_are_not_offered_for_change_to_others(console: Console) -> None:
    await console.go(f"{INFRASTRUCTURE}?tab=ips")
    await console.page.get_by_role("link", name="203.0.113.12").click()
    await expect(console.page.get_by_role("button", name="Check now")).to_be_visible()
    await expect(console.page.get_by_role("button", name="Remove…")).to_have_count(0)
    await console.page.go_back()
    await expect(console.page.get_by_role("table")).to_be_visible()
    await expect(console.page.get_by_role("button", name="Add an address…")).to_have_count(0)


async def test_error_group_leads_to_one_of_its_jobs(console: Console) -> None:
    failed_job(console)
    await console.open_queue("queue:alarming", status="failed")
    group = console.page.get_by_role("row", name=re.compile("SMTP connection timeout")).first
    await expect(group).to_contain_text("30")
    await group.get_by_role("link").click()
    drawer = console.page.get_by_role("complementary", name="Job")
    await expect(drawer).to_contain_text("SMTP connection timeout")
    await expect(drawer).to_contain_text("Traceback...")
    await console.page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)


async def test_nothing_moves_for_who_asks_for_stillness(console: Console) -> None:
    """The same place-holder breathes for everybody else."""
    moving = "document.getAnimations().length"
    bone = "document.body.append(Object.assign(document.createElement('i'), {className: 'bone'}))"
    await console.go("/")
    await console.page.evaluate(bone)
    assert await console.page.evaluate(moving) == 0
    await console.page.emulate_media(reduced_motion="no-preference")
    assert await console.page.evaluate(moving) == 1


async def test_address_is_looked_up_now(console: Console) -> None:
    def checked_at() -> str:
        ips = console.api("/infrastructure/ip-reputation")["ips"]
        found = next(each for each in ips if each["ip_address"] == "203.0.113.13")
        return str(found["checked_at"] or "")

    before = checked_at()
    await console.go(f"{INFRASTRUCTURE}/ips/203.0.113.13")
    await console.page.get_by_role("button", name="Check now").press("Enter")
    await expect(console.page.get_by_text("203.0.113.13 was looked up anew.")).to_be_visible()
    assert checked_at() > before
