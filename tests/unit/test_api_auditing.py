"""The audit layer when the state database is lost between a change and its record."""

from types import SimpleNamespace
from typing import Any, cast

from quarterdeck.access.audit import AuditTrail
from quarterdeck.access.model import Principal, Role
from quarterdeck.api.context import KEY, RequestContext
from quarterdeck.api.middleware.auditing import AuditLayer
from quarterdeck.core.errors import SourceUnavailable


class LostTrail:
    """Opens a row, then its database is gone."""

    async def begin(self, _entry: object) -> int:
        return 1

    async def finish(self, *_: object) -> None:
        raise SourceUnavailable("state", "The state database is gone.")


async def test_change_that_was_done_is_answered_although_its_row_stays_open() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    principal = Principal("token:x", "x", Role.OPS, "token")
    scope = {
        "type": "http", "method": "POST", "headers": [], "path_params": {}, "query_string": b"",
        "route_handler": SimpleNamespace(opt={"action": "queue.pause"}),
        KEY: RequestContext("req_1", "127.0.0.1", principal),
    }  # fmt: skip
    layer = AuditLayer(application, cast(AuditTrail, LostTrail()))
    await layer(scope, receive, send)
    assert [message.get("status") for message in sent] == [200, None]
