"""Sign-in at the platform's identity provider: OpenID Connect Core 1.0, code flow, with PKCE.

The browser goes to the provider with `begin`'s address, and comes back to a page of ours, which
hands the provider's answer to `finish`. What must be remembered meanwhile is signed and kept by the
browser; nothing of a sign-in that nobody finishes stays here.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from quarterdeck import config
from quarterdeck.access.jwks import Fetch
from quarterdeck.access.model import Principal
from quarterdeck.access.oidc import Metadata, OidcProvider, PostForm
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import ConfigError, Forbidden, InvalidRequest, Unauthenticated

RETURN_PATH = "/console/signed-in"
"""The page that the provider sends the browser back to, below `public_url`."""

MAX_AWAY = timedelta(minutes=10)

_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")
_ERROR = re.compile(r"[a-z_]{1,50}")
_STALE = (
    "This sign-in was begun in another browser, over ten minutes ago, or is over already. "
    "Begin again."
)


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the browser, and what it must keep until it is back."""

    url: str
    pending: str


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What the provider added to the address of our page (RFC 6749, 4.1.2; `iss`: RFC 9207)."""

    state: str
    code: str | None = None
    error: str | None = None
    iss: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who signed in, and the page they came from."""

    principal: Principal
    return_to: str


class _Pending(msgspec.Struct, frozen=True):
    state: str
    nonce: str
    verifier: str
    return_to: str
    exp: int


class SingleSignOn:
    """Sign-ins at one identity provider."""

    def __init__(
        self,
        settings: config.Oidc,
        fetch: Fetch,
        post: PostForm,
        key: bytes,
        clock: Clock = utc_now,
    ) -> None:
        """Take `[access.oidc]`, the way out, and the key that what browsers keep is signed with.

        Raises:
            ConfigError: the message names the setting.
        """
        _check(settings)
        self._settings = settings
        self._provider = OidcProvider(settings, fetch, post, clock)
        # Derived, so that what is signed here never passes for anything else signed with the key.
        self._key = OctKey.import_key(hmac.digest(key, b"single-sign-on", "sha256"))
        self._clock = clock

    @property
    def name(self) -> str:
        """What people call the provider."""
        return self._settings.name

    async def begin(self, return_to: str) -> Departure:
        """Make the address of the provider's page for one sign-in.

        Raises:
            InvalidRequest: `return_to` is no path of this server.
            SourceUnavailable: the provider's addresses cannot be had.
        """
        if not _PATH.fullmatch(return_to):
            raise InvalidRequest.of("return_to", "expected a path of this server", "return_to")
        provider = await self._provider.known()
        pending = _Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            exp=int((self._clock() + MAX_AWAY).timestamp()),
        )
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": _challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        address = provider.metadata.authorization_endpoint
        joint = "&" if urlsplit(address).query else "?"
        sealed = jwt.encode({"alg": "HS256"}, msgspec.to_builtins(pending), self._key)
        return Departure(f"{address}{joint}{urlencode(query)}", sealed)

    async def finish(self, kept: str | None, answer: ProviderAnswer) -> Arrival:
        """Say who came back, from what the browser kept and what the provider said.

        Raises:
            Unauthenticated: another browser, too late, or the provider's word is not good.
            Forbidden: the provider refused, or gave nobody a role that means anything here.
            SourceUnavailable: the provider does not answer.
        """
        pending = self._opened(kept)
        if not hmac.compare_digest(answer.state.encode(), pending.state.encode()):
            raise Unauthenticated(_STALE)
        provider = await self._provider.known()
        _require_same_provider(provider.metadata, answer)
        if answer.error is not None or not answer.code:
            error = answer.error or ""
            told = error if _ERROR.fullmatch(error) else "no reason that could be read"
            raise Forbidden(
                f"You were not signed in by {self.name}: {told}. Begin again, or ask there."
            )
        id_token = await self._provider.exchange(
            provider.metadata, answer.code, pending.verifier, self._redirect_uri
        )
        if id_token is None:
            raise Unauthenticated(_STALE)
        claims = await provider.verifier.verify(id_token)
        self._require_ours(claims, pending.nonce)
        principal = provider.verifier.principal_of(claims)
        # The token tells that somebody signed in just now; how long that counts is our affair.
        return Arrival(replace(principal, valid_until=None), pending.return_to)

    @property
    def _redirect_uri(self) -> str:
        return self._settings.public_url.rstrip("/") + RETURN_PATH

    def _opened(self, kept: str | None) -> _Pending:
        try:
            claims = jwt.decode(kept or "", self._key, algorithms=["HS256"]).claims
            pending = msgspec.convert(claims, _Pending)
        except (JoseError, ValueError):  # msgspec's errors are ValueErrors
            raise Unauthenticated(_STALE) from None
        if self._clock().timestamp() >= pending.exp:
            raise Unauthenticated(_STALE)
        return pending

    def _require_ours(self, claims: Mapping[str, Any], nonce: str) -> None:
        """OpenID Connect Core 1.0, 3.1.3.7: for this sign-in, and for this client."""
        party = claims.get("azp", self._settings.client_id)
        if claims.get("nonce") != nonce or party != self._settings.client_id:
            raise Unauthenticated("The provider's answer is not for this sign-in. Begin again.")


def _challenge(verifier: str) -> str:
    """RFC 7636, 4.2: S256."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _require_same_provider(metadata: Metadata, answer: ProviderAnswer) -> None:
    """RFC 9207: an answer that another provider gave is not taken for this one's."""
    is_due = metadata.authorization_response_iss_parameter_supported
    if answer.iss != metadata.issuer and (is_due or answer.iss is not None):
        raise Unauthenticated("Another identity provider answered. Begin again.")


def _check(settings: config.Oidc) -> None:
    rules = (
        ("issuer", settings.issuer.startswith(("https://", "http://")), "expected its http(s) URL"),
        ("client_id", bool(settings.client_id), "expected the name that the provider knows us by"),
        (
            "public_url",
            settings.public_url.startswith(("https://", "http://")),
            "expected the address at which browsers find this server",
        ),
        ("scopes", "openid" in settings.scopes, "expected at least 'openid'"),
        ("role_claim", bool(settings.role_claim), "expected the claim that holds the role"),
        ("roles", bool(settings.roles), "expected at least one of the provider's roles"),
    )
    for key, holds, expected in rules:
        if not holds:
            raise ConfigError(f"access.oidc.{key}: {expected}.")
