"""`[access.jwt]` that contradicts itself stops the start; foreign key sets are read with care."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey

from access_world import AUDIENCE, ISSUER, SECRET, ec_key, rsa_key
from quarterdeck.access.jwks import choose, parse_keys
from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.config import Jwt
from quarterdeck.core.errors import ConfigError

URL = "https://id.example.org/jwks.json"
BY_JWKS = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": URL}
BY_SECRET = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "secret": SECRET}


async def never(url: str) -> bytes:
    raise AssertionError(f"{url} is fetched while the settings are read")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (BY_JWKS | {"issuer": ""}, "issuer"),
        (BY_JWKS | {"audience": ""}, "audience"),
        (BY_JWKS | {"jwks_url": ""}, "jwks_url"),
        (BY_JWKS | {"jwks_url": "file:///etc/keys.json"}, "jwks_url"),
        (BY_JWKS | {"algorithms": []}, "algorithms"),
        (BY_JWKS | {"algorithms": ["RS256", "HS256"], "secret": SECRET}, "algorithms"),
        (BY_JWKS | {"secret": SECRET}, "secret"),
        (BY_JWKS | {"role_claim": ""}, "role_claim"),
        (BY_JWKS | {"roles": {}}, "roles"),
        (BY_SECRET | {"secret": ""}, "secret"),
        (BY_SECRET | {"secret": "x" * 31}, "secret"),
        (BY_SECRET | {"jwks_url": URL}, "jwks_url"),
        (BY_SECRET | {"secret": rsa_key("r1").as_pem(private=False).decode()}, "secret"),
    ],
)
def test_contradiction_stops_the_start_and_names_the_key(
    settings: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^access\.jwt\.{key}: ") as error:
        JwtVerifier(Jwt(**settings), never)
    assert SECRET not in error.value.message


@pytest.mark.parametrize("settings", [BY_JWKS, BY_SECRET])
def test_consistent_settings_fetch_nothing(settings: dict[str, Any]) -> None:
    JwtVerifier(Jwt(**settings), never)


def test_only_strong_public_signing_keys_are_taken() -> None:
    good = dict(rsa_key("r1").as_dict(private=False))
    foreign: list[dict[str, Any]] = [
        good | {"kid": "encrypts", "use": "enc"},
        good | {"kid": "other-algorithm", "alg": "RS512"},
        good | {"kid": "signs-only", "key_ops": ["sign"]},
        good | {"kid": 7},
        good | {"kid": "weak", "n": "AQAB" * 20},
        good | {"kid": "no-number", "n": 17},
        good | {"kid": "garbage", "n": "%%%" * 120},
        {"kty": "RSA", "kid": "empty"},
        {"kid": "no-type"},
        {"kty": "AKP", "kid": "post-quantum", "pub": "AAAA"},
        dict(OctKey.import_key(SECRET, {"kid": "symmetric"}).as_dict()),
        dict(ECKey.generate_key("P-384", {"kid": "other-curve"}).as_dict(private=False)),
        {"kty": "EC", "crv": "P-256", "kid": "off-curve", "x": "AAAA", "y": "AAAA"},
    ]
    keys = parse_keys(json.dumps({"keys": [*foreign, good]}).encode())
    assert [key.kid for key in keys] == ["r1"]


@given(st.one_of(st.binary(), st.text().map(str.encode), st.just(b"[" * 100_000)))
def test_what_is_no_key_set_is_refused_and_nothing_crashes(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_keys(body)


def test_key_without_an_id_is_chosen_only_when_there_is_no_doubt() -> None:
    one, two, curve = rsa_key("r1"), rsa_key("r2"), ec_key("e1")
    assert choose([one, two, curve], "RS256", "r2") is two
    assert choose([one, two, curve], "RS256", None) is None
    assert choose([one, two, curve], "ES256", None) is curve
    assert choose([one, two, curve], "ES256", "r1") is None
    anonymous = parse_keys(
        json.dumps({"keys": [{k: v for k, v in one.as_dict().items() if k != "kid"}]}).encode()
    )
    assert choose(anonymous, "RS256", "any") is anonymous[0]
