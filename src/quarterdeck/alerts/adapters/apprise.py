"""Apprise: some 150 services behind one kind of URL, for what we do not speak ourselves."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType
from msgspec import Meta, Struct

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.model import Notification, Severity, Transition
from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.alerts.slots import Slots
from quarterdeck.alerts.taken import Taken
from quarterdeck.alerts.wording import headline, plain
from quarterdeck.core.errors import ConfigError

THREADS = 4
MAX_TITLE = 250
MAX_MESSAGE = 16_000

TYPES: Mapping[Severity, NotifyType] = {
    Severity.ERROR: NotifyType.FAILURE,
    Severity.WARNING: NotifyType.WARNING,
    Severity.INFO: NotifyType.INFO,
}

# Both write addresses into their lines, and here these are secrets.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
logging.getLogger("urllib3").setLevel(logging.ERROR)


class AppriseOptions(ChannelOptions, frozen=True):
    """`urls` are secrets: they hold the services' tokens."""

    urls: Annotated[list[str], Meta(min_length=1, max_length=20)]


class AppriseChannel:
    """Tells all services; why one did not take a notice, Apprise does not say."""

    Options: ClassVar[type[Struct]] = AppriseOptions

    def __init__(self, options: AppriseOptions) -> None:
        # No time limit of its own: that would run in threads that the exit waits for.
        asset = AppriseAsset(app_id="Quarterdeck", app_url="", service_timeout=0)
        self._services = {
            f"{index}": _service(url, asset, f"{options.at('urls')}[{index}]")
            for index, url in enumerate(options.urls)
        }
        self._timeout_s = options.timeout_s
        self._slots = Slots(THREADS)
        self._taken = Taken()

    async def send(self, notification: Notification) -> None:
        """See `Channel`. Services that have taken it already are not told again."""
        told = self._taken.by(notification.id)
        wanted = [key for key in self._services if key not in told]
        tasks = {key: asyncio.create_task(self._tell(key, notification)) for key in wanted}
        try:
            await asyncio.wait(tasks.values(), timeout=self._timeout_s)
        finally:
            for task in tasks.values():
                task.cancel()
        taken = {key for key, task in tasks.items() if _has_taken(task)}
        missing = [self._services[key].name for key in wanted if key not in taken]
        if missing:
            self._taken.add(notification.id, frozenset(taken))
            raise DeliveryError(
                f"{len(missing)} of {len(self._services)} services of Apprise did not take it "
                f"within {self._timeout_s:g} s: {', '.join(missing)}."
            )
        self._taken.forget(notification.id)

    async def close(self) -> None:
        """See `Channel`. Apprise keeps no connections."""

    async def _tell(self, key: str, notification: Notification) -> bool:
        return await self._slots.run(partial(self._services[key].notify, notification))


def _has_taken(task: asyncio.Task[bool]) -> bool:
    return task.done() and not task.cancelled() and task.result()


class _Service:
    """One URL."""

    def __init__(self, name: str, gate: Apprise) -> None:
        self.name = name
        self._gate = gate

    def notify(self, notification: Notification) -> bool:
        """Tell it, and wait for it; whether it was taken."""
        is_resolved = notification.transition is Transition.RESOLVED
        severity = TYPES[notification.alert.severity]
        result = self._gate.notify(
            body=plain(notification, MAX_MESSAGE),
            title=headline(notification, MAX_TITLE),
            notify_type=NotifyType.SUCCESS if is_resolved else severity,
            body_format=NotifyFormat.TEXT,
            interpret_escapes=False,
        )
        return bool(result)


def _service(url: str, asset: AppriseAsset, where: str) -> _Service:
    plugin = Apprise.instantiate(url, asset=asset)
    if not isinstance(plugin, NotifyBase):
        raise ConfigError(f"{where}: it is not the URL of a service that Apprise knows.")
    gate = Apprise(asset=asset)
    gate.add(plugin)
    return _Service(str(plugin.service_name), gate)
