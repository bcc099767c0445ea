"""OTLP as JSON: ids in hexadecimal, 64-bit numbers as text, names in lowerCamelCase.

What breaks these rules in a common way is understood: snake_case names, numbers as numbers, the
names of severity numbers.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.otlp.records import Origin, Record
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.objects import NULL, encode, has_duplicates, read_object
from quarterdeck.logs.texts import REPLACED, decoded, paired, sound_json

DEEPEST = 32
"""Values within values."""

KNOWN = {
    "timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body", "attributes",
    "droppedAttributesCount", "flags", "traceId", "spanId", "eventName",
}  # fmt: skip

PLAIN: dict[str, tuple[type, ...]] = {
    "stringValue": (str,), "boolValue": (bool,), "doubleValue": (float, int, str),
    "bytesValue": (str,),
}  # fmt: skip

FAMILIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_SEVERITY = re.compile(rf"SEVERITY_NUMBER_({'|'.join(FAMILIES)})([234]?)")
_SNAKE = re.compile("_([a-z])")

_list = msgspec.json.Decoder(list[Raw]).decode
_object = msgspec.json.Decoder(dict[str, object]).decode
_NO_LIST = Raw(b"[]")
_NO_OBJECT = Raw(b"{}")

V = TypeVar("V")


def read_json(body: bytes) -> Iterator[Record | LineRejected]:
    """The records of an `ExportLogsServiceRequest`, and errors in their places.

    Raises:
        InvalidRequest: it is none.
    """
    whole = paired(body)
    try:
        found = list(_walk(whole, whole is not body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest.of("body", f"not OTLP logs in JSON: {error}", "body") from error
    except RecursionError as error:
        raise InvalidRequest.of("body", "nested too deeply", "body") from error
    return _records(found)


def _walk(body: bytes, replaced: bool) -> Iterator[tuple["_Group", Raw]]:
    for resource_logs in _items(_named(read_object(body)), "resourceLogs"):
        resource = _named(read_object(resource_logs))
        for scope_logs in _items(resource, "scopeLogs"):
            scope = _named(read_object(scope_logs))
            group = _Group(resource, scope, replaced)
            for record in _items(scope, "logRecords"):
                yield group, record


def _records(found: list[tuple["_Group", Raw]]) -> Iterator[Record | LineRejected]:
    for group, raw in found:
        try:
            yield group.read(raw)
        except LineRejected as rejected:
            yield rejected
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield LineRejected(f"not a log record: {error}")


def _named(fields: Mapping[str, V]) -> dict[str, V]:
    """With names in lowerCamelCase."""
    return {_SNAKE.sub(lambda m: m[1].upper(), name): value for name, value in fields.items()}


def _items(fields: Mapping[str, Raw], name: str) -> list[Raw]:
    value = fields.get(name, _NO_LIST)
    return [] if memoryview(value)[0] == NULL else _list(value)


class _Group:
    """What the records of one scope share."""

    def __init__(self, resource: dict[str, Raw], scope: dict[str, Raw], replaced: bool) -> None:
        self._resource = resource.get("resource", _NO_OBJECT)
        self._scope = scope.get("scope", _NO_OBJECT)
        self._schemas = (resource.get("schemaUrl"), scope.get("schemaUrl"))
        self._replaced = replaced
        self._origin: Origin | None = None

    def read(self, raw: Raw) -> Record:
        """One record."""
        if self._origin is None:
            self._origin = self._read_origin()
        given, repaired = self._sound(raw)
        fields = _named(_object(given))
        body = fields.get("body")
        value = None if body is None else _value(body)
        record = Record(
            self._origin,
            lambda: self._original(raw),
            _integer(fields.get("timeUnixNano")),
            _integer(fields.get("observedTimeUnixNano")),
            _severity(fields.get("severityNumber")),
            _text(fields.get("severityText")),
            value,
            isinstance(value, str) and "bytesValue" not in _named(_mapping(body)),
            _pairs(fields.get("attributes")),
            (
                ("trace_id", _text(fields.get("traceId")).lower()),
                ("span_id", _text(fields.get("spanId")).lower()),
                ("trace_flags", _integer(fields.get("flags"))),
                ("event_name", _text(fields.get("eventName"))),
                ("dropped_attributes_count", _integer(fields.get("droppedAttributesCount"))),
            ),
        )
        record.repaired = repaired
        record.changed = not KNOWN.issuperset(fields) or has_duplicates(read_object(given), given)
        return record

    def _read_origin(self) -> Origin:
        origin = Origin()
        resource, broken = self._sound(self._resource)
        scope, scope_broken = self._sound(self._scope)
        origin.repaired = broken or scope_broken
        origin.add("resource", _pairs(_named(_fields(resource)).get("attributes")))
        named = _named(_fields(scope))
        origin.add("scope", [(n, named[n]) for n in ("name", "version") if named.get(n)])
        origin.add("scope", _pairs(named.get("attributes")))
        for prefix, schema in zip(("resource", "scope"), self._schemas, strict=True):
            if schema is not None and memoryview(schema)[0] != NULL:
                origin.add(prefix, [("schema_url", schema)])
        return origin

    def _sound(self, raw: Raw) -> tuple[bytes, bool]:
        given = bytes(raw)
        sound, broken = sound_json(given)
        return sound, broken or (self._replaced and REPLACED.search(sound) is not None)

    def _original(self, raw: Raw) -> str:
        parts = {"resource": self._resource, "scope": self._scope, "logRecords": [raw]}
        return decoded(encode(parts))[0]


def _fields(raw: bytes) -> dict[str, object]:
    return {} if raw[:1] == b"n" else _object(raw)


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64:
        return value
    raise LineRejected("a number is not of the form that OTLP has in JSON")


def _severity(value: object) -> int:
    if isinstance(value, str) and (match := _SEVERITY.fullmatch(value)):
        return FAMILIES.index(match[1]) * 4 + int(match[2] or 1)
    return 0 if value == "SEVERITY_NUMBER_UNSPECIFIED" else _integer(value)


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise LineRejected("a text is not of the form that OTLP has in JSON")


def _pairs(attributes: object, depth: int = 0) -> list[tuple[str, object]]:
    if attributes is None:
        return []
    if not isinstance(attributes, list):
        raise LineRejected("attributes are not a list")
    pairs = []
    for pair in attributes:
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise LineRejected("an attribute has no key")
        pairs.append((pair["key"], _value(pair.get("value") or {}, depth)))
    return pairs


def _value(value: object, depth: int = 0) -> object:
    """A value of OTLP as plain JSON."""
    if depth > DEEPEST:
        raise LineRejected("nested too deeply")
    if not isinstance(value, dict) or len(value) > 1:
        raise LineRejected("a value is not of the form that OTLP has in JSON")
    for kind, content in _named(value).items():
        if kind == "intValue":
            return _integer(content)
        if kind in ("arrayValue", "kvlistValue"):
            return _collection(kind, content, depth + 1)
        if isinstance(content, PLAIN.get(kind, ())):
            return content
        raise LineRejected(f"not what OTLP has in JSON for '{kind[:50]}'")
    return None


def _collection(kind: str, content: object, depth: int) -> object:
    values = content.get("values") if isinstance(content, dict) else None
    if kind == "kvlistValue":
        return dict(_pairs(values, depth))
    if values is not None and not isinstance(values, list):
        raise LineRejected("the values of an array are not a list")
    return [_value(value, depth) for value in values or ()]
