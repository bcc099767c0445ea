"""An OpenID Connect provider: its addresses, its keys, and its token endpoint."""

from base64 import b64encode
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote_plus, urlsplit

import msgspec

from quarterdeck import config
from quarterdeck.access.jwks import SOURCE, Fetch
from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import SourceUnavailable

METADATA_AGE = timedelta(hours=1)
SIGNATURES: tuple[config.Algorithm, ...] = ("RS256", "ES256")


class PostForm(Protocol):
    """POST of form fields; gives the status and the body, or raises `SourceUnavailable`."""

    def __call__(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> Awaitable[tuple[int, bytes]]:
        """See the class."""
        ...


class Metadata(msgspec.Struct, frozen=True):
    """What we use of OpenID Connect Discovery 1.0, section 3, with its defaults."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[str] = msgspec.field(
        default_factory=lambda: ["RS256"]
    )
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(
        default_factory=lambda: ["client_secret_basic"]
    )
    authorization_response_iss_parameter_supported: bool = False


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """What was read of a provider, and who believes its ID tokens."""

    metadata: Metadata
    verifier: JwtVerifier
    read_at: datetime


class OidcProvider:
    """One provider. Looked up when somebody signs in, not before, and then once an hour."""

    def __init__(self, settings: config.Oidc, fetch: Fetch, post: PostForm, clock: Clock) -> None:
        self._settings = settings
        self._fetch = fetch
        self._post = post
        self._clock = clock
        self._known: KnownProvider | None = None

    async def known(self) -> KnownProvider:
        """The provider as it was last read. In its outage the old reading serves on.

        Raises:
            SourceUnavailable: it was never read, and cannot be now, or is of no use.
        """
        now, known = self._clock(), self._known
        if known is not None and timedelta(0) <= now - known.read_at < METADATA_AGE:
            return known
        try:
            metadata = await self._read_metadata()
        except SourceUnavailable:
            if known is None:
                raise
            return known
        if known is not None and known.metadata == metadata:
            self._known = replace(known, read_at=now)
        else:
            self._known = KnownProvider(metadata, self._verifier_for(metadata), now)
        return self._known

    async def exchange(
        self, metadata: Metadata, code: str, code_verifier: str, redirect_uri: str
    ) -> str | None:
        """The ID token for a code; None: the code is not good, mostly used or expired.

        Raises:
            SourceUnavailable: the provider does not answer, or does not know us.
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        proof, headers = _client_proof(self._settings, metadata)
        status, body = await self._post(metadata.token_endpoint, {**fields, **proof}, headers)
        if status == 400:  # RFC 6749, 5.2
            return None
        if status != 200:
            raise self._useless(
                f"its token endpoint answered {status}; check client_id and client_secret"
            )
        try:
            return msgspec.json.decode(body, type=_TokenAnswer).id_token
        except (msgspec.DecodeError, RecursionError):
            raise self._useless("its token endpoint sent no ID token") from None

    async def _read_metadata(self) -> Metadata:
        issuer = self._settings.issuer
        body = await self._fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            metadata = msgspec.json.decode(body, type=Metadata)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._useless(f"its discovery document is not understood: {error}") from None
        if metadata.issuer != issuer:
            # Section 4.3: a document of another issuer must not be used.
            raise self._useless(
                f"it calls itself '{metadata.issuer[:200]}'; set access.oidc.issuer to exactly that"
            )
        return metadata

    def _verifier_for(self, metadata: Metadata) -> JwtVerifier:
        offered = metadata.id_token_signing_alg_values_supported
        usable = [each for each in SIGNATURES if each in offered]
        if not usable:
            raise self._useless("it signs with neither RS256 nor ES256")
        settings = config.Jwt(
            issuer=metadata.issuer,
            audience=self._settings.client_id,
            algorithms=usable,
            jwks_url=metadata.jwks_uri,
            role_claim=self._settings.role_claim,
            roles=self._settings.roles,
        )
        return JwtVerifier(settings, self._fetch, self._clock, "access.oidc")

    def _useless(self, reason: str) -> SourceUnavailable:
        host = urlsplit(self._settings.issuer).hostname
        return SourceUnavailable(SOURCE, f"The identity provider {host} is of no use: {reason}.")


def _client_proof(
    settings: config.Oidc, metadata: Metadata
) -> tuple[dict[str, str], dict[str, str]]:
    """Fields and headers that say which client asks (RFC 6749, 2.3.1)."""
    if not settings.client_secret:
        return {"client_id": settings.client_id}, {}
    if "client_secret_basic" not in metadata.token_endpoint_auth_methods_supported:
        return {"client_id": settings.client_id, "client_secret": settings.client_secret}, {}
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
    return {}, {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
