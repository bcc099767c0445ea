"""Identifiers that sort by time of birth."""

import os
import secrets
import time
import uuid

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def mint(prefix: str) -> str:
    """A new id: `prefix_` and a ULID (48 bits of milliseconds, 80 random bits)."""
    value = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    digits = []
    for _ in range(26):
        value, digit = divmod(value, 32)
        digits.append(_CROCKFORD[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


def uuid7() -> str:
    """A time-ordered UUID (RFC 9562, version 7), lower case with dashes.

    Random UUIDs scatter inserts over the whole primary-key index; ordered ones append to it.
    """
    milliseconds = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (tail >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | (tail & (1 << 62) - 1)
    return str(uuid.UUID(int=value))
