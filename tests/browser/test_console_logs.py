"""The log view in the browser: finding lines, opening them, sending somebody there."""

import re
from urllib.parse import quote

import pytest
from playwright.async_api import Locator, expect

from browser.console import NARROW, Console
from browser.log_lines import LOGS, line, many, send
from browser.test_console_views import overhang

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = (
    'Traceback (most recent call last):\n  File "worker.py", line 81, in send\nTimeoutError: mx1'
)


def rows(console: Console) -> Locator:
    return console.page.locator(".line [data-row]")


async def matched(console: Console, number: str) -> None:
    await expect(console.page.locator("header small")).to_have_text(
        re.compile(rf"^{number} lines? match")
    )


async def test_words_are_found_and_the_search_is_in_the_address(console: Console) -> None:
    send(console, [line("finder", "lease expired"), line("finder", "lease renewed")])
    await console.go(f"{LOGS}?service=finder")
    await expect(rows(console)).to_have_count(2)
    await console.page.get_by_role("searchbox", name="Search the logs").fill("expired")
    await console.page.keyboard.press("Enter")
    await matched(console, "1")
    await expect(rows(console)).to_contain_text("lease expired")
    await expect(console.page).to_have_url(re.compile(r"query=expired"))
    await console.page.go_back()
    await matched(console, "2")
    await expect(console.page.get_by_role("searchbox")).to_have_value("")


async def test_wrong_expression_shows_its_place(console: Console) -> None:
    await console.go(LOGS)
    field = console.page.get_by_role("searchbox", name="Search the logs")
    # An emoji is one character for the API and two for the browser.
    await field.fill("\U0001f9e8 timeout (smtp OR api")
    await field.press("Enter")
    alert = console.page.get_by_role("alert")
    await expect(alert).to_contain_text('at character 11: close this "(" with a ")", or quote it.')
    await expect(field).to_have_attribute("aria-invalid", "true")
    await alert.get_by_role("button", name="Show the place").click()
    chosen = "document.activeElement.value.slice(...['Start', 'End'].map("
    assert (
        await console.page.evaluate(f"{chosen}e => document.activeElement['selection' + e]))")
        == "("
    )
    await field.fill("\U0001f9e8 timeout")
    await field.press("Enter")
    await expect(alert).to_have_count(0)
    await matched(console, "0")
    await expect(console.page.get_by_text("No line fits")).to_be_visible()
    console.forgive("400")


async def test_syntax_is_explained_by_examples_that_work(console: Console) -> None:
    await console.go(f"{LOGS}?panel=syntax")
    examples = console.page.locator(".syntax dt a")
    for index in range(await examples.count()):
        text = await examples.nth(index).inner_text()
        assert console.demo.get(f"/logs?query={quote(text)}").status == 200, text
    await examples.get_by_text("http.status:>=500").click()
    await expect(console.page.get_by_role("searchbox")).to_have_value("http.status:>=500")


async def test_levels_and_services_filter_with_their_counts(console: Console) -> None:
    send(console, [line("counted-a", "counted word", level="error") for _ in range(3)])
    send(console, [line("counted-b", "counted word", level="warning") for _ in range(2)])
    await console.go(f"{LOGS}?query=%22counted+word%22")
    levels = console.page.get_by_role("group", name="Level")
    await expect(levels.get_by_role("button", name="error 3")).to_be_visible()
    await expect(levels.get_by_role("button", name="debug 0")).to_be_visible()
    await levels.get_by_role("button", name="warning 2").click()
    await matched(console, "2")
    services = console.page.get_by_role("group", name="Service")
    await expect(services.get_by_role("button", name="counted-b 2")).to_be_visible()
    await expect(services.get_by_role("button", name="counted-a")).to_have_count(0)
    # Its own choice leaves a filter's counts alone, so that another can be chosen.
    await expect(levels.get_by_role("button", name="error 3")).to_be_visible()
    await levels.get_by_role("button", name="warning 2").click()
    await services.get_by_role("button", name="counted-a 3").click()
    await matched(console, "3")
    await expect(console.page).to_have_url(re.compile("service=counted-a"))


async def test_dragging_over_the_histogram_zooms(console: Console) -> None:
    send(console, [line("zoomed", "early", ago_s=3000), line("zoomed", "late", ago_s=300)])
    await console.go(f"{LOGS}?service=zoomed&range=1h")
    await matched(console, "2")
    box = await console.page.locator(".histogram").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    await console.page.mouse.move(box["x"] + 2, middle)
    await console.page.mouse.down()
    await console.page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    await console.page.mouse.up()
    await matched(console, "1")
    await expect(rows(console)).to_contain_text("early")
    await expect(console.page).to_have_url(re.compile("start_time=.*end_time="))
    await console.page.get_by_role("button", name="Zoom out").click()
    await matched(console, "2")


