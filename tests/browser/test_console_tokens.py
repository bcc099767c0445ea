"""Tokens in the browser: made, shown once, used, revoked."""

import re

import pytest
from playwright.async_api import expect

from browser.console import NARROW, Console
from browser.test_console_views import barriers, overhang

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = "/dashboard/settings/tokens"


def state_of(console: Console, name: str) -> str:
    found = console.demo.get("/tokens?limit=100", role="admin").data["tokens"]
    return str(next(each["state"] for each in found if each["name"] == name))


async def make(console: Console, name: str, role: str) -> str:
    await console.page.get_by_role("button", name="New token…").click()
    dialog = console.page.get_by_role("dialog", name="New token")
    await dialog.get_by_label("Whose it is").fill(name)
    await dialog.get_by_label("Role").select_option(role)
    await dialog.get_by_label("Good for").select_option("30")
    await dialog.get_by_role("button", name="Make it").click()
    return await console.page.get_by_role("textbox", name="The token").input_value()


async def test_token_is_made_shown_once_used_and_revoked(stranger: Console) -> None:
    await stranger.sign_in("admin")
    await stranger.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await stranger.go(TOKENS)
    secret = await make(stranger, "night <b>watch</b>", "ops")
    await stranger.page.get_by_role("button", name="Copy").click()
    await expect(stranger.page.get_by_text("Copied.")).to_be_visible()
    assert await stranger.page.evaluate("navigator.clipboard.readText()") == secret
    assert stranger.demo.get("/session", token=secret, role=None).data["role"] == "ops"
    await stranger.page.get_by_role("button", name="I have it").click()
    assert secret not in await stranger.page.content()
    row = stranger.page.get_by_role("row").filter(has_text="night <b>watch</b>")
    await expect(row).to_contain_text("valid")
    await row.get_by_role("button", name="Revoke…").click()
    dialog = stranger.page.get_by_role("dialog", name="Revoke 'night <b>watch</b>'?")
    await expect(dialog).to_contain_text("Whatever uses it is refused from now on")
    await dialog.get_by_role("button", name="Cancel").click()
    assert state_of(stranger, "night <b>watch</b>") == "valid"
    await row.get_by_role("button", name="Revoke…").click()
    await dialog.get_by_role("button", name="Revoke it").click()
    await expect(row).to_contain_text("revoked")
    assert stranger.demo.get("/session", token=secret, role=None).status == 401


async def test_revoking_your_own_token_signs_you_out(stranger: Console) -> None:
    body = b'{"name": "leaving", "role": "admin", "expires_in_days": 1}'
    kind = {"Content-Type": "application/json"}
    made = stranger.demo.post("/tokens", role="admin", body=body, headers=kind).data
    await stranger.sign_in(token=made["secret"])
    await stranger.go(TOKENS)
    row = stranger.page.get_by_role("row").filter(has_text="leaving (yours)")
    await row.get_by_role("button", name="Revoke…").click()
    await expect(stranger.page.get_by_role("dialog")).to_contain_text("you will be signed out")
    await stranger.page.get_by_role("button", name="Revoke it").click()
    await expect(stranger.page.get_by_label("Token")).to_be_visible()
    stranger.forgive("401")


async def test_tokens_are_for_administrators(console: Console) -> None:
    await console.go(TOKENS)
    await expect(console.page.get_by_role("heading", level=1)).to_have_text(
        "This page is not for your role"
    )
    await expect(console.page.get_by_role("link", name="Tokens")).to_have_count(0)


async def test_secret_is_kept_nowhere(stranger: Console) -> None:
    body = b'{"name": "kept nowhere", "role": "viewer", "expires_in_days": null}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "the-same"}
    answers = [
        stranger.demo.post("/tokens", role="admin", body=body, headers=headers) for _ in range(2)
    ]
    secrets = [answer.data["secret"] for answer in answers]
    assert secrets[0] != secrets[1]
    assert answers[0].headers["cache-control"] == "no-store"
    files = [
        *stranger.demo.directory.glob("data/*.sqlite3*"),
        stranger.demo.directory / "server.log",
    ]
    held = b"".join(path.read_bytes() for path in files)
    assert answers[0].data["token"]["id"].encode() in held
    assert [each for each in secrets if each.encode() in held] == []
    [entry] = stranger.api("/audit?action=token.create&limit=1")["entries"]
    assert entry["outcome"] == "ok"
    assert not re.search("|".join(secrets), str(entry))


@pytest.mark.parametrize("body", [b'{"name": " ", "role": "ops"}', b'{"name": "x", "role": "x"}'])
async def test_bad_token_is_refused(stranger: Console, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    answer = stranger.demo.post("/tokens", role="admin", body=body, headers=kind)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    for role in ("ops", "viewer", "ingest"):
        refused = stranger.demo.call("POST", "/tokens", role=role, body=body, headers=kind)
        assert refused.status == 403
        assert stranger.demo.call("DELETE", "/tokens/unknown", role=role).status == 403
    assert stranger.demo.delete("/tokens/unknown", role="admin").status == 404


async def test_tokens_view_is_for_everybody(stranger: Console) -> None:
    await stranger.sign_in("admin")
    await stranger.go(TOKENS)
    assert await barriers(stranger) == []
    await stranger.page.emulate_media(color_scheme="dark")
    await stranger.page.set_viewport_size(NARROW)
    assert await overhang(stranger) == 0
    await stranger.page.get_by_role("button", name="New token…").click()
    assert await barriers(stranger) == []
