"""Lines of a mail server's log, as `quarterdeck ship --as` sends them: unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck.cli.followed import Piece


class MailFormat(StrEnum):
    """Whose lines the files hold; see `POST /mail-events`."""

    NEUTRAL = "neutral"
    POSTFIX = "postfix"
    EXIM = "exim"
    KUMOMTA = "kumomta"
    POWERMTA = "powermta"


@dataclass(frozen=True, slots=True)
class MailLines:
    """How lines of a mail server's log are sent."""

    format: MailFormat
    source: str
    """The host: lines of a message are read together."""

    segments = ("mail-events",)
    media = "text/plain"

    @property
    def query(self) -> Mapping[str, object]:
        """Of the request."""
        return {"format": self.format.value, "source": self.source}

    @property
    def is_headed(self) -> bool:
        """Whether a file's first line says what the others mean."""
        return self.format is MailFormat.POWERMTA

    def lines(self, _path: str, piece: Piece) -> list[bytes]:
        """What is sent for it: nothing for a blank line, nor for pieces of an overlong one."""
        raw = piece.raw.lstrip(b"\0").rstrip(b"\r")
        return [] if piece.part or not raw.strip() else [raw]
