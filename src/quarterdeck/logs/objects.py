"""JSON objects whose values are still the JSON text that arrived. Pure."""

import json
from collections.abc import Mapping

import msgspec
from msgspec import Raw

QUOTE, OBJECT, NULL = ord('"'), ord("{"), ord("n")

read_object = msgspec.json.Decoder(dict[str, Raw]).decode
encode = msgspec.json.Encoder().encode

_string = msgspec.json.Decoder(str)


def within(record: Mapping[str, Raw], path: str) -> Raw | None:
    """`a.b` as the entry `b` of the object `a`."""
    head, dot, tail = path.partition(".")
    value = record.get(head)
    if not dot or value is None:
        return value
    if memoryview(value)[0] != OBJECT:
        return None
    inner = read_object(value)
    return inner[tail] if tail in inner else within(inner, tail)


def is_text(value: Raw) -> bool:
    """A JSON string."""
    return memoryview(value)[0] == QUOTE


def is_scalar(value: Raw) -> bool:
    """A JSON string or number."""
    return memoryview(value)[0] in b'"-0123456789'


def text_of(value: Raw) -> str:
    """A JSON text's own text, or anything else as its JSON text."""
    return _string.decode(value) if is_text(value) else bytes(value).decode()


def has_duplicates(record: Mapping[str, Raw], original: bytes | str) -> bool:
    """Whether the text names something twice on its first level, or may do so."""
    text = original.encode(errors="replace") if isinstance(original, str) else original
    if text in (encode(record), _spaced(record)):
        return False
    sizes = [0]
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: sizes.append(len(pairs)), parse_int=str, parse_float=str
    )
    try:
        decoder.decode(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return True
    return sizes[-1] != len(record)


def _spaced(record: Mapping[str, Raw]) -> bytes:
    """As Python's `json` writes it: with it and `encode`, nearly all that there is."""
    entries = (b"%b: %b" % (encode(name), value) for name, value in record.items())
    return b"{%b}" % b", ".join(entries)
