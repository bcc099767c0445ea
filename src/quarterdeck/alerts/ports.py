"""What a channel must be able to do."""

from typing import Any, ClassVar, Protocol

from msgspec import Struct

from quarterdeck.alerts.model import Notification


class DeliveryError(Exception):
    """A notice was not taken. The text is for the operator and holds no secret."""

    def __init__(
        self, message: str, *, is_permanent: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.is_permanent = is_permanent
        """Sending it again will not help: a 400, a 404, a refused recipient."""
        self.retry_after_s = retry_after_s
        """What the receiver asked for."""


class Channel(Protocol):
    """Sends notices to one place. It holds no state that matters: another server may send next."""

    async def send(self, notification: Notification) -> None:
        """Deliver one notice; return only when the receiver has taken it.

        The caller bounds the time. A transition that this kind of receiver has no word for is
        left out silently.

        Raises:
            DeliveryError: it was not taken.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class ChannelFactory(Protocol):
    """How the registry calls an adapter: `kind` to a class with `Options` and this signature."""

    Options: ClassVar[type[Struct]]
    """Its own keys of an `[[alerts.channels]]` entry; `name` and `kind` are among them."""

    def __call__(self, options: Any) -> Channel:
        """Build it; nothing is connected yet.

        Raises:
            ConfigError: options that contradict each other, or an extra that is not installed.
        """
        ...
