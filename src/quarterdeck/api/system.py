"""`/healthz` and `/readyz`: what runs this server watches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response, Router, get

from quarterdeck import __version__
from quarterdeck.api.envelope import Envelope, encode, ok
from quarterdeck.core.errors import QuarterdeckError

Check = Callable[[], Awaitable[None]]


@get("/healthz", include_in_schema=False)
async def healthz() -> Envelope[dict[str, str]]:
    """The process is alive and answers."""
    return ok({"status": "alive", "version": __version__})


def readiness(checks: Mapping[str, Check]) -> Any:
    """`/readyz`: can serve, because everything that every request needs answers."""

    @get("/readyz", include_in_schema=False)
    async def readyz() -> Response[bytes]:
        """200 when all checks pass, else 503 with those that do not."""
        found = {name: await _outcome(check) for name, check in checks.items()}
        ready = all(outcome == "ok" for outcome in found.values())
        body = {"success": ready, "data": {"ready": ready, "checks": found}}
        return Response(
            encode(body), status_code=200 if ready else 503, media_type="application/json"
        )

    return readyz


async def _outcome(check: Check) -> str:
    try:
        await check()
    except QuarterdeckError as error:
        return error.message
    return "ok"


def public_router(checks: Mapping[str, Check]) -> Router:
    """Routes that anyone may ask."""
    return Router(path="/", route_handlers=[healthz, readiness(checks)])
