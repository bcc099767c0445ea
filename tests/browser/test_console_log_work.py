"""What is done with log lines in the browser: followed, kept as searches, exported."""

import gzip
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from browser.console import NARROW, Console
from browser.log_lines import LOGS, line, many, send
from browser.test_console_views import barriers, overhang

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCROLLED = "document.querySelector('.lines').scrollTop"
DRAWN = "document.querySelectorAll('.line').length"


async def test_followed_lines_appear_above_those_that_were_there(console: Console) -> None:
    send(console, [line("followed", "before")])
    await console.go(f"{LOGS}?service=followed")
    await console.page.get_by_role("button", name="Follow", exact=True).click()
    rows = console.page.locator(".line [data-row]")
    await expect(console.page.locator("header small")).to_contain_text("live")
    await expect(rows).to_have_count(1)
    send(console, [line("followed", "after"), line("elsewhere", "not wanted")])
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("after")
    await expect(console.page.locator("header small")).to_have_text("live · 1 line came in")
    await rows.first.click()
    send(console, [line("followed", "one more")])
    await expect(rows).to_have_count(3)
    # What is read stays open while others come in.
    await expect(console.page.locator(".line.open")).to_have_attribute("aria-posinset", "2")
    await console.page.get_by_role("button", name="Follow", exact=True).click()
    await expect(console.page.locator("header small")).to_contain_text("3 lines match")


async def test_following_does_not_move_what_is_read(console: Console) -> None:
    send(console, many("flood", 90))
    await console.go(f"{LOGS}?service=flood&follow=1")
    await expect(console.page.locator("[data-place='0'] [data-row]")).to_be_visible()
    await console.page.evaluate(f"{SCROLLED} = 560")
    read = console.page.locator("[data-place='22']")
    await expect(read).to_contain_text("line number 22")
    before = await read.bounding_box()
    send(console, [line("flood", f"new {n}") for n in range(5)])
    moved = console.page.locator("[data-place='27']")
    await expect(moved).to_contain_text("line number 22")
    assert await moved.bounding_box() == before


async def test_search_is_saved_loaded_and_deleted(console: Console) -> None:
    await console.go(f"{LOGS}?query=refused&level=error&range=6h")
    await console.page.get_by_role("button", name="Saved…").click()
    dialog = console.page.get_by_role("dialog", name="Saved searches", exact=True)
    await dialog.get_by_label("Save this search as").fill("refusals <b>")
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(console.page.get_by_text("'refusals <b>' is saved.")).to_be_visible()
    [kept] = [
        each for each in console.api("/logs/searches")["searches"] if each["name"] == "refusals <b>"
    ]
    assert (kept["filter"]["query"], kept["filter"]["level"]) == ("refused", "error")
    await dialog.get_by_label("Save this search as").fill("refusals <b>")
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("refusals <b>")
    await console.go(f"{LOGS}?panel=saved")
    await dialog.get_by_role("link", name="refusals <b>").click()
    await expect(dialog).to_have_count(0)
    await expect(console.page.get_by_role("searchbox")).to_have_value("refused")
    await expect(console.page).to_have_url(re.compile("level=error"))
    await console.page.get_by_role("button", name="Saved…").click()
    await dialog.get_by_role("button", name="Delete…").click()
    await console.page.get_by_role("button", name="Delete it").click()
    await expect(dialog.get_by_role("link", name="refusals <b>")).to_have_count(0)
    assert console.demo.get(f"/logs/searches/{kept['id']}").status == 404
    console.forgive("409|400")