async def test_keys_zoom_into_the_histogram(console: Console) -> None:
    send(console, [line("keyed", "only one", ago_s=600)])
    await console.go(f"{LOGS}?service=keyed&range=1h")
    bars = console.page.get_by_role("slider", name="Lines over time")
    await bars.focus()
    await bars.press("End")
    await bars.press("Shift+Home")
    await expect(bars).to_have_attribute("aria-valuetext", re.compile(r": 1 lines, 0 errors$"))
    await bars.press("End")
    await bars.press("Enter")
    await matched(console, "0")
    await bars.press("-")
    await expect(console.page).to_have_url(re.compile("start_time="))
    await expect(bars).to_have_attribute("aria-valuetext", re.compile(" lines, 0 errors$"))


async def test_opened_row_shows_all_of_the_line(console: Console) -> None:
    error = {"type": "TimeoutError", "message": "mx1", "stack_trace": TRACE}
    send(console, [line("opened", "it broke", level="error", error=error, http={"status": 500})])
    await console.go(f"{LOGS}?service=opened")
    await rows(console).click()
    await expect(console.page.get_by_role("region", name="Stack trace")).to_contain_text("line 81")
    tree = console.page.get_by_role("region", name="Metadata")
    await expect(tree).to_contain_text("status: 500")
    await expect(tree).to_contain_text("error_type: TimeoutError")
    await expect(console.page).to_have_url(re.compile("line=log_"))
    await rows(console).click()
    await expect(tree).to_have_count(0)


async def test_request_and_neighbours_of_a_line_are_a_click_away(console: Console) -> None:
    send(
        console,
        [
            line("edge", "request came in", ago_s=30, request_id="req_browser_1"),
            line("postman", "mail is sent", ago_s=29, request_id="req_browser_1"),
            line("postman", "something else", ago_s=28),
        ],
    )
    await console.go(f"{LOGS}?service=postman&query=%22mail+is+sent%22")
    await rows(console).click()
    await console.page.get_by_role("link", name="Around this line").click()
    around = console.page.get_by_role("region", name="Around this line")
    await expect(around).to_contain_text("something else")
    await expect(around).to_contain_text("request came in")
    await console.page.get_by_role("link", name="Same request id").click()
    await matched(console, "2")
    await expect(rows(console).nth(1)).to_contain_text("request came in")
    await console.page.get_by_role("button", name="request_id: req_browser_1").click()
    await expect(console.page).not_to_have_url(re.compile("request_id"))


async def test_address_brings_a_colleague_to_the_same_place(console: Console) -> None:
    send(console, many("permanent", 3000))
    found = console.api("/logs?service=permanent&limit=1&offset=1500")["logs"][0]
    await console.go(f"{LOGS}?service=permanent&range=6h&line={found['id']}&around=1")
    opened = console.page.locator(".line.open")
    await expect(opened).to_be_in_viewport()
    await expect(opened).to_have_attribute("aria-posinset", "1501")
    await expect(opened).to_contain_text("Around this line")
    await expect(console.page.get_by_label("Span of time")).to_have_value("6h")
    # Of a line that the search does not find, the line is still shown.
    await console.go(f"{LOGS}?service=permanent&query=absent&line={found['id']}")
    apart = console.page.get_by_role("region", name="The opened line")
    await expect(apart).to_contain_text(found["message"])
    await expect(console.page.get_by_text("No line fits")).to_be_visible()


async def test_hostile_text_is_text(console: Console) -> None:
    markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    hostile = f"{markup} \u202egnp.exe \U0001f9e8&amp;\x1b[31m"
    evil = {"service": hostile[:100], hostile: {"a": hostile}, "request_id": markup}
    send(console, [line("hostile", hostile) | evil])
    send(console, [line("hostile", "x" * 100_000 + "the end")])
    await console.go(f"{LOGS}?query=%22gnp.exe%22")
    await rows(console).click()
    await expect(console.page.get_by_role("region", name="Message")).to_contain_text(markup)
    await expect(console.page.get_by_role("region", name="Metadata")).to_contain_text(markup)
    await expect(console.page.locator("main img, main script")).to_have_count(0)
    await expect(console.page).to_have_title("Logs · Quarterdeck")
    await console.page.set_viewport_size(NARROW)
    await console.go(f"{LOGS}?service=hostile")
    await rows(console).click()
    await console.page.get_by_role("button", name="80007 more characters").click()
    await expect(console.page.get_by_role("region", name="Message")).to_contain_text("the end")
    assert await overhang(console) == 0


async def test_rows_are_walked_and_opened_by_keys(console: Console) -> None:
    send(console, many("walked", 500))
    await console.go(f"{LOGS}?service=walked")
    await matched(console, "500")
    await console.page.keyboard.press("j")
    await expect(rows(console).first).to_be_focused()
    await console.page.keyboard.press("ArrowDown")
    await expect(console.page.locator("[data-place='1'] [data-row]")).to_be_focused()
    await console.page.keyboard.press("End")
    last = console.page.locator("[data-place='499'] [data-row]")
    await expect(last).to_be_focused()
    await expect(last).to_be_in_viewport()
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_role("region", name="Message")).to_have_text(
        re.compile("line number 499$")
    )
    await expect(last).to_be_focused()
