"""Single sign-on against a strict provider on loopback: who is let in, who is not, and outages."""

import http.client
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from access_world import Watch
from oidc_world import CLIENT_ID, CLIENT_SECRET, OidcServer, oidc_server
from quarterdeck.access.model import Principal, Role
from quarterdeck.access.single_sign_on import Departure, ProviderAnswer, SingleSignOn
from quarterdeck.config import Oidc
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import (
    ConfigError,
    Forbidden,
    InvalidRequest,
    QuarterdeckError,
    SourceUnavailable,
    Unauthenticated,
)
from quarterdeck.net.http import HttpClient

KEY = b"k" * 32
PUBLIC = "https://ops.example.org"
BACK = f"{PUBLIC}/console/signed-in"
STALE = "^This sign-in was begun in another browser"


@pytest.fixture
def provider() -> Iterator[OidcServer]:
    """A running provider that knows us and our secret."""
    with oidc_server(BACK) as running:
        yield running


@pytest.fixture
async def out() -> AsyncIterator[HttpClient]:
    """The real client."""
    client = HttpClient()
    yield client
    await client.close()


def sign_on(provider: OidcServer, out: HttpClient, **changes: Any) -> SingleSignOn:
    settings: dict[str, Any] = {
        "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "public_url": f"{PUBLIC}/", "clock": utc_now,
    } | changes  # fmt: skip
    clock = settings.pop("clock")
    return SingleSignOn(Oidc(**settings), out.get_bytes, out.post_form, KEY, clock)


