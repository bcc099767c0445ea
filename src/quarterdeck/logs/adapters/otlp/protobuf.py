"""OTLP as protobuf.

The classes are those of opentelemetry-proto with `string` read as `bytes`: protobuf refuses a
whole request for one byte that is no UTF-8, and here the other records, and the rest of that one,
are kept.
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.otlp.records import Origin, Record
from quarterdeck.logs.texts import decoded

Message = Any
"""A message of protobuf: it has no types that mypy could see."""


def _relax(messages: Any) -> None:
    for message in messages:
        for field in message.field:
            if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
        _relax(message.nested_type)


def _build_classes() -> tuple[Any, Any]:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, logs_pb2, logs_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        _relax(file.message_type)
        pool.Add(file)
    request = logs_service_pb2.ExportLogsServiceRequest.DESCRIPTOR.full_name
    resource = logs_pb2.ResourceLogs.DESCRIPTOR.full_name
    return tuple(GetMessageClass(pool.FindMessageTypeByName(name)) for name in (request, resource))


Request, ResourceLogs = _build_classes()


class _Texts:
    """Reads the texts of one message, and knows whether all of them were such."""

    def __init__(self) -> None:
        self.broken = False

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.broken = True
            return decoded(raw)[0]

    def pairs(self, attributes: Any) -> list[tuple[str, object]]:
        return [(self.text(pair.key), self.value(pair.value)) for pair in attributes]

    def value(self, value: Message) -> object:
        """A value as JSON can say it."""
        kind = value.WhichOneof("value")
        if kind == "string_value":
            return self.text(value.string_value)
        if kind == "bytes_value":
            return b64encode(value.bytes_value).decode()
        if kind == "double_value":
            return finite(value.double_value)
        if kind == "array_value":
            return [self.value(item) for item in value.array_value.values]
        if kind == "kvlist_value":
            return dict(self.pairs(value.kvlist_value.values))
        return None if kind is None else getattr(value, kind)


def finite(number: float) -> float | str:
    """JSON has no words for the others; OTLP's JSON writes them as text."""
    return (
        number
        if number - number == 0
        else {"nan": "NaN", "inf": "Infinity"}.get(str(number), "-Infinity")
    )


def read_protobuf(body: bytes) -> Iterator[Record]:
    """The records of an `ExportLogsServiceRequest`.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        request = Request.FromString(body)
    except DecodeError as error:
        raise InvalidRequest.of(
            "body", "not an ExportLogsServiceRequest in protobuf", "body"
        ) from error
    return _records(request)


def _records(request: Message) -> Iterator[Record]:
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            origin = _origin(resource_logs, scope_logs)
            for message in scope_logs.log_records:
                yield _record(message, origin, resource_logs, scope_logs)


def _origin(resource_logs: Message, scope_logs: Message) -> Origin:
    texts, origin, scope = _Texts(), Origin(), scope_logs.scope
    origin.add("resource", texts.pairs(resource_logs.resource.attributes))
    named = (
        ("name", texts.text(scope.name)), ("version", texts.text(scope.version)),
        ("schema_url", texts.text(scope_logs.schema_url)),
    )  # fmt: skip
    origin.add("scope", [(name, value) for name, value in named if value])
    origin.add("scope", texts.pairs(scope.attributes))
    if resource_logs.schema_url:
        origin.add("resource", [("schema_url", texts.text(resource_logs.schema_url))])
    origin.repaired = texts.broken
    return origin


def _record(message: Message, origin: Origin, resource: Message, scope: Message) -> Record:
    texts = _Texts()
    kind = message.body.WhichOneof("value")

    def original() -> str:
        return "protobuf:" + b64encode(_alone(message, resource, scope)).decode()

    record = Record(
        origin,
        original,
        message.time_unix_nano,
        message.observed_time_unix_nano,
        message.severity_number,
        texts.text(message.severity_text),
        None if kind is None else texts.value(message.body),
        kind in (None, "string_value"),
        texts.pairs(message.attributes),
        (
            ("trace_id", message.trace_id.hex()),
            ("span_id", message.span_id.hex()),
            ("trace_flags", message.flags),
            ("event_name", texts.text(message.event_name)),
            ("dropped_attributes_count", message.dropped_attributes_count),
        ),
    )
    record.repaired = texts.broken
    return record


def _alone(message: Message, resource: Message, scope: Message) -> bytes:
    """A `ResourceLogs` with only this record."""
    alone = ResourceLogs(resource=resource.resource, schema_url=resource.schema_url)
    alone.scope_logs.add(scope=scope.scope, schema_url=scope.schema_url, log_records=[message])
    serialised: bytes = alone.SerializeToString()
    return serialised
