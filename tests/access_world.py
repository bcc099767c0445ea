"""What the access tests stand on: a clock that is set by hand, and a real identity provider."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from quarterdeck.config import Jwt

ISSUER = "https://id.example.org"
AUDIENCE = "quarterdeck"
SECRET = "a shared secret of well over thirty-two bytes"
NOON = datetime(2025, 12, 4, 12, 0, 0, tzinfo=UTC)


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        """Move it; takes what `timedelta` takes."""
        self.now += timedelta(**span)


@cache
def rsa_key(kid: str) -> RSAKey:
    """A key pair; one for each id and test process, for they are dear."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@cache
def ec_key(kid: str) -> ECKey:
    """A P-256 key pair."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token at noon; a change to None leaves that claim out."""
    at = int(NOON.timestamp())
    good = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "role": "ops", "iat": at, "exp": at + 600,
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: Key, algorithm: str = "RS256", **changes: Any) -> str:
    """A token signed with `key`, which is named in its header."""
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims(**changes), key, [algorithm])


def forged(header: dict[str, Any], secret: bytes | None, **changes: Any) -> str:
    """A token with any header, signed by HMAC-SHA256, or not at all."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims(**changes))
    )
    message = head + b"." + body
    mac = hmac.digest(secret, message, hashlib.sha256) if secret is not None else b""
    return (message + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


class IdentityProvider:
    """A JWKS endpoint on loopback. `keys` may change, `gate` holds answers back when cleared."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.body: bytes | None = None
        """Answered instead of the key set."""
        self.requests = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where its key set is."""
        return f"http://127.0.0.1:{self._port}/jwks.json"

    def publish(self, *keys: Key) -> None:
        """Replace the key set; public halves only."""
        self.keys = [dict(key.as_dict(private=False)) for key in keys]

    def settings(self, **changes: Any) -> Jwt:
        """Settings that believe this provider."""
        return Jwt(**({"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": self.url} | changes))

    async def start(self) -> None:
        """Listen; on the same port as before."""
        app = web.Application()
        app.router.add_get("/jwks.json", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be gone: connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        await self.gate.wait()
        body = self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """A running provider that publishes one RSA and one EC key."""
    provider = IdentityProvider()
    provider.publish(rsa_key("r1"), ec_key("e1"))
    await provider.start()
    try:
        yield provider
    finally:
        provider.gate.set()
        await provider.stop()
