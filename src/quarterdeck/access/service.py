"""The one question of every request: who asks?"""

import base64

from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.access.model import Principal
from quarterdeck.access.tokens import PREFIX, TokenStore
from quarterdeck.core.errors import Unauthenticated


def _token_in(scheme: str, credentials: str) -> str:
    """The token of a header value; empty: there is none that we could find.

    Log shippers know other schemes only: Basic (RFC 7617) with the token as the password, and
    Elasticsearch's `ApiKey base64(id:key)` with the token as the key, or bare.
    """
    if scheme == "bearer":
        return credentials
    if scheme == "apikey" and credentials.startswith(PREFIX):
        return credentials
    if scheme not in {"basic", "apikey"}:
        return ""
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except ValueError:
        return ""
    token = pair.partition(":")[2]
    return token if token.startswith(PREFIX) else ""


class Authenticator:
    """Reads the Authorization header. `jwt` is None when no identity provider is configured."""

    def __init__(self, tokens: TokenStore, jwt: JwtVerifier | None) -> None:
        self._tokens = tokens
        self._jwt = jwt

    async def authenticate(self, authorization: str | None) -> Principal:
        """Say who sent this header value (RFC 6750: `Bearer <token>`, the scheme in any case).

        Raises:
            Unauthenticated: there is none, or its token is not good.
            Forbidden: a good JWT of somebody without a role here.
            SourceUnavailable: the database or the identity provider cannot be had.
        """
        if authorization is None or not authorization.strip():
            raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
        scheme, _, presented = authorization.strip().partition(" ")
        presented = _token_in(scheme.lower(), presented.strip())
        if not presented:
            raise Unauthenticated(
                "The Authorization header is not understood. Send: Authorization: Bearer <token>."
            )
        if presented.startswith(PREFIX) or presented.count(".") != 2:
            return await self._tokens.authenticate(presented)
        if self._jwt is None:
            raise Unauthenticated(
                "JSON Web Tokens are not accepted here: no identity provider is configured. "
                "Send a token that starts with 'qd_'."
            )
        return await self._jwt.authenticate(presented)
