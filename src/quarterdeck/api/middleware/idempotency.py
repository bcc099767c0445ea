"""`Idempotency-Key` on POST: the same request is carried out once and answered alike for 24 h."""

import hashlib
import logging

from quarterdeck.access.idempotency import IdempotencyKeys, StoredAnswer
from quarterdeck.api.asgi import App, Message, Receive, Scope, Send
from quarterdeck.api.context import context_of, header
from quarterdeck.api.middleware.bodies import KEY as BODY
from quarterdeck.core.errors import SourceUnavailable

log = logging.getLogger("quarterdeck.http")

KEPT_HEADERS = (b"content-type", b"location")


class IdempotencyLayer:
    """Claims the key before the request, keeps the answer after it."""

    def __init__(self, app: App, keys: IdempotencyKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        key = header(scope, b"idempotency-key")
        principal = context_of(scope).principal
        opt = scope["route_handler"].opt
        # A stream is too long to be kept, and a secret is kept nowhere.
        is_passing = opt.get("stream") or opt.get("secret")
        if key is None or principal is None or scope["method"] != "POST" or is_passing:
            await self._app(scope, receive, send)
            return
        answer = await self._keys.claim(principal.id, key, _fingerprint(scope))
        if answer is None:
            await self._first(scope, receive, send, principal.id, key)
            return
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        headers += [
            (b"content-length", str(len(answer.body)).encode()),
            (b"idempotency-replayed", b"true"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    async def _first(
        self, scope: Scope, receive: Receive, send: Send, principal: str, key: str
    ) -> None:
        """Answer for real; kept before it is sent, so that what the caller saw is replayed."""
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        try:
            await self._app(scope, receive, hold)
        except BaseException:
            await self._keys.release(principal, key)
            raise
        await self._keep(principal, key, _answer(held))
        for message in held:
            await send(message)

    async def _keep(self, principal: str, key: str, answer: StoredAnswer) -> None:
        try:
            if answer.status >= 500 or answer.status in {401, 403, 429}:
                # Nothing was carried out for good: the caller may try the same key again.
                await self._keys.release(principal, key)
            else:
                await self._keys.store(principal, key, answer)
        except SourceUnavailable as error:
            # The work is done: the caller must hear so, even if a repetition cannot be replayed.
            log.warning("the answer to an idempotency key is not kept: %s", error.message)


def _fingerprint(scope: Scope) -> bytes:
    digest = hashlib.sha256()
    method: str = scope["method"]
    body: bytes = scope[BODY]
    for part in (method.encode(), scope["raw_path"], scope["query_string"], body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _answer(messages: list[Message]) -> StoredAnswer:
    status, headers, body = 500, dict[str, str](), b""
    for message in messages:
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {
                name.decode(): value.decode()
                for name, value in message["headers"]
                if name in KEPT_HEADERS
            }
        elif message["type"] == "http.response.body":
            body += message["body"]
    return StoredAnswer(status, headers, body)
