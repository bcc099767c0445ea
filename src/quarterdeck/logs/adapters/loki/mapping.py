"""Loki's JSON: `{"streams": [{"stream": {labels}, "values": [["<ns>", "line", {metadata}]]}]}`.

The form of Loki before 0.4 is understood too: streams of `labels`, a text such as `{a="b"}`, and
`entries` of `ts` and `line`.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.adapters.loki.entries import Entry, Pairs, read_labels
from quarterdeck.logs.drafts import LineRejected
from quarterdeck.logs.objects import NULL, encode, is_text, read_object, text_of
from quarterdeck.logs.texts import REPLACED, decoded, paired, sound_json

_list = msgspec.json.Decoder(list[Raw]).decode
_object = msgspec.json.Decoder(dict[str, Raw] | None).decode
_NO_LIST = Raw(b"[]")
_NONE = Raw(b"null")


def read_json(body: bytes) -> Iterator[Entry | LineRejected]:
    """The entries of a push, and errors in their places.

    Raises:
        InvalidRequest: it is none.
    """
    whole = paired(body)
    try:
        streams = [_Stream(raw, whole is not body) for raw in _streams(whole)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest.of("body", f"not a push to Loki in JSON: {error}", "body") from error
    except RecursionError as error:
        raise InvalidRequest.of("body", "nested too deeply", "body") from error
    return (entry for stream in streams for entry in stream.read())


def _streams(body: bytes) -> list[Raw]:
    fields = read_object(body)
    if "streams" not in fields:
        raise msgspec.ValidationError("it has no `streams`")
    return _list(fields["streams"])


class _Stream:
    """One stream, its entries still unread."""

    def __init__(self, raw: Raw, replaced: bool) -> None:
        fields = read_object(raw)
        self._replaced = replaced
        self._head = {n: v for n, v in fields.items() if n not in ("values", "entries")}
        self._list = "entries" if "entries" in fields else "values"
        self._items = _list(fields.get(self._list, _NO_LIST))
        sound, self._broken = self._sound(bytes(fields.get("stream", _NONE)))
        self._labels: Pairs = _pairs(sound)
        if not self._labels and "labels" in fields:
            sound, self._broken = self._sound(bytes(fields["labels"]))
            self._labels = read_labels(text_of(Raw(sound)))

    def read(self) -> Iterator[Entry | LineRejected]:
        """Its entries, and errors in their places."""
        for raw in self._items:
            try:
                yield self._entry(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield LineRejected(f"not an entry: {error}")

    def _entry(self, raw: Raw) -> Entry:
        sound, broken = self._sound(bytes(raw))
        if self._list == "entries":
            fields = read_object(sound)
            parts = [fields.get("ts", _NONE), fields.get("line", _NONE)]
        else:
            parts = _list(sound)
        time, line, structured, *_ = *parts, _NONE, _NONE, _NONE
        if not is_text(line):
            raise msgspec.ValidationError("its line is not a text")
        return Entry(
            self._labels,
            text_of(line),
            _time(time),
            _pairs(bytes(structured)),
            lambda: self._original(raw),
            broken or self._broken,
        )

    def _original(self, raw: Raw) -> str:
        return decoded(encode({**self._head, self._list: [raw]}))[0]

    def _sound(self, raw: bytes) -> tuple[bytes, bool]:
        sound, broken = sound_json(raw)
        return sound, broken or (self._replaced and REPLACED.search(sound) is not None)


def _pairs(raw: bytes) -> Pairs:
    fields = _object(raw) or {}
    return [(name, text_of(value) if is_text(value) else value) for name, value in fields.items()]


def _time(raw: Raw) -> int | str:
    text = "" if memoryview(raw)[0] == NULL else text_of(raw)
    if not text or (len(text) < 30 and text.isascii() and text.isdigit()):
        return int(text or 0)
    return text
