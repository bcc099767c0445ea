"""Loki's push API: snappy-compressed protobuf, and JSON.

The line is the message, whatever is in it. The label `service_name` is the service and `level` the
level; `request_id`, `user_id` and `tenant_id` are those fields, be they labels or structured
metadata. All other labels and structured metadata are the metadata. Where `service_name` or `level`
is missing, another label fills in (`SERVICE`, `LEVEL`) and stays in the metadata too, and so does
`time_unix_nano` where it is finer than microseconds.

`original` is empty as long as these say all. Else it is, of JSON, the stream with this one entry;
of protobuf, `protobuf:` and the base64 text of a `StreamAdapter` with this one entry.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar

from quarterdeck.logs.adapters.loki.entries import Entry, line_of
from quarterdeck.logs.adapters.loki.mapping import read_json
from quarterdeck.logs.adapters.loki.protobuf import read_protobuf
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.model import Line, Rejection
from quarterdeck.logs.ports import Answer, Reading

SHOWN = 10


class LokiDialect:
    """`POST /loki/api/v1/push`."""

    paths: ClassVar[Sequence[str]] = ("/loki/api/v1/push",)
    media_types: ClassVar[Sequence[str]] = ("application/x-protobuf", "application/json")

    def read(self, body: bytes, content_type: str, arrival: datetime, oldest: datetime) -> Reading:
        """Entries are numbered from the first one of the first stream on."""
        kind = content_type.partition(";")[0].strip().lower()
        entries: Iterator[Entry | LineRejected]
        # As in Loki: whatever does not say that it is JSON is protobuf.
        entries = read_json(body) if kind.endswith("json") else read_protobuf(body)
        lines: list[Line] = []
        rejections: list[Rejection] = []
        for number, entry in enumerate(entries, 1):
            try:
                if isinstance(entry, LineRejected):
                    raise entry
                lines.append(line_of(entry, arrival, oldest))
            except LineRejected as rejected:
                rejections.append(Rejection(number, rejected.reason))
        return Reading(lines, rejections, len(lines) + len(rejections))

    def answer(self, reading: Reading, content_type: str, took_ms: int) -> Answer:
        """204; as Loki does, 400 when entries were refused, the others are kept all the same:
        no client sends those again."""
        del content_type, took_ms
        if not reading.rejections:
            return Answer(204)
        shown = [f"entry {r.number}: {r.reason}" for r in reading.rejections[:SHOWN]]
        head = f"{len(reading.rejections)} of {reading.total} entries were refused, others are kept"
        return Answer(400, "text/plain; charset=utf-8", "\n".join([head, *shown]).encode())
