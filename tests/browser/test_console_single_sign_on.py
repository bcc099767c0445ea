"""Single sign-on in the browser: to the provider, and back to the page that was asked for."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import servers
from acceptance.server_process import ServerProcess
from oidc_world import CLIENT_ID, CLIENT_SECRET, OidcServer, oidc_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Deck:
    """A server, and the provider that it trusts."""

    origin: str
    provider: OidcServer


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    port = servers.free_port()
    origin = f"http://127.0.0.1:{port}"
    with oidc_server(f"{origin}/console/signed-in") as provider:
        settings = (
            f'[access.oidc]\nissuer = "{provider.issuer}"\nclient_id = "{CLIENT_ID}"\n'
            f'client_secret = "{CLIENT_SECRET}"\npublic_url = "{origin}"\nname = "Example ID"\n'
        )
        server = ServerProcess(tmp_path_factory.mktemp("deck"), settings=settings, port=port)
        server.start()
        yield Deck(origin, provider)
        assert server.stop() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def test_who_consents_there_sees_the_page_they_asked_for(deck: Deck, page: Page) -> None:
    await page.goto(f"{deck.origin}/dashboard/system/audit?limit=20")
    await page.get_by_role("button", name="Sign in with Example ID").click()
    await expect(page.get_by_role("heading", level=1, name="Audit")).to_be_visible()
    assert page.url == f"{deck.origin}/dashboard/system/audit?limit=20"
    await expect(page.get_by_text("Ann Example").first).to_be_visible()
    await page.go_back()
    assert "code=" not in page.url


async def test_who_refuses_there_is_told_and_can_still_use_a_token(deck: Deck, page: Page) -> None:
    deck.provider.refuses = "access_denied"
    try:
        await page.goto(deck.origin)
        await page.get_by_role("button", name="Sign in with Example ID").click()
        await expect(page.get_by_role("status")).to_contain_text(
            "You were not signed in by Example ID: access_denied"
        )
    finally:
        deck.provider.refuses = None
    await expect(page.get_by_label("Token")).to_be_visible()
    assert [each["name"] for each in await page.context.cookies()] == ["quarterdeck_sign_in"]


async def test_stray_answer_opens_nothing(deck: Deck, page: Page) -> None:
    await page.goto(f"{deck.origin}/console/signed-in?state=x&code=y")
    await expect(page.get_by_role("status")).to_contain_text("Begin again")
    assert await page.context.cookies() == []
