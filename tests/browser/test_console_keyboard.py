"""Without a mouse: everything is reached by keys, and the focus is never lost."""

import pytest
from playwright.async_api import Page, expect

from acceptance.seeding import seed
from browser.console import QUEUES, Console

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def open_palette(page: Page) -> None:
    await press(page, "Control+k")
    await expect(page.get_by_role("combobox")).to_be_focused()


async def test_palette_goes_where_it_is_told(console: Console) -> None:
    seed(console.demo, "far-away", waiting=1)
    await console.go("/")
    await open_palette(console.page)
    await console.page.keyboard.type("far aw")
    await expect(console.page.get_by_role("option", name="queue:far-away")).to_be_visible()
    await press(console.page, "Enter")
    await expect(console.page.get_by_role("heading", level=1)).to_have_text("queue:far-away")
    await expect(console.page.get_by_role("dialog")).to_have_count(0)


async def test_palette_is_walked_by_arrows_and_left_by_escape(console: Console) -> None:
    await console.go("/")
    await open_palette(console.page)
    await press(console.page, "ArrowDown", "ArrowDown", "ArrowUp")
    chosen = console.page.get_by_role("option", selected=True)
    await expect(chosen).to_contain_text("Queues")
    await press(console.page, "Escape")
    await expect(console.page.get_by_role("dialog")).to_have_count(0)
    await expect(console.page.get_by_role("heading", level=1)).to_have_text("Overview")


async def test_palette_finds_a_service_and_a_job(console: Console) -> None:
    [job] = seed(console.demo, "pasted", failed=1)
    await console.go("/")
    await open_palette(console.page)
    await console.page.keyboard.type("api server")
    await expect(
        console.page.get_by_role("option", name="API Server service", exact=True)
    ).to_be_visible()
    await console.page.get_by_role("combobox").fill(job)
    await expect(console.page.get_by_role("option", name=job)).to_be_visible()
    await press(console.page, "Enter")
    await expect(console.page.get_by_text("SMTP connection timeout")).to_be_visible()


async def test_letters_go_to_pages(console: Console) -> None:
    await console.go("/")
    for letter, title in (
        ("q", "Queues"),
        ("i", "Infrastructure"),
        ("a", "Audit"),
        ("o", "Overview"),
    ):
        await console.page.keyboard.type(f"g{letter}")
        await expect(console.page.get_by_role("heading", level=1)).to_have_text(title)


async def test_help_names_the_keys(console: Console) -> None:
    await console.go("/")
    await press(console.page, "?")
    help_ = console.page.get_by_role("dialog", name="Keyboard")
    await expect(help_).to_contain_text("Search or filter this page")
    await press(console.page, "Escape")
    await expect(help_).to_have_count(0)


async def test_queue_is_paused_by_keys_alone(console: Console) -> None:
    seed(console.demo, "by-hand", waiting=1)
    await console.go(QUEUES)
    await press(console.page, "/")
    await console.page.keyboard.type("by-hand")
    pause = console.page.get_by_role("button", name="Pause queue:by-hand")
    # Only then: a row that goes takes the focus with it.
    await expect(console.page.locator("tbody [data-row]")).to_have_text(["queue:by-hand"])
    for _ in range(20):
        await press(console.page, "Tab")
        if await pause.evaluate("each => each === document.activeElement"):
            break
    await expect(pause).to_be_focused()
    await press(console.page, "Enter")
    await expect(console.page.get_by_role("button", name="Cancel")).to_be_focused()
    await press(console.page, "Tab", "Enter")
    await expect(console.page.get_by_text("queue:by-hand is paused.")).to_be_visible()
    assert console.api("/queues/queue%3Aby-hand")["paused"] is True
    # The focus comes back to where it was.
    await expect(console.page.get_by_role("button", name="Resume queue:by-hand")).to_be_focused()


async def test_rows_are_walked_and_opened(console: Console) -> None:
    seed(console.demo, "walked", waiting=3)
    await console.open_queue("queue:walked")
    rows = console.page.locator("tbody [data-row]")
    await expect(rows).to_have_count(3)
    await press(console.page, "j", "j", "j", "k")
    await expect(rows.nth(1)).to_be_focused()
    await press(console.page, "Enter")
    await expect(console.page.get_by_role("complementary", name="Job")).to_be_visible()
    await press(console.page, "Escape")
    await expect(console.page.get_by_role("complementary", name="Job")).to_have_count(0)


async def test_content_is_one_key_away(console: Console) -> None:
    await console.go("/")
    skip = console.page.get_by_role("link", name="Skip to the content")
    await skip.focus()
    await expect(skip).to_be_in_viewport()
    await press(console.page, "Enter")
    await expect(console.page.locator("main")).to_be_focused()
