"""What the contract needs of a channel and its receiver, whatever they speak."""

import contextlib
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec
from apprise import Apprise

from contract.alert_channels.mail_server import MailServer, mail_server
from contract.alert_channels.receivers import Conduct, HttpReceiver, http_receiver
from quarterdeck.alerts.adapters import channel_factory
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.ports import Channel

with warnings.catch_warnings():
    # Apprise imports its services when it first needs one, and old modules with them.
    warnings.simplefilter("ignore", DeprecationWarning)
    Apprise.instantiate("json://127.0.0.1")

SECRET = "s3cret"
"""In every setting that is one."""


class ChannelHarness(Protocol):
    """A channel that was built from settings, and the receiver they name."""

    kind: str
    left_out: frozenset[Transition]
    """Transitions that this kind has no word for."""
    knows_reasons: bool
    """Whether it can tell a refusal for good from one for now."""
    survives_flood: bool
    """Whether an endless answer is as good as a short one."""
    entry: dict[str, Any]

    def channel(self, **changes: Any) -> Channel:
        """Another one; changes are settings."""
        ...

    def conduct(self, conduct: Conduct) -> None:
        """How the receiver behaves from now on."""
        ...

    def texts(self) -> list[str]:
        """What has arrived, decoded."""
        ...

    async def wait_busy(self) -> None:
        """Until the receiver has a notice that it has not answered."""
        ...

    async def wait_left(self) -> None:
        """Until the client is gone."""
        ...

    def release(self) -> None:
        """End what hangs."""
        ...


def built(entry: dict[str, Any]) -> Channel:
    """A channel as the composition root builds it."""
    factory = channel_factory(entry["kind"])
    return factory(msgspec.convert(entry, factory.Options, strict=False))


class HttpHarness:
    """For kinds that POST."""

    survives_flood = True
    knows_reasons = True

    def __init__(
        self, receiver: HttpReceiver, entry: dict[str, Any], left_out: frozenset[Transition]
    ) -> None:
        self.receiver = receiver
        self.kind = entry["kind"]
        self.entry = {"name": "night shift"} | entry
        self.left_out = left_out

    def channel(self, **changes: Any) -> Channel:
        return built(self.entry | changes)

    def conduct(self, conduct: Conduct) -> None:
        self.receiver.conduct = conduct

    def texts(self) -> list[str]:
        return [received.body.decode() for received in self.receiver.received]

    async def wait_busy(self) -> None:
        await self.receiver.wait_present(1)

    async def wait_left(self) -> None:
        await self.receiver.wait_present(0)

    def release(self) -> None:
        self.receiver.released.set()


class AppriseHarness(HttpHarness):
    """Apprise's JSON service: it says neither why it failed, nor does it bound answers."""

    survives_flood = False
    knows_reasons = False

    async def wait_left(self) -> None:
        """Its thread stays until the receiver is done with it."""
        self.release()
        await super().wait_left()


class MailHarness:
    """For mail."""

    kind = "email"
    left_out: frozenset[Transition] = frozenset()
    survives_flood = False
    knows_reasons = True

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.entry: dict[str, Any] = {
            "name": "night shift", "kind": "email", "server": "127.0.0.1", "port": server.port,
            "tls": "none", "from": "Quarterdeck <ops@example.org>", "to": ["watch@example.org"],
        }  # fmt: skip

    def channel(self, **changes: Any) -> Channel:
        return built(self.entry | changes)

    def conduct(self, conduct: Conduct) -> None:
        self.server.conduct = conduct

    def texts(self) -> list[str]:
        return [f"{mail.parsed['Subject']}\n{mail.text}" for mail in self.server.mails]

    async def wait_busy(self) -> None:
        await self.server.attempts.wait()

    async def wait_left(self) -> None:
        await self.server.gone.wait()

    def release(self) -> None:
        self.server.released.set()


def _http(
    make: Callable[[int], dict[str, Any]],
    left_out: frozenset[Transition] = frozenset(),
    kind: type[HttpHarness] = HttpHarness,
) -> Callable[[], AbstractAsyncContextManager[ChannelHarness]]:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[ChannelHarness]:
        async with http_receiver() as receiver:
            yield kind(receiver, make(receiver.port), left_out)

    return opened


@contextlib.asynccontextmanager
async def _mail() -> AsyncIterator[ChannelHarness]:
    async with mail_server() as server:
        yield MailHarness(server)


HARNESSES: dict[str, Callable[[], AbstractAsyncContextManager[ChannelHarness]]] = {
    "webhook": _http(
        lambda port: {
            "kind": "webhook", "url": f"http://127.0.0.1:{port}/hook/{SECRET}?key={SECRET}",
            "secret": f"{SECRET}-of-the-webhook", "headers": {"Authorization": f"Bearer {SECRET}"},
        }
    ),
    "slack": _http(
        lambda port: {"kind": "slack", "url": f"http://127.0.0.1:{port}/services/T1/B1/{SECRET}"}
    ),
    "pagerduty": _http(
        lambda port: {
            "kind": "pagerduty", "url": f"http://127.0.0.1:{port}/v2/enqueue",
            "routing_key": f"{SECRET}-routing-key",
        },
        frozenset({Transition.UNACKNOWLEDGED}),
    ),
    "email": _mail,
    "apprise": _http(
        lambda port: {
            "kind": "apprise", "urls": [f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}"],
        },
        kind=AppriseHarness,
    ),
    "alertmanager": _http(
        lambda port: {"kind": "alertmanager", "url": f"http://127.0.0.1:{port}/{SECRET}"},
        frozenset({Transition.ACKNOWLEDGED, Transition.UNACKNOWLEDGED, Transition.ESCALATED}),
    ),
}  # fmt: skip
