"""Signing in, out, and being signed out; and what other roles are offered."""

import re

import pytest
from playwright.async_api import expect

from acceptance.seeding import seed
from browser.console import QUEUES, Console

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_token_opens_the_page_that_was_asked_for(stranger: Console) -> None:
    await stranger.go(f"{QUEUES}?q=email")
    await expect(stranger.page.get_by_label("Token")).to_be_focused()
    await stranger.page.keyboard.type(f"  {stranger.demo.token('ops')} ")
    await stranger.page.keyboard.press("Enter")
    await expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Queues")
    assert stranger.page.url.endswith(f"{QUEUES}?q=email")
    [cookie] = await stranger.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    kept = await stranger.page.evaluate("document.cookie + JSON.stringify(localStorage)")
    assert stranger.demo.token("ops") not in kept
    assert str(cookie["value"]) not in kept
    stranger.forgive("401")


async def test_bad_token_is_told_in_the_form(stranger: Console) -> None:
    await stranger.go("/")
    await stranger.page.get_by_label("Token").fill("qd_ops_nonsense")
    await stranger.page.get_by_role("button", name="Sign in").click()
    await expect(stranger.page.get_by_role("alert")).to_contain_text("token")
    await expect(stranger.page.get_by_label("Token")).to_be_focused()
    stranger.forgive("401")


async def test_signing_out_ends_it_in_the_browser_and_on_the_server(console: Console) -> None:
    await console.go("/")
    [cookie] = await console.context.cookies()
    await console.page.get_by_role("button", name="Sign out").click()
    await expect(console.page.get_by_label("Token")).to_be_visible()
    assert await console.context.cookies() == []
    sent = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    assert console.demo.call("GET", "/session", headers=sent).status == 401


async def test_ended_session_asks_to_sign_in_and_comes_back(stranger: Console) -> None:
    made = stranger.demo.run("token", "create", "--name", "short", "--role", "ops")
    token = made.stdout.strip()
    await stranger.sign_in(token=token)
    await stranger.go(f"{QUEUES}?q=email&sort=waiting")
    link = stranger.page.get_by_role("link", name="queue:email-sending:high")
    await expect(link).to_be_visible()
    assert stranger.demo.run("token", "revoke", token.split("_")[2]).returncode == 0
    await link.click()
    await expect(stranger.page.get_by_text("Your session has ended.")).to_be_visible()
    await stranger.page.get_by_label("Token").fill(stranger.demo.token("ops"))
    await stranger.page.keyboard.press("Enter")
    heading = stranger.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("queue:email-sending:high")
    stranger.forgive("401")


async def test_viewer_is_offered_no_change(stranger: Console) -> None:
    [job] = seed(stranger.demo, "looked-at", failed=1)
    await stranger.sign_in("viewer")
    pages = [
        f"{QUEUES}?q=looked-at", f"{QUEUES}/queue%3Alooked-at?source=quarterdeck&job={job}",
        "/dashboard/system/infrastructure/services/API%20Server",
        "/dashboard/system/infrastructure/ips/203.0.113.12",
        "/dashboard/system/infrastructure?tab=ips", "/dashboard/system/infrastructure?tab=alerts",
    ]  # fmt: skip
    change = re.compile("Pause|Resume|Retry|Clear|Delete|Note|note|Check|Remove|Add|Ack|Silence")
    for address in pages:
        await stranger.go(address)
        await expect(stranger.page.get_by_role("button", name=change)).to_have_count(0)
    await expect(stranger.page.get_by_role("link", name="Audit")).to_have_count(0)
    await stranger.go("/dashboard/system/audit")
    heading = stranger.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("This page is not for your role")
