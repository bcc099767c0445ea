"""`/openapi.json` and `/docs`: public, and whole without a network."""

from functools import cache
from pathlib import Path

from litestar import Response, Router, get

from quarterdeck.core.errors import NotFound

STATIC = Path(__file__).parent / "static"
SWAGGER = STATIC / "vendor" / "swagger-ui-5.35.0"

# Swagger UI styles its elements inline and draws its icons from data URLs; scripts are files only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)

FILES = {
    "docs.js": (STATIC / "docs.js", "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": (SWAGGER / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER / "swagger-ui.css", "text/css; charset=utf-8"),
}


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@get("/docs", include_in_schema=False)
async def docs_page() -> Response[bytes]:
    """The API's documentation for people."""
    headers = {"content-security-policy": POLICY}
    return Response(
        _content(STATIC / "docs.html"), media_type="text/html; charset=utf-8", headers=headers
    )


@get("/docs/{name:str}", include_in_schema=False)
async def docs_file(name: str) -> Response[bytes]:
    """What the page is made of."""
    if name not in FILES:
        raise NotFound("There is no such file. The documentation is at /docs.")
    path, media_type = FILES[name]
    return Response(
        _content(path), media_type=media_type, headers={"cache-control": "public, max-age=3600"}
    )


def router(document: bytes) -> Router:
    """The documentation's routes, serving this OpenAPI document."""

    @get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response[bytes]:
        """The OpenAPI 3.1 document."""
        return Response(document, media_type="application/json")

    return Router(path="/", guards=[], route_handlers=[openapi, docs_page, docs_file])
