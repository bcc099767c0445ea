"""How mail events come in: as lines of a log, or as one signed request of a provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quarterdeck.reputation.mail import MailEvent


class LineRefused(ValueError):
    """A line that should be an event and is none; the message is a sentence without its end."""


class LineReader(Protocol):
    """Reads the log of one mail server, line by line; it may remember what other lines said."""

    def read(self, line: str) -> Sequence[MailEvent]:
        """Events of a line; none for lines about something else.

        Raises:
            LineRefused: it should be one, and is not.
        """
        ...


class HookReader(Protocol):
    """Reads what one provider posts."""

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[MailEvent]:
        """Events of a request whose signature is good; none for other kinds of requests.

        Raises:
            Unauthenticated: the signature is missing or wrong.
            InvalidRequest: the body is not what the provider documents.
            SourceUnavailable: what the signature is compared with cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class HookKeys:
    """What signatures of providers are compared with; empty: that provider's door is shut."""

    ses_topics: Sequence[str] = ()
    """ARNs of the SNS topics that may post."""
    sendgrid_key: str = field(default="", repr=False)
    mailgun_key: str = field(default="", repr=False)
