"""Loki's `PushRequest`: protobuf compressed with snappy.

The schema is Loki's `logproto.proto`, as far as it is about entries, with `string` read as `bytes`:
the encodings are the same, and one byte that is no UTF-8 does not spoil the whole request.
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from cramjam import DecompressionError, snappy
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    timestamp_pb2,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.loki.entries import Entry, Pairs, read_labels
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.texts import decoded

LARGEST = 64 * 1024 * 1024
"""Bytes of a request after decompression."""

RATIO = 22
"""Snappy's longest copy makes 64 bytes of 3; a body that promises more lies."""

Message = Any
"""A message of protobuf: it has no types that mypy could see."""

_Field = descriptor_pb2.FieldDescriptorProto
_BYTES, _MESSAGE, _UINT64 = _Field.TYPE_BYTES, _Field.TYPE_MESSAGE, _Field.TYPE_UINT64

# name: (number, type, its message, repeated?)
SCHEMA: dict[str, dict[str, tuple[int, int, str, bool]]] = {
    "LabelPairAdapter": {"name": (1, _BYTES, "", False), "value": (2, _BYTES, "", False)},
    "EntryAdapter": {
        "timestamp": (1, _MESSAGE, ".google.protobuf.Timestamp", False),
        "line": (2, _BYTES, "", False),
        "structuredMetadata": (3, _MESSAGE, ".logproto.LabelPairAdapter", True),
    },
    "StreamAdapter": {
        "labels": (1, _BYTES, "", False),
        "entries": (2, _MESSAGE, ".logproto.EntryAdapter", True),
        "hash": (3, _UINT64, "", False),
    },
    "PushRequest": {"streams": (1, _MESSAGE, ".logproto.StreamAdapter", True)},
}


def _build_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="quarterdeck/logproto.proto",
        package="logproto",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    for message, fields in SCHEMA.items():
        made = file.message_type.add(name=message)
        for name, (number, kind, kind_name, repeated) in fields.items():
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            made.field.add(
                name=name, number=number, type=kind, type_name=kind_name or None, label=label
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"logproto.{name}")) for name in SCHEMA
    }


CLASSES = _build_classes()
PushRequest, StreamAdapter = CLASSES["PushRequest"], CLASSES["StreamAdapter"]


def decompressed(body: bytes) -> bytes:
    """The body without snappy's compression.

    Raises:
        InvalidRequest: it is none, or becomes too large.
    """
    try:
        size = snappy.decompress_raw_len(body)
        if size > LARGEST or size > len(body) * RATIO:
            raise InvalidRequest.of("body", f"says it has {size} bytes without snappy", "body")
        return bytes(snappy.decompress_raw(body))
    except (DecompressionError, ValueError) as error:
        raise InvalidRequest.of("body", f"not compressed with snappy: {error}", "body") from error


def read_protobuf(body: bytes) -> Iterator[Entry | LineRejected]:
    """The entries of a compressed `PushRequest`.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        request = PushRequest.FromString(decompressed(body))
    except DecodeError as error:
        raise InvalidRequest.of("body", "not a PushRequest in protobuf", "body") from error
    return _entries(request)


def _entries(request: Message) -> Iterator[Entry]:
    for stream in request.streams:
        text, broken = decoded(stream.labels)
        labels = read_labels(text)
        for message in stream.entries:
            yield _entry(message, labels, stream, broken)


def _entry(message: Message, labels: Pairs, stream: Message, broken: bool) -> Entry:
    line, line_broken = decoded(message.line)
    structured = []
    for pair in message.structuredMetadata:
        name, name_broken = decoded(pair.name)
        value, value_broken = decoded(pair.value)
        broken = broken or name_broken or value_broken
        structured.append((name, value))

    def original() -> str:
        alone = StreamAdapter(labels=stream.labels, entries=[message], hash=stream.hash)
        return "protobuf:" + b64encode(alone.SerializeToString()).decode()

    nanoseconds = message.timestamp.seconds * 1_000_000_000 + message.timestamp.nanos
    return Entry(labels, line, nanoseconds, structured, original, broken or line_broken)
