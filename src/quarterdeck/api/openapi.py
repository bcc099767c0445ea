"""The OpenAPI 3.1 document: what the framework reads off the routes, with statuses and examples."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme

from quarterdeck import __version__
from quarterdeck.api import (
    access_examples,
    examples,
    infrastructure_examples,
    log_examples,
    reputation_examples,
)

DESCRIPTION = """\
Operations API for platforms that send e-mail. Every answer has the same envelope: `success` and
`data`, or `success` and `error` with a code, a sentence that says what to do, and a request id.

Send a token as `Authorization: Bearer ...`. Times are ISO 8601 in UTC. What is unknown is `null`.
"""

ALWAYS = (400, 401, 403, 413, 415, 429, 503)
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Your id for this request; echoed, and found in our logs.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and request is carried out once and answered alike for 24 h.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
}

NOT_KEPT = {"CreateToken"}
"""Answers that hold a secret, and so are kept for no repetition."""

ERROR_SCHEMA = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "field": {"type": "string"},
                            "message": {"type": "string"},
                            "source": {"type": "string"},
                        },
                    },
                },
                "request_id": {"type": "string"},
            },
        },
    },
}


def document(routes: Router, given: Iterable[str]) -> bytes:
    """The document of these routes, as JSON. `given` names what handlers get from us."""
    schema = _framework_schema(routes, given)
    schema["components"]["schemas"]["Error"] = ERROR_SCHEMA
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            _complete(path, method, operation)
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
    return _ENVELOPE.sub(rb"\1Answer", text) + b"\n"


_ENVELOPE = re.compile(rb"Envelope_quarterdeck\.api\.\w+\.(\w+?)_(?=\")")


def _framework_schema(routes: Router, given: Iterable[str]) -> dict[str, Any]:
    config = OpenAPIConfig(
        title="Quarterdeck",
        version=__version__,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="API token, JWT")
            }
        ),
        security=[{"token": []}],
    )
    schema: dict[str, Any] = Litestar(
        [routes],
        openapi_config=config,
        logging_config=None,
        dependencies={name: Provide(lambda: None, sync_to_thread=False) for name in given},
    ).openapi_schema.to_schema()
    return schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation.setdefault("parameters", []).append(REQUEST_ID)
    if method == "post" and operation["operationId"] not in NOT_KEPT:
        operation["parameters"].append(IDEMPOTENCY_KEY)
    success = operation["responses"]["200"]
    success["description"] = "Done."
    success["headers"] = {
        name: {"schema": {"type": kind}}
        for name, kind in (
            ("X-Request-ID", "string"),
            ("X-RateLimit-Limit", "integer"),
            ("X-RateLimit-Remaining", "integer"),
            ("X-RateLimit-Reset", "integer"),
        )
    }
    name = operation["operationId"]
    bodies = {
        **log_examples.BODIES, **infrastructure_examples.BODIES, **reputation_examples.BODIES,
    }  # fmt: skip
    if name in bodies:
        operation["requestBody"] = bodies[name]
    for media, content in success["content"].items():
        content["examples"] = {"sample": {"value": _sample(name, media)}}
    for status in _statuses(path, method):
        operation["responses"][str(status)] = _error(status)
    if operation["operationId"] in {"ListQueues", "GetInfrastructureHealth", "GetIpReputation"}:
        operation["responses"]["304"] = {"description": "Unchanged since the given ETag; free."}


def _sample(operation: str, media: str) -> Any:
    if media != "application/json":
        texts = {**examples.TEXTS, **log_examples.TEXTS, **infrastructure_examples.TEXTS}
        return texts[operation]
    known = (
        examples, log_examples, infrastructure_examples, reputation_examples, access_examples,
    )  # fmt: skip
    data = next(each.DATA[operation] for each in known if operation in each.DATA)
    return {"success": True, "data": data}


def _statuses(path: str, method: str) -> list[int]:
    statuses = set(ALWAYS)
    if "{" in path or path.endswith("/queues") or "/single-sign-on" in path:
        statuses.add(404)
    if "{queue_name}" in path or method != "get":
        statuses.add(409)
    if method == "post":
        statuses.add(422)
    return sorted(statuses)


def _error(status: int) -> dict[str, Any]:
    code, message = examples.ERRORS[status]
    error = {"code": code, "message": message, "details": [], "request_id": "req_01KBM5Z4W8Q6T3"}
    return {
        "description": code,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "examples": {"sample": {"value": {"success": False, "error": error}}},
            }
        },
    }
