"""JSON Web Tokens of the platform's own identity provider (RFC 7519, RFC 8725)."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry

from quarterdeck import config
from quarterdeck.access.jwks import Fetch, KeyDirectory
from quarterdeck.access.model import BY_REACH, Principal, Role
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import ConfigError, Forbidden, Unauthenticated

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key at least as long as the hash."""

MAX_TOKEN = 16_384
MAX_HEADER = 4096
MAX_SUBJECT = 255
MAX_NAME = 100
_LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, the end of what a datetime can hold."""


class _Header(msgspec.Struct):
    """What we need of a JOSE header; what we do not understand is ignored, unless critical."""

    alg: str
    kid: str | None = None
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class JwtVerifier:
    """Believes the tokens of one issuer for one audience, signed by a fixed list of algorithms."""

    def __init__(
        self,
        settings: config.Jwt,
        fetch: Fetch,
        clock: Clock = utc_now,
        section: str = "access.jwt",
    ) -> None:
        """Take settings, what fetches the provider's keys, and the settings' name for messages.

        Raises:
            ConfigError: the settings contradict each other; the message names the key.
        """
        _check(settings, section)
        self._settings = settings
        self._section = section
        self._secret = _secret_key(settings)
        self._directory = KeyDirectory(settings.jwks_url, fetch, settings.jwks_max_age_s, clock)
        self._registry = JWSRegistry(algorithms=settings.algorithms, strict_check_header=False)
        self._registry.max_header_length = MAX_HEADER
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=settings.leeway_s,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def authenticate(self, presented: str) -> Principal:
        """Say whose token this is. What is wrong with its claims, only a signed token learns.

        Raises:
            Unauthenticated: malformed, not signed by the provider, expired, or for others.
            Forbidden: the token is good, but none of its roles means anything here.
            SourceUnavailable: the provider's keys were never had and cannot be had now.
        """
        return self.principal_of(await self.verify(presented))

    async def verify(self, presented: str) -> dict[str, Any]:
        """The claims of a good token, whoever it is for.

        Raises:
            Unauthenticated, SourceUnavailable: as above.
        """
        header = _header(presented)
        if header.alg not in self._settings.algorithms or header.crit is not msgspec.UNSET:
            raise _unverified()
        return self._verified(presented, await self._key(header))

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """Who is meant by verified claims.

        Raises:
            Unauthenticated: nobody who could be named.
            Forbidden: none of the roles means anything here.
        """
        subject: str = claims["sub"]
        if not subject.strip() or len(subject) > MAX_SUBJECT or not subject.isprintable():
            raise Unauthenticated(
                f"The token's claim 'sub' must be 1 to {MAX_SUBJECT} printable characters."
            )
        role = self._role(claims)
        if role is None:
            raise Forbidden(
                f"No role in the token's claim '{self._settings.role_claim}' is known here. "
                f"Ask an administrator to map it in [{self._section}.roles]."
            )
        # Beyond the calendar it is as good as endless; a session ends sooner anyhow.
        valid_until = datetime.fromtimestamp(min(claims["exp"], _LAST_SECOND), UTC)
        return Principal(f"jwt:{subject}", _display_name(claims), role, "jwt", valid_until)

    async def _key(self, header: _Header) -> Key:
        if self._secret is not None:
            return self._secret
        key = await self._directory.find_key(header.alg, header.kid)
        if key is None:
            raise _unverified()
        return key

    def _verified(self, presented: str, key: Key) -> dict[str, Any]:
        try:
            claims = jwt.decode(presented, key, registry=self._registry).claims
        except (JoseError, ValueError, RecursionError):
            raise _unverified() from None
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise Unauthenticated(
                "The token has expired. Get a new one from your identity provider."
            ) from None
        except ClaimError as error:
            raise Unauthenticated(
                f"The token's claim '{error.claim}' is missing or not meant for this server. "
                "Get a token that your identity provider made for it."
            ) from None
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        held = _find(claims, self._settings.role_claim)
        names = held if isinstance(held, list) else [held]
        known = self._settings.roles
        roles = {known[name] for name in names if isinstance(name, str) and name in known}
        return next((role for role in BY_REACH if role in roles), None)


def _header(presented: str) -> _Header:
    segment = presented.partition(".")[0]
    if presented.isascii() and len(presented) <= MAX_TOKEN and len(segment) <= MAX_HEADER:
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(segment + "=="), type=_Header)
        except (ValueError, RecursionError):  # msgspec's and base64's errors are ValueErrors
            pass
    raise Unauthenticated(
        "The token is malformed. Copy it whole: three parts with dots between them."
    )


def _unverified() -> Unauthenticated:
    return Unauthenticated(
        "The token's signature cannot be verified. Get a new one from your identity provider."
    )


def _find(claims: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; names may hold dots themselves (`https://example.org/roles`)."""
    if path in claims:
        return claims[path]
    parts = path.split(".")
    for cut in range(1, len(parts)):
        inner = claims.get(".".join(parts[:cut]))
        if isinstance(inner, dict):
            found = _find(inner, ".".join(parts[cut:]))
            if found is not None:
                return found
    return None


def _display_name(claims: Mapping[str, Any]) -> str:
    for claim in ("name", "preferred_username", "email", "sub"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:MAX_NAME]
    raise AssertionError("unreachable: the subject is printable and not empty")


def _check(settings: config.Jwt, section: str) -> None:
    symmetric = "HS256" in settings.algorithms
    rules = (
        ("issuer", bool(settings.issuer), "expected the 'iss' of the provider's tokens"),
        ("audience", bool(settings.audience), "expected the 'aud' that means this server"),
        ("algorithms", bool(settings.algorithms), "expected at least one algorithm"),
        (
            "algorithms",
            not symmetric or set(settings.algorithms) == {"HS256"},
            "HS256 cannot be mixed with RS256 or ES256; a public key could pass for its secret",
        ),
        ("secret", symmetric or not settings.secret, "is for HS256 only; leave it out"),
        (
            "secret",
            not symmetric or len(settings.secret.encode()) >= MIN_SECRET_BYTES,
            f"HS256 needs a secret of at least {MIN_SECRET_BYTES} bytes",
        ),
        ("jwks_url", not (symmetric and settings.jwks_url), "has no use with HS256; leave it out"),
        (
            "jwks_url",
            symmetric or settings.jwks_url.startswith(("https://", "http://")),
            "RS256 and ES256 need the http(s) address of the provider's key set",
        ),
        ("role_claim", bool(settings.role_claim), "expected the claim that holds the role"),
        ("roles", bool(settings.roles), "expected at least one of the provider's roles"),
    )
    for key, holds, expected in rules:
        if not holds:
            raise ConfigError(f"{section}.{key}: {expected}.")


def _secret_key(settings: config.Jwt) -> OctKey | None:
    if not settings.secret:
        return None
    try:
        return OctKey.import_key(settings.secret)
    except ValueError:
        # A public key as the secret would let everybody sign.
        raise ConfigError(
            "access.jwt.secret: this is a public key; expected a random secret."
        ) from None
