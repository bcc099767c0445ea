"""What it costs to know who asks: `python -m benchmarks.access`.

Prints microseconds for one authentication, one after another, warm.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from rich.console import Console
from rich.table import Table

from quarterdeck.access.jwt import JwtVerifier
from quarterdeck.access.model import Role
from quarterdeck.access.service import Authenticator
from quarterdeck.access.tokens import TokenStore, parse
from quarterdeck.app import MIGRATIONS
from quarterdeck.config import Jwt
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import Unauthenticated
from quarterdeck.state import migrate, open_database

ROUNDS = 2000
SECRET = "a shared secret of well over thirty-two bytes"
ISSUER, AUDIENCE = "https://id.example.org", "quarterdeck"


async def timed(call: Callable[[], Awaitable[object]]) -> list[float]:
    """Microseconds of each call, sorted."""
    for _ in range(100):
        await call()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        await call()
        taken.append((time.perf_counter_ns() - start) / 1000)
    return sorted(taken)


def token_of(key: Key, algorithm: str) -> str:
    """A good JWT."""
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "role": "ops",
        "exp": int(utc_now().timestamp()) + 3600,
    }  # fmt: skip
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, [algorithm])


async def jwt_rows() -> list[tuple[str, list[float]]]:
    """Verification by each algorithm, keys cached."""
    rsa = RSAKey.generate_key(2048, {"kid": "r"})
    curve = ECKey.generate_key("P-256", {"kid": "e"})
    published = [key.as_dict(private=False) for key in (rsa, curve)]

    async def fetch(_: str) -> bytes:
        return json.dumps({"keys": published}).encode()

    public = Jwt(issuer=ISSUER, audience=AUDIENCE, jwks_url=f"{ISSUER}/jwks.json")
    private = Jwt(issuer=ISSUER, audience=AUDIENCE, algorithms=["HS256"], secret=SECRET)
    by_keys, by_secret = JwtVerifier(public, fetch), JwtVerifier(private, fetch)
    shared = OctKey.import_key(SECRET, {"kid": "s"})
    cases = (
        ("JWT RS256 (2048 bit)", by_keys, token_of(rsa, "RS256")),
        ("JWT ES256", by_keys, token_of(curve, "ES256")),
        ("JWT HS256", by_secret, token_of(shared, "HS256")),
    )
    return [
        (name, await timed(partial(verifier.authenticate, token)))
        for name, verifier, token in cases
    ]


async def token_rows(url: str) -> list[tuple[str, list[float]]]:
    """Our own tokens on SQLite, among a thousand others."""
    database = open_database(url, "state")
    store = TokenStore(database, b"k" * 32)
    for number in range(1000):
        await store.create(f"token {number}", Role.VIEWER, None)
    _, secret = await store.create("laptop", Role.OPS, None)
    authenticator = Authenticator(store, None)

    async def mistyped() -> None:
        try:
            parse(secret[:-1] + "!")
        except Unauthenticated:
            return

    rows = [
        ("token on SQLite", await timed(lambda: authenticator.authenticate(f"Bearer {secret}"))),
        ("mistyped token", await timed(mistyped)),
    ]
    await store.close()
    await database.close()
    return rows


def main() -> None:
    """Measure and print."""
    table = Table("authenticate", "median µs", "p95 µs", "per second")
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'state.sqlite3'}"
        migrate(url, MIGRATIONS)
        rows = asyncio.run(token_rows(url)) + asyncio.run(jwt_rows())
    for name, taken in rows:
        middle = median(taken)
        p95 = quantiles(taken, n=20)[-1]
        table.add_row(name, f"{middle:,.0f}", f"{p95:,.0f}", f"{1e6 / middle:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
