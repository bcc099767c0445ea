"""Bytes that arrived as text that can be stored, and back. Pure."""

import re

from quarterdeck.logs.model import MAX_MESSAGE

ESCAPED = "bytes:"
"""How `original` begins when it stands for bytes that are no UTF-8; see `kept`."""

REPLACED = re.compile(rb"\xef\xbf\xbd|\\ufffd")
"""U+FFFD in a JSON text: where something else was, perhaps."""

# One escape of a JSON text at a time, so that `\\\\ud800` is not taken for a surrogate.
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_UNESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def decoded(raw: bytes) -> tuple[str, bool]:
    """The text, with U+FFFD for what is no UTF-8, and whether there was such."""
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return raw.decode(errors="replace"), True


def paired(json: bytes) -> bytes:
    """A JSON text with U+FFFD for each escape of half a character; the same object if none is."""
    if not _SURROGATE.search(json):
        return json
    sound = _ESCAPE.sub(lambda m: rb"\ufffd" if m[2] else m[0], json)
    return json if sound == json else sound


def sound_json(raw: bytes) -> tuple[bytes, bool]:
    """A JSON text that can be read, and whether something in it had to be replaced for that."""
    text, broken = decoded(raw)
    sound = paired(text.encode() if broken else raw)
    return sound, sound is not raw


def kept(raw: bytes | str) -> str:
    """What arrived, as `original` holds it: as it is, or from bytes that are no UTF-8 the text
    `bytes:` and then these bytes with `\\xff` for what is no UTF-8 and `\\\\` for a backslash."""
    if isinstance(raw, str):
        raw = raw.encode(errors="surrogatepass")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ESCAPED
    if not text.startswith(ESCAPED):
        return text
    return ESCAPED + raw.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def original_bytes(original: str) -> bytes:
    """Undo `kept`: byte for byte what arrived."""
    if not original.startswith(ESCAPED):
        return original.encode()
    escaped = original.removeprefix(ESCAPED).encode()
    return _UNESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", escaped)


def cut_message(text: str) -> str:
    """At most `MAX_MESSAGE` bytes of UTF-8, whole characters; the same object if no longer."""
    if len(text) * 4 <= MAX_MESSAGE:
        return text
    raw = text.encode()
    return text if len(raw) <= MAX_MESSAGE else raw[:MAX_MESSAGE].decode(errors="ignore")
