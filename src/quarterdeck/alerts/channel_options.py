"""What the options of all channels have in common."""

from typing import Annotated, Any

from msgspec import Meta, Struct

MIN_SECRET = 16
"""Characters of a signing secret; a shorter one can be guessed from one signature."""


class ChannelOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys of every `[[alerts.channels]]` entry. Shown by name only: the others may be secrets."""

    name: Annotated[str, Meta(min_length=1)]
    kind: str
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    """For one notice, from connecting to the receiver's answer."""

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(name={self.name!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Tracebacks drawn by rich show the locals of every frame.
        return [("name", self.name)]

    def at(self, key: str) -> str:
        """How a message calls one of its settings."""
        return f"alerts.channels '{self.name}': {key}"