def visit(departure: Departure) -> ProviderAnswer:
    """What a browser brings back from the provider's page, where somebody consents at once."""
    address = urlsplit(departure.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    connection.request("GET", f"{address.path}?{address.query}")
    target = connection.getresponse().headers["Location"]
    connection.close()
    assert target.startswith(f"{BACK}?")
    return ProviderAnswer(
        **{name: each[0] for name, each in parse_qs(urlsplit(target).query).items()}
    )


async def test_who_consents_is_signed_in_and_comes_back_to_the_page(
    provider: OidcServer, out: HttpClient
) -> None:
    single = sign_on(provider, out)
    departure = await single.begin("/dashboard/system/queues?sort=waiting")
    arrival = await single.finish(departure.pending, visit(departure))
    assert arrival.principal == Principal("jwt:u-7", "Ann Example", Role.OPS, "jwt")
    assert arrival.principal.valid_until is None
    assert arrival.return_to == "/dashboard/system/queues?sort=waiting"


@pytest.mark.parametrize(
    "options",
    [{"auth_methods": ("client_secret_post",)}, {"secret": ""}, {"says_iss": True}],
    ids=["secret in the form", "public client", "names itself"],
)
async def test_each_way_of_showing_who_we_are(options: dict[str, Any], out: HttpClient) -> None:
    with oidc_server(BACK, **options) as provider:
        single = sign_on(provider, out, client_secret=provider.secret)
        departure = await single.begin("/")
        assert (await single.finish(departure.pending, visit(departure))).principal.id == "jwt:u-7"


async def test_no_two_sign_ins_share_anything(provider: OidcServer, out: HttpClient) -> None:
    single = sign_on(provider, out)
    for _ in range(2):
        visit(await single.begin("/"))
    first, second = provider.asked
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


async def test_only_the_browser_that_left_comes_back(provider: OidcServer, out: HttpClient) -> None:
    single = sign_on(provider, out)
    departure = await single.begin("/")
    answer = visit(departure)
    other = await single.begin("/")
    for kept in (None, "", "x.y.z", other.pending, departure.pending[:-4] + "AAAA"):
        with pytest.raises(Unauthenticated, match=STALE):
            await single.finish(kept, answer)
    assert (await single.finish(departure.pending, answer)).principal.role is Role.OPS


async def test_code_works_once(provider: OidcServer, out: HttpClient) -> None:
    single = sign_on(provider, out)
    departure = await single.begin("/")
    answer = visit(departure)
    await single.finish(departure.pending, answer)
    with pytest.raises(Unauthenticated, match=STALE):
        await single.finish(departure.pending, answer)


async def test_who_is_away_too_long_begins_again(provider: OidcServer, out: HttpClient) -> None:
    watch = Watch()
    watch.now = utc_now()
    single = sign_on(provider, out, clock=watch)
    departure = await single.begin("/")
    answer = visit(departure)
    watch.forward(minutes=10)
    with pytest.raises(Unauthenticated, match=STALE):
        await single.finish(departure.pending, answer)


async def test_what_was_kept_is_of_no_use_to_a_server_with_another_key(
    provider: OidcServer, out: HttpClient
) -> None:
    departure = await sign_on(provider, out).begin("/")
    settings = Oidc(
        issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, public_url=PUBLIC
    )
    other = SingleSignOn(settings, out.get_bytes, out.post_form, b"o" * 32)
    with pytest.raises(Unauthenticated, match=STALE):
        await other.finish(departure.pending, visit(departure))


@pytest.mark.parametrize(
    ("changes", "refused", "said"),
    [
        ({"nonce": "of another sign-in"}, Unauthenticated, "not for this sign-in"),
        ({"nonce": None}, Unauthenticated, "not for this sign-in"),
        ({"aud": "somebody else"}, Unauthenticated, "claim 'aud'"),
        ({"aud": [CLIENT_ID, "other"], "azp": "other"}, Unauthenticated, "not for this sign-in"),
        ({"iss": "https://evil.example"}, Unauthenticated, "claim 'iss'"),
        ({"exp": 1}, Unauthenticated, "has expired"),
        ({"role": "guest"}, Forbidden, r"map it in \[access\.oidc\.roles\]"),
        ({"role": None}, Forbidden, "No role in the token's claim 'role'"),
    ],
)
async def test_word_that_is_not_good_lets_nobody_in(
    provider: OidcServer,
    out: HttpClient,
    changes: dict[str, Any],
    refused: type[QuarterdeckError],
    said: str,
) -> None:
    provider.changes = changes
    single = sign_on(provider, out)
    departure = await single.begin("/")
    answer = visit(departure)
    with pytest.raises(refused, match=said):
        await single.finish(departure.pending, answer)


@pytest.mark.parametrize(
    ("error", "said"),
    [("access_denied", "access_denied"), ("<b>look here</b>", "no reason that could be read")],
)
async def test_refusal_of_the_provider_is_told_and_its_words_are_not_ours(
    provider: OidcServer, out: HttpClient, error: str, said: str
) -> None:
    provider.refuses = error
    single = sign_on(provider, out)
    departure = await single.begin("/")
    with pytest.raises(Forbidden) as caught:
        await single.finish(departure.pending, visit(departure))
    assert caught.value.message == (
        f"You were not signed in by the identity provider: {said}. Begin again, or ask there."
    )


async def test_answer_of_another_provider_is_not_taken(out: HttpClient) -> None:
    with oidc_server(BACK, says_iss=True) as provider:
        single = sign_on(provider, out)
        departure = await single.begin("/")
        state, code = (answer := visit(departure)).state, answer.code
        for iss in (None, "https://evil.example"):
            with pytest.raises(Unauthenticated, match="Another identity provider answered"):
                await single.finish(departure.pending, ProviderAnswer(state, code, None, iss))


@pytest.mark.parametrize(
    "path", ["", "https://evil.example", "//evil.example", "/\\evil.example", "x", "/a\nb"]
)
async def test_nobody_is_sent_to_another_site(
    provider: OidcServer, out: HttpClient, path: str
) -> None:
    with pytest.raises(InvalidRequest):
        await sign_on(provider, out).begin(path)


async def test_provider_that_is_gone_is_named_and_found_again(out: HttpClient) -> None:
    with oidc_server(BACK) as provider:
        single = sign_on(provider, out)
    with pytest.raises(SourceUnavailable, match="Cannot get an answer from"):
        await single.begin("/")


async def test_outage_after_the_first_sign_in_costs_the_next_one_no_look_up(
    out: HttpClient,
) -> None:
    watch = Watch()
    watch.now = utc_now()
    with oidc_server(BACK) as provider:
        single = sign_on(provider, out, clock=watch)
        await single.begin("/")
    watch.now += timedelta(hours=2)
    assert (await single.begin("/")).url.startswith(provider.issuer)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"token_status": 503}, "its token endpoint answered 503; check client_id"),
        ({"secret": "another"}, "its token endpoint answered 401; check client_id"),
    ],
)
async def test_what_an_administrator_must_mend_is_said(
    out: HttpClient, options: dict[str, Any], said: str
) -> None:
    with oidc_server(BACK, **options) as provider:
        single = sign_on(provider, out)
        departure = await single.begin("/")
        with pytest.raises(SourceUnavailable, match=said):
            await single.finish(departure.pending, visit(departure))


async def test_provider_that_signs_otherwise_is_of_no_use(out: HttpClient) -> None:
    with (
        oidc_server(BACK, algorithms=("HS256",)) as provider,
        pytest.raises(SourceUnavailable, match="neither RS256 nor ES256"),
    ):
        await sign_on(provider, out).begin("/")


async def test_issuer_must_be_named_exactly(provider: OidcServer, out: HttpClient) -> None:
    single = sign_on(provider, out, issuer=f"{provider.issuer}/")
    with pytest.raises(SourceUnavailable, match=r"set access\.oidc\.issuer to exactly that"):
        await single.begin("/")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("issuer", "id.example.org"), ("client_id", ""), ("public_url", ""),
        ("scopes", ["email"]), ("role_claim", ""), ("roles", {}),
    ],
)  # fmt: skip
async def test_settings_that_cannot_work_are_named(
    provider: OidcServer, out: HttpClient, key: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=rf"^access\.oidc\.{key}: "):
        sign_on(provider, out, **{key: value})
