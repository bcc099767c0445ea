"""The provider's keys: fetched when needed, shared, rotated; and what holds while it is down."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from joserfc import jwt

from access_world import (
    NOON,
    IdentityProvider,
    Watch,
    claims,
    ec_key,
    forged,
    identity_provider,
    rsa_key,
    signed,
)
from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.core.errors import SourceUnavailable, Unauthenticated
from quarterdeck.net.http import HttpClient

AT = int(NOON.timestamp())


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    """A running provider."""
    async with identity_provider() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """The real client."""
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
def watch() -> Watch:
    """Noon."""
    return Watch()


@pytest.fixture
def verifier(provider: IdentityProvider, http: HttpClient, watch: Watch) -> JwtVerifier:
    """Believes the provider."""
    return JwtVerifier(provider.settings(), http.get_bytes, watch)


async def refusal(verifier: JwtVerifier, presented: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await verifier.authenticate(presented)
    return refused.value.message


async def test_keys_are_fetched_once_and_kept(
    verifier: JwtVerifier, provider: IdentityProvider, watch: Watch
) -> None:
    long_lived = signed(rsa_key("r1"), exp=AT + 86_400)
    for _ in range(3):
        await verifier.authenticate(long_lived)
    watch.forward(seconds=299)
    await verifier.authenticate(long_lived)
    assert provider.requests == 1
    watch.forward(seconds=1)
    await verifier.authenticate(long_lived)
    assert provider.requests == 2


async def test_rotated_key_is_learned_at_once(
    verifier: JwtVerifier, provider: IdentityProvider
) -> None:
    await verifier.authenticate(signed(rsa_key("r1")))
    provider.publish(rsa_key("r2"))
    assert (await verifier.authenticate(signed(rsa_key("r2")))).id == "jwt:u-1"
    assert provider.requests == 2
    assert "signature" in await refusal(verifier, signed(rsa_key("r1")))


async def test_flood_of_unknown_keys_asks_the_provider_once_in_ten_seconds(
    verifier: JwtVerifier, provider: IdentityProvider, watch: Watch
) -> None:
    await verifier.authenticate(signed(rsa_key("r1")))
    flood = [forged({"alg": "RS256", "kid": f"k{i}"}, b"x") for i in range(50)]
    for round_ in range(3):
        await asyncio.gather(*(refusal(verifier, presented) for presented in flood))
        for presented in flood:
            await refusal(verifier, presented)
        assert provider.requests == 2 + round_
        watch.forward(seconds=10)


async def test_first_requests_at_once_share_one_fetch(
    verifier: JwtVerifier, provider: IdentityProvider
) -> None:
    provider.gate.clear()
    waiting = [asyncio.create_task(verifier.authenticate(signed(rsa_key("r1")))) for _ in range(20)]
    async with asyncio.timeout(10):
        while provider.requests == 0:
            await asyncio.sleep(0)
    provider.gate.set()
    assert {principal.id for principal in await asyncio.gather(*waiting)} == {"jwt:u-1"}
    assert provider.requests == 1


async def test_caller_who_hangs_up_does_not_undo_the_fetch_of_others(
    verifier: JwtVerifier, provider: IdentityProvider
) -> None:
    provider.gate.clear()
    first = asyncio.create_task(verifier.authenticate(signed(rsa_key("r1"))))
    async with asyncio.timeout(10):
        while provider.requests == 0:
            await asyncio.sleep(0)
    second = asyncio.create_task(verifier.authenticate(signed(rsa_key("r1"))))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    provider.gate.set()
    assert (await second).id == "jwt:u-1"
    assert provider.requests == 1


async def test_outage_spares_whose_key_is_known(
    verifier: JwtVerifier, provider: IdentityProvider, watch: Watch
) -> None:
    day = AT + 86_400
    known, rotated = signed(rsa_key("r1"), exp=day), signed(rsa_key("r2"), exp=day)
    await verifier.authenticate(known)
    await provider.stop()
    watch.forward(hours=1)
    for _ in range(3):
        assert (await verifier.authenticate(known)).id == "jwt:u-1"
        with pytest.raises(SourceUnavailable) as error:
            await verifier.authenticate(rotated)
        assert error.value.source == "identity provider"
        watch.forward(seconds=11)
    provider.publish(rsa_key("r2"))
    await provider.start()
    assert (await verifier.authenticate(rotated)).id == "jwt:u-1"


async def test_hanging_provider_keeps_nobody_waiting_whose_key_is_known(
    provider: IdentityProvider, http: HttpClient, watch: Watch
) -> None:
    verifier = JwtVerifier(provider.settings(), partial(http.get_bytes, timeout_s=600), watch)
    known = signed(rsa_key("r1"), exp=AT + 86_400)
    await verifier.authenticate(known)
    await provider.stop()
    watch.forward(hours=1)
    await verifier.authenticate(known)
    await provider.start()
    provider.gate.clear()
    watch.forward(seconds=11)
    async with asyncio.timeout(30):
        assert (await verifier.authenticate(known)).id == "jwt:u-1"
        while provider.requests == 1:
            await asyncio.sleep(0)
        assert (await verifier.authenticate(known)).id == "jwt:u-1"


async def test_provider_that_was_never_reached_is_unavailable_then_recovers(
    verifier: JwtVerifier, provider: IdentityProvider, watch: Watch
) -> None:
    await provider.stop()
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="connection refused") as error:
            await verifier.authenticate(signed(rsa_key("r1")))
        assert error.value.source == "identity provider"
    await provider.start()
    with pytest.raises(SourceUnavailable):
        await verifier.authenticate(signed(rsa_key("r1")))
    watch.forward(seconds=10)
    assert (await verifier.authenticate(signed(rsa_key("r1")))).id == "jwt:u-1"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys": 7}', b'{"keys": [7]}'])
async def test_provider_that_answers_nonsense_is_unavailable(
    verifier: JwtVerifier, provider: IdentityProvider, body: bytes
) -> None:
    provider.body = body
    with pytest.raises(SourceUnavailable, match="no JSON Web Key Set"):
        await verifier.authenticate(signed(rsa_key("r1")))


async def test_emptied_key_set_revokes_all(
    verifier: JwtVerifier, provider: IdentityProvider, watch: Watch
) -> None:
    long_lived = signed(rsa_key("r1"), exp=AT + 86_400)
    await verifier.authenticate(long_lived)
    provider.publish()
    watch.forward(seconds=300)
    assert "signature" in await refusal(verifier, long_lived)


async def test_token_without_key_id_takes_the_only_key(
    verifier: JwtVerifier, provider: IdentityProvider
) -> None:
    provider.publish(rsa_key("r1"), rsa_key("r2"), ec_key("e1"))
    presented = jwt.encode({"alg": "ES256"}, claims(), ec_key("e1"), ["ES256"])
    assert (await verifier.authenticate(presented)).id == "jwt:u-1"
    ambiguous = jwt.encode({"alg": "RS256"}, claims(), rsa_key("r1"), ["RS256"])
    assert "signature" in await refusal(verifier, ambiguous)
