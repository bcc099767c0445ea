"""OpenTelemetry's logs over HTTP: OTLP as protobuf and as JSON.

A line's metadata: the record's attributes by their names, those of the resource as
`resource.<name>` and of the scope as `scope.<name>`, and of the record itself `trace_id`,
`span_id`, `trace_flags`, `event_name`, `severity_number`, `observed_time_unix_nano`,
`dropped_attributes_count`, and `time_unix_nano` where it is finer than microseconds. The resource's
`service.name` is the service; `exception.type`, `exception.message` and `exception.stacktrace` are
called `error_type`, `error_message` and `stack_trace`, as everywhere.

`original` is empty as long as these say all. Else it is, of JSON, `resource`, `scope` and
`logRecords` with this one record, as they came; of protobuf, `protobuf:` and the base64 text of a
`ResourceLogs` with this one record.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.otlp.mapping import read_json
from quarterdeck.logs.adapters.otlp.protobuf import read_protobuf
from quarterdeck.logs.adapters.otlp.records import Record, line_of
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.model import Line, Rejection
from quarterdeck.logs.ports import Answer, Reading

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


class OtlpDialect:
    """OTLP/HTTP, `POST /v1/logs`."""

    paths: ClassVar[Sequence[str]] = ("/v1/logs",)
    media_types: ClassVar[Sequence[str]] = (PROTOBUF, JSON, "application/protobuf")

    def read(self, body: bytes, content_type: str, arrival: datetime, oldest: datetime) -> Reading:
        """Records are numbered from the first one of the first resource on."""
        entries: Iterable[Record | LineRejected]
        kind = _kind(content_type)
        if kind == PROTOBUF:
            entries = read_protobuf(body)
        elif kind == JSON:
            entries = read_json(body)
        else:
            raise InvalidRequest.of(
                "Content-Type", f"must be {PROTOBUF} or {JSON}, not '{kind}'", "header"
            )
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
        """Success, or partial success with the number of records that were not taken and why."""
        del took_ms
        rejected, text = len(reading.rejections), _summary(reading.rejections)
        if _kind(content_type) == JSON:
            partial = {"rejectedLogRecords": str(rejected), "errorMessage": text}
            return Answer(200, JSON, _encode({"partialSuccess": partial} if rejected else {}))
        response = ExportLogsServiceResponse()
        if rejected:
            response.partial_success.rejected_log_records = rejected
            response.partial_success.error_message = text
        return Answer(200, PROTOBUF, response.SerializeToString())


def _kind(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    return PROTOBUF if kind == "application/protobuf" else kind


def _summary(rejections: Iterable[Rejection]) -> str:
    """Each reason once, with the number of the first record that it struck."""
    first: dict[str, int] = {}
    for rejection in rejections:
        first.setdefault(rejection.reason, rejection.number)
    return "; ".join(f"record {number}: {reason}" for reason, number in list(first.items())[:10])
