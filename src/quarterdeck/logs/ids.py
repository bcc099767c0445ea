"""Public ids of log lines: opaque text that says where the line is. Pure."""

import base64
import re
import struct

from quarterdeck.core.errors import NotFound
from quarterdeck.logs.model import Place

PREFIX = "log_"

_PLACE = struct.Struct(">qQI")
_DIGITS = re.compile(r"[A-Za-z0-9_-]{27}")

ID_SQL = (
    f"concat('{PREFIX}', base64URLEncode(concat("
    "reinterpretAsFixedString(byteSwap(reinterpretAsUInt64(toUnixTimestamp64Micro(timestamp)))), "
    "reinterpretAsFixedString(byteSwap(toUInt64(_block_number))), "
    "reinterpretAsFixedString(byteSwap(toUInt32(_block_offset))))))"
)
"""The same id as an expression over the columns of `logs`."""


def encode_id(place: Place) -> str:
    """The id of the line at a place."""
    packed = _PLACE.pack(place.timestamp_us, place.block, place.offset)
    return PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_id(text: str) -> Place:
    """Where the line of this id is.

    Raises:
        NotFound: it is not the id of any line.
    """
    digits = text.removeprefix(PREFIX)
    if text.startswith(PREFIX) and _DIGITS.fullmatch(digits):
        place = Place(*_PLACE.unpack(base64.urlsafe_b64decode(digits + "=")))
        # 27 digits hold two bits more than a place: each line has one id only.
        if encode_id(place) == text:
            return place
    raise NotFound("There is no such log line. Its id was given by the search that found it.")