async def test_export_is_followed_and_downloaded(console: Console, tmp_path: Path) -> None:
    send(console, many("exported", 2500))
    await console.go(f"{LOGS}?service=exported")
    await console.page.get_by_role("button", name="Export…").click()
    dialog = console.page.get_by_role("dialog", name="Export")
    await dialog.get_by_label("Format").select_option("json")
    await dialog.get_by_label("gzip").check()
    await dialog.get_by_role("button", name="Export 2,500 lines").click()
    done = dialog.get_by_role("listitem").filter(has_text="2,500 of 2,500 lines")
    async with console.page.expect_download() as downloading:
        await done.get_by_role("link", name="Download").click()
    await (await downloading.value).save_as(tmp_path / "lines.gz")
    lines = gzip.decompress((tmp_path / "lines.gz").read_bytes()).splitlines()
    assert json.loads(lines[0])["message"] == "line number 0"
    assert len(lines) == 2500
    await done.get_by_role("button", name="Delete").click()
    await expect(done.get_by_role("link", name="Download")).to_have_count(0)


async def test_viewer_is_offered_no_saving(stranger: Console) -> None:
    await stranger.sign_in("viewer")
    await stranger.go(f"{LOGS}?panel=saved&query=x")
    dialog = stranger.page.get_by_role("dialog", name="Saved searches")
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_label("Save this search as")).to_have_count(0)


async def test_a_hundred_thousand_lines_are_scrolled_through(console: Console) -> None:
    send(console, many("countless", 100_000))
    await console.go(f"{LOGS}?service=countless&range=7d")
    await expect(console.page.locator("header small")).to_contain_text("100,000 lines match")
    for place in (50_000, 99_990, 25_000):
        await console.page.evaluate(f"{SCROLLED} = {place} * 28")
        await expect(console.page.locator(f"[data-place='{place}']")).to_contain_text(
            f"line number {place}"
        )
        assert await console.page.evaluate(DRAWN) < 80
    await console.page.evaluate(f"{SCROLLED} = 0")
    await expect(console.page.locator("[data-place='0']")).to_contain_text("line number 0")


async def test_part_that_fails_leaves_the_rest(console: Console) -> None:
    send(console, [line("partial", "still here")])
    await console.context.route("**/logs/histogram?*", lambda route: route.abort())
    await console.go(f"{LOGS}?service=partial")
    await expect(console.page.get_by_text("No histogram: The server cannot be")).to_be_visible()
    await expect(console.page.locator(".line [data-row]")).to_contain_text("still here")
    await console.context.unroute_all()
    await console.page.get_by_role("button", name="Try again").click()
    await expect(console.page.get_by_role("slider", name="Lines over time")).to_be_visible()
    console.forgive("ERR_FAILED")


async def test_lines_that_could_not_be_fetched_are_asked_for_again(console: Console) -> None:
    send(console, many("patchy", 1000))
    await console.go(f"{LOGS}?service=patchy")
    await expect(console.page.locator("[data-place='0']")).to_contain_text("line number 0")
    await console.context.route("**/logs?*offset=*", lambda route: route.abort())
    await console.page.evaluate(f"{SCROLLED} = 700 * 28")
    await expect(console.page.get_by_text("Some lines could not be fetched")).to_be_visible()
    await console.context.unroute_all()
    await console.page.get_by_role("button", name="Try again").click()
    await expect(console.page.locator("[data-place='700']")).to_contain_text("line number 700")
    await expect(console.page.get_by_text("Some lines could not be fetched")).to_have_count(0)
    console.forgive("ERR_FAILED")


@pytest.mark.parametrize(
    "more", ["", "&around=1", "&panel=syntax", "&panel=export", "&panel=saved"]
)
async def test_log_view_is_for_everybody(console: Console, more: str) -> None:
    send(console, [line("barrier-free", f"fine {n}", level="error", a={"b": n}) for n in range(3)])
    found = console.api("/logs?service=barrier-free&limit=1")["logs"][0]
    await console.go(f"{LOGS}?service=barrier-free&line={found['id']}{more}")
    await expect(console.page.get_by_role("region", name="Metadata")).to_be_attached()
    for scheme in ("light", "dark"):
        await console.page.emulate_media(color_scheme=scheme)
        assert await barriers(console) == []
        await console.page.set_viewport_size(NARROW)
    assert await overhang(console) == 0
