"""Elasticsearch's `_bulk`: pairs of lines, what to do and the document.

Documents are read by ECS: `@timestamp`, `message`, `log.level`, `service.name`, `error.*`,
`http.request.id`, `user.id` and `organization.id`, with dots or nested; what is nested is copied
and stays in the metadata too. `trace.id` and `span.id` are called `trace_id` and `span_id` there,
as everywhere, and the action's index and id `_index` and `_id`. Documents are added; there is
nothing that could be updated or deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

import msgspec

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.elasticsearch.handshake import JSON, PRODUCT_HEADER, handshake
from quarterdeck.logs.drafts import Draft, LineRejected
from quarterdeck.logs.model import Line, Rejection
from quarterdeck.logs.objects import NULL, encode, read_object, text_of
from quarterdeck.logs.ports import Answer, Reading
from quarterdeck.logs.rules import fill
from quarterdeck.logs.texts import sound_json
from quarterdeck.logs.vocabulary import Vocabulary

__all__ = ["PRODUCT_HEADER", "ElasticsearchDialect", "handshake"]

WHITE = b" \t\r\n"

ADDED = ("index", "create")
ACTIONS = (*ADDED, "update", "delete")

ECS = Vocabulary(
    fields={
        "timestamp": "@timestamp",
        "level": "log.level",
        "service": "service.name",
        "message": "message",
        "request_id": "http.request.id",
        "user_id": "user.id",
        "tenant_id": "organization.id",
    },
    metadata={
        "error.type": "error_type",
        "error.message": "error_message",
        "error.stack_trace": "stack_trace",
        "trace.id": "trace_id",
        "span.id": "span_id",
    },
)


@dataclass(frozen=True, slots=True)
class Item:
    """One action of a request, and why it was refused."""

    action: str
    index: str
    document_id: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BulkReading(Reading):
    """A reading that remembers the actions: the answer has an item for each of them."""

    items: Sequence[Item]


class ElasticsearchDialect:
    """`POST /_bulk` and `POST /{index}/_bulk`."""

    home: ClassVar[str] = "/elasticsearch"
    paths: ClassVar[Sequence[str]] = ("/elasticsearch/_bulk", "/elasticsearch/{index:str}/_bulk")
    media_types: ClassVar[Sequence[str]] = (
        "application/x-ndjson",
        "application/json",
        "application/vnd.elasticsearch+x-ndjson",
        "application/vnd.elasticsearch+json",
    )

    def read(self, body: bytes, content_type: str, arrival: datetime, oldest: datetime) -> Reading:
        """Actions are numbered from 1."""
        del content_type
        items: list[Item] = []
        lines: list[Line] = []
        rejections: list[Rejection] = []
        for item, source in _actions(body):
            number = len(items) + 1
            try:
                lines.append(_line(item, source, arrival, oldest))
                items.append(item)
            except LineRejected as rejected:
                rejections.append(Rejection(number, rejected.reason))
                items.append(Item(item.action, item.index, item.document_id, rejected.reason))
        return BulkReading(lines, rejections, len(items), items)

    def answer(self, reading: Reading, content_type: str, took_ms: int) -> Answer:
        """`took`, `errors` and the items in their order."""
        del content_type
        items = reading.items if isinstance(reading, BulkReading) else ()
        body = {
            "took": took_ms,
            "errors": bool(reading.rejections),
            "items": [{item.action: _outcome(item)} for item in items],
        }
        return Answer(200, JSON, encode(body), (PRODUCT_HEADER,))

    def greet(self, method: str, path: str) -> Answer | None:
        """What shippers ask before they send anything; see `handshake`."""
        answer = handshake(method, path)
        return answer and replace(answer, headers=(PRODUCT_HEADER,))


def _actions(body: bytes) -> list[tuple[Item, bytes]]:
    pieces = [
        (number, piece) for number, piece in enumerate(body.split(b"\n"), 1) if piece.strip(WHITE)
    ]
    found = []
    rest = iter(pieces)
    for number, piece in rest:
        item = _item(number, piece)
        source = b"" if item.action == "delete" else next(rest, (0, b""))[1]
        found.append((item, source))
    if not found:
        raise InvalidRequest.of("body", "request body is required", "body")
    return found


def _item(number: int, piece: bytes) -> Item:
    """The action on this line; after one that cannot be read nothing else can be told apart."""
    try:
        action = read_object(sound_json(piece)[0])
        if len(action) != 1 or next(iter(action)) not in ACTIONS:
            raise msgspec.ValidationError("expected index, create, update or delete")
        (name, value), *_ = action.items()
        about = read_object(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest.of(
            "body", f"malformed action/metadata line [{number}]: {error}", "body"
        ) from error
    index, document_id = about.get("_index"), about.get("_id")
    return Item(
        name,
        "" if index is None or memoryview(index)[0] == NULL else text_of(index),
        None if document_id is None or memoryview(document_id)[0] == NULL else text_of(document_id),
    )


def _line(item: Item, source: bytes, arrival: datetime, oldest: datetime) -> Line:
    if item.action not in ADDED:
        raise LineRejected("log lines are never changed: only index and create are possible")
    original = source.strip(WHITE)
    sound, repaired = sound_json(original)
    try:
        record = read_object(sound)
    except msgspec.DecodeError as error:
        raise LineRejected(f"failed to parse the document: {error}") from error
    except RecursionError as error:
        raise LineRejected("nested too deeply") from error
    draft = Draft(arrival, oldest)
    if repaired:
        draft.repaired()
    if item.index:
        draft.metadata["_index"] = item.index
    if item.document_id:
        draft.metadata["_id"] = item.document_id
    return fill(draft, record, original, ECS)


def _outcome(item: Item) -> dict[str, object]:
    told: dict[str, object] = {"_index": item.index, "_id": item.document_id or ""}
    if item.reason:
        kind = "document_parsing" if item.action in ADDED else "illegal_argument"
        told |= {"status": 400, "error": {"type": f"{kind}_exception", "reason": item.reason}}
    else:
        told |= {
            "_version": 1,
            "result": "created",
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": 0,
            "_primary_term": 1,
            "status": 201,
        }
    return told
