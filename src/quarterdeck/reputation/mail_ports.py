"""How mail events come in: as lines of a log, or as one signed request of a provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol, TypeVar

import msgspec

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.mail import MailEvent
from quarterdeck.reputation.model import Address
from quarterdeck.reputation.names import plain

T = TypeVar("T")


class LineRefused(ValueError):
    """A line that should be an event and is none; the message is a sentence without its end."""


class LineReader(Protocol):
    """Reads the log of one mail server, line by line; it may remember what other lines said.

    It is made with the name of its source and the memory that all sources share.
    """

    def read(self, line: str) -> Sequence[MailEvent]:
        """Events of a line; none for lines about something else.

        Raises:
            LineRefused: it should be one, and is not.
        """
        ...


class HookReader(Protocol):
    """Reads what one provider posts. It is made with `HookKeys`, an HTTP client and a clock."""

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


def posted(body: bytes | msgspec.Raw, form: type[T]) -> T:
    """What a provider posted.

    Raises:
        InvalidRequest: it has another form.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (ValueError, RecursionError) as error:  # of JSON or of UTF-8
        reason = f"not what the provider documents: {error}"
        raise InvalidRequest.of("body", reason, "body") from None


def find_address(text: str) -> Address | None:
    """The address that a text is; None for any other text, as what cannot be read is not known."""
    try:
        return plain(ip_address(text)) if text else None
    except ValueError:
        return None
