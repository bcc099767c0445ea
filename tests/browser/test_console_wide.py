"""From 360 to 3840 pixels: what is listed is seen whole, and on a wall everything grows."""

from typing import Any

import pytest
from playwright.async_api import ViewportSize, expect

from acceptance.seeding import seed
from browser.console import QUEUES, WIDE, Console
from browser.log_lines import LOGS
from browser.test_console_views import VIEWS, overhang

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = "/dashboard/settings/tokens"
WALL = ViewportSize(width=3840, height=2160)

MEASURES = """
() => {
  const shown = [...document.querySelectorAll('#app *')].filter((each) =>
    [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    && each.getClientRects().length);
  const size = (each) => parseFloat(getComputedStyle(each).fontSize);
  const wide = (each) => each.getBoundingClientRect().width;
  return {
    smallest: Math.min(...shown.map(size)),
    usual: size(document.body),
    prose: Math.max(0, ...[...document.querySelectorAll('p')].map((p) => wide(p) / size(p))),
    widest: Math.max(0, ...[...document.querySelectorAll('.card, table, .grid')].map(wide)),
  };
}
"""
"""Sizes of letters in pixels; the longest line of prose in its letters' size."""


async def measured(console: Console, size: ViewportSize) -> dict[str, Any]:
    await console.page.set_viewport_size(size)
    found: dict[str, Any] = await console.page.evaluate(MEASURES)
    return found


async def test_every_view_uses_a_4k_screen(stranger: Console) -> None:
    await stranger.sign_in("admin")
    views = {name: find(stranger) for name, find in VIEWS.items()}
    views |= {"logs": LOGS, "tokens": TOKENS}
    for name, address in views.items():
        await stranger.go(address)
        desk = await measured(stranger, WIDE)
        wall = await measured(stranger, WALL)
        assert await overhang(stranger) == 0, name
        assert wall["smallest"] > desk["smallest"], name
        assert wall["usual"] > 1.3 * desk["usual"], name
        # About a hundred letters: half of their size is the width of most.
        assert wall["prose"] <= 60, name
        assert wall["widest"] >= 0.85 * WALL["width"] or name == "no such view", name


@pytest.mark.parametrize("width", [360, 1120])
async def test_lists_need_no_scrolling_sideways(stranger: Console, width: int) -> None:
    seed(stranger.demo, "a-name-" + "without-an-end-" * 10, waiting=1)
    await stranger.sign_in("admin")
    await stranger.page.set_viewport_size({"width": width, "height": 720})
    for address in (QUEUES, VIEWS["addresses"](stranger), VIEWS["audit"](stranger), TOKENS):
        await stranger.go(address)
        table = stranger.page.get_by_role("table")
        await expect(table.get_by_role("row").nth(1)).to_be_visible()
        hidden = await table.evaluate("(each) => each.scrollWidth - each.parentNode.clientWidth")
        assert hidden <= 0, address
