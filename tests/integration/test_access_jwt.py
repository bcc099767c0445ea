"""JWT against a real identity provider on loopback: who is believed, who is not, and outages."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey

from access_world import (
    AUDIENCE,
    ISSUER,
    NOON,
    SECRET,
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
from quarterdeck.access.model import Principal, Role
from quarterdeck.access.service import Authenticator
from quarterdeck.access.tokens import TokenStore
from quarterdeck.config import Jwt
from quarterdeck.core.errors import Forbidden, Unauthenticated
from quarterdeck.net.http import HttpClient
from quarterdeck.state import Database

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


def by_secret(watch: Watch, **changes: Any) -> JwtVerifier:
    """Believes HS256; fetches nothing."""

    async def never(url: str) -> bytes:
        raise AssertionError(url)

    settings = {
        "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "secret": SECRET,
    }  # fmt: skip
    return JwtVerifier(Jwt(**(settings | changes)), never, watch)


def hs(**changes: Any) -> str:
    return forged({"alg": "HS256"}, SECRET.encode(), **changes)


async def refusal(verifier: JwtVerifier, presented: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await verifier.authenticate(presented)
    return refused.value.message


async def test_rs256_and_es256_are_believed(verifier: JwtVerifier) -> None:
    by_rsa = await verifier.authenticate(signed(rsa_key("r1"), name="Olga Ops"))
    assert by_rsa == Principal("jwt:u-1", "Olga Ops", Role.OPS, "jwt")
    by_curve = await verifier.authenticate(signed(ec_key("e1"), "ES256"))
    assert by_curve == Principal("jwt:u-1", "u-1", Role.OPS, "jwt")


async def test_hs256_is_believed_by_the_configured_secret(watch: Watch) -> None:
    assert (await by_secret(watch).authenticate(hs())).id == "jwt:u-1"
    other = forged({"alg": "HS256"}, b"another secret of thirty-two bytes!")
    assert "signature" in await refusal(by_secret(watch), other)


async def test_public_key_as_hmac_secret_is_refused(verifier: JwtVerifier) -> None:
    public = rsa_key("r1")
    for secret in (public.as_pem(private=False), public.as_der(private=False)):
        for kid in ("r1", "e1", None):
            confused = forged({"alg": "HS256", "kid": kid} if kid else {"alg": "HS256"}, secret)
            assert "signature" in await refusal(verifier, confused)


async def test_header_that_lies_about_the_algorithm_is_refused(verifier: JwtVerifier) -> None:
    for algorithm in ("none", "None", "NONE", "", "RS512", "PS256", "HS512", "EdDSA", "dir"):
        unsigned = forged({"alg": algorithm, "kid": "r1"}, None)
        assert "signature" in await refusal(verifier, unsigned)
    # Each algorithm with the other's key, by its true id.
    _, body, signature = signed(rsa_key("r1")).split(".")
    for header in ({"alg": "ES256", "kid": "r1"}, {"alg": "RS256", "kid": "e1"}):
        head = forged(header, None).split(".")[0]
        assert "signature" in await refusal(verifier, f"{head}.{body}.{signature}")


async def test_hs256_verifier_refuses_other_algorithms(watch: Watch) -> None:
    verifier = by_secret(watch)
    for presented in (signed(rsa_key("r1")), forged({"alg": "none"}, None)):
        assert "signature" in await refusal(verifier, presented)


async def test_key_in_the_token_itself_is_not_believed(verifier: JwtVerifier) -> None:
    own = RSAKey.generate_key(2048, {"kid": "r1"})
    header = {"alg": "RS256", "kid": "r1", "jwk": dict(own.as_dict(private=False))}
    presented = jwt.encode(header, claims(), own, ["RS256"])
    assert "signature" in await refusal(verifier, presented)


async def test_critical_extension_is_refused_and_other_headers_ignored(watch: Watch) -> None:
    verifier = by_secret(watch)
    secret = SECRET.encode()
    critical: list[dict[str, Any]] = [
        {"crit": ["b64"], "b64": True},
        {"crit": ["x"], "x": 1},
        {"crit": []},
    ]
    for extension in critical:
        assert "signature" in await refusal(verifier, forged({"alg": "HS256"} | extension, secret))
    tolerated = forged({"alg": "HS256", "nonce": "n", "cat": "c", "typ": "at+jwt"}, secret)
    assert (await verifier.authenticate(tolerated)).id == "jwt:u-1"


async def test_any_changed_part_is_refused(verifier: JwtVerifier) -> None:
    good = signed(rsa_key("r1"))
    head, body, signature = good.split(".")
    other_body = signed(rsa_key("r1"), role="super_admin").split(".")[1]
    for presented in (
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.{signature[:-8]}",
        f"{head}.{body}.{'A' * len(signature)}",
        f"{head}.{body}.",
        f"{head}..{signature}",
        f"{head}.{body}.{signature}==",
    ):
        assert "signature" in await refusal(verifier, presented)


@pytest.mark.parametrize(
    "presented",
    [
        "..", "a.b.c", ".b.c", "eyJ9.e30.x", "W10.e30.x", "bnVsbA.e30.x", "InMi.e30.x",
        "eyJhbGciOjd9.e30.x", "eyJhbGciOiJSUzI1NiIsImtpZCI6MX0.e30.x", "é.é.é", "\ud800.b.c",
        "e30.e30.e30", "A" * 20_000 + ".b.c", "W1tb" * 1000 + ".b.c", "\x00.\x00.\x00",
    ],
)  # fmt: skip
async def test_garbage_is_malformed_and_fetches_nothing(
    verifier: JwtVerifier, provider: IdentityProvider, presented: str
) -> None:
    assert "malformed" in await refusal(verifier, presented)
    assert provider.requests == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": AT - 31}, "has expired"),
        ({"exp": AT - 30}, "has expired"),
        ({"exp": None}, "'exp'"),
        ({"exp": "tomorrow"}, "'exp'"),
        ({"exp": float("nan")}, "'exp'"),
        ({"nbf": AT + 31}, "'nbf'"),
        ({"nbf": "soon"}, "'nbf'"),
        ({"iat": AT + 31}, "'iat'"),
        ({"iss": "https://evil.example.org"}, "'iss'"),
        ({"iss": ISSUER + "/"}, "'iss'"),
        ({"iss": None}, "'iss'"),
        ({"aud": "someone-else"}, "'aud'"),
        ({"aud": ["someone", "else"]}, "'aud'"),
        ({"aud": []}, "'aud'"),
        ({"aud": {AUDIENCE: True}}, "'aud'"),
        ({"aud": None}, "'aud'"),
        ({"sub": None}, "'sub'"),
        ({"sub": ""}, "'sub'"),
        ({"sub": "   "}, "'sub'"),
        ({"sub": 7}, "'sub'"),
        ({"sub": "a\x00b"}, "'sub'"),
        ({"sub": "\ud800"}, "'sub'"),
        ({"sub": "x" * 256}, "'sub'"),
    ],
)
async def test_wrong_claim_is_refused_and_named(
    watch: Watch, changes: dict[str, Any], told: str
) -> None:
    assert told in await refusal(by_secret(watch), hs(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": AT - 29}, {"exp": AT + 0.5}, {"nbf": AT + 30}, {"iat": AT + 30}, {"iat": None},
        {"aud": [AUDIENCE, "another"]}, {"sub": "x" * 255}, {"sub": "öä|1"}, {"name": "a\x00b"},
        {"name": {"first": "O"}},
    ],
)  # fmt: skip
async def test_claims_within_leeway_and_form_are_believed(
    watch: Watch, changes: dict[str, Any]
) -> None:
    principal = await by_secret(watch).authenticate(hs(**changes))
    assert principal.id == f"jwt:{changes.get('sub', 'u-1')}"
    assert principal.name == changes.get("sub", "u-1")[:100]


async def test_payload_that_is_no_object_is_refused(watch: Watch) -> None:
    key = OctKey.import_key(SECRET)
    for payload in (b"[]", b"7", b"\xff", b"", b"[" * 5000):
        presented = jws.serialize_compact({"alg": "HS256"}, payload, key, ["HS256"])
        assert "signature" in await refusal(by_secret(watch), presented)


@pytest.mark.parametrize(
    ("path", "held", "role"),
    [
        ("role", "ops", Role.OPS),
        ("role", "super_admin", Role.ADMIN),
        ("role", ["support", "ops"], Role.OPS),
        ("role", ["support", "nobody", 7, None, {"a": 1}, "super_admin", "ops"], Role.ADMIN),
        ("realm_access.roles", {"roles": ["support"]}, Role.VIEWER),
        ("https://example.org/roles", ["ops"], Role.OPS),
        ("https://example.org/app.staff.role", {"role": "ops"}, Role.OPS),
    ],
)
async def test_role_is_found_by_path_and_the_highest_counts(
    watch: Watch, path: str, held: Any, role: Role
) -> None:
    claim = path.removesuffix(".role").removesuffix(".roles") if isinstance(held, dict) else path
    verifier = by_secret(watch, role_claim=path)
    presented = hs(**{"role": None, claim: held})
    assert (await verifier.authenticate(presented)).role is role


@pytest.mark.parametrize("held", [None, "", "nobody", [], ["nobody"], {"ops": True}, 7, True])
async def test_no_known_role_is_forbidden(watch: Watch, held: Any) -> None:
    with pytest.raises(Forbidden, match="'role'"):
        await by_secret(watch).authenticate(hs(role=held))


async def test_authenticator_sends_jwt_to_the_verifier(
    sqlite_database: Database, watch: Watch
) -> None:
    both = Authenticator(TokenStore(sqlite_database, b"k" * 32), by_secret(watch))
    assert (await both.authenticate(f"Bearer {hs()}")).kind == "jwt"


async def test_tokens_and_secrets_never_reach_the_logs(
    verifier: JwtVerifier,
    provider: IdentityProvider,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    presented = signed(rsa_key("r1"))
    principal = await verifier.authenticate(presented)
    message = await refusal(verifier, presented[:-4])
    provider.body = b"nonsense"
    watch.forward(minutes=20)
    message += await refusal(verifier, presented)
    seen = caplog.text + message + repr(principal) + repr(verifier) + repr(by_secret(watch))
    for part in presented.split("."):
        assert part not in seen
    assert SECRET not in seen
