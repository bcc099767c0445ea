"""Asks RabbitMQ: as a client over AMQP, and its management interface for alarms and memory."""

from typing import ClassVar

from msgspec import Struct

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.adapters.rabbitmq.handshake import AmqpDoor
from quarterdeck.health.adapters.rabbitmq.management import Management
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Stage, observed, present


class RabbitmqOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `rabbitmq` may say: one address or both."""

    url: str = ""
    """`amqp(s)://user:password@host:5672/vhost`: whether a client is let in."""
    management_url: str = ""
    """`http(s)://host:15672`: alarms, memory, messages that are ready. The user needs the tag
    `monitoring`."""
    management_user: str = ""
    password: str = ""
    """Of the management user."""
    kind: str = "rabbitmq"
    verify_tls: bool = True
    ca_file: str = ""


class RabbitmqProbe:
    """OK when a client is let in, and no node has an alarm that blocks publishers."""

    Options: ClassVar[type[Struct]] = RabbitmqOptions

    def __init__(self, options: RabbitmqOptions, toolbox: Toolbox) -> None:
        if not options.url and not options.management_url:
            raise ConfigError("a rabbitmq probe needs url, management_url or both.")
        self._toolbox = toolbox
        self._door = AmqpDoor(options, toolbox) if options.url else None
        self._management = Management(options, toolbox) if options.management_url else None
        shown = [part.shown for part in (self._door, self._management) if part is not None]
        self.target = " and ".join(shown)

    async def check(self) -> Reading:
        """Log in and out again; then ask for the figures, over a connection that is kept."""
        return await observed(self._steps, self._toolbox.timeout_s, "RabbitMQ")

    async def close(self) -> None:
        """Give the connection back."""
        if self._management is not None:
            await self._management.close()

    async def _steps(self, stage: Stage) -> Reading:
        took, version = None, None
        if self._door is not None:
            took, version = await self._door.enter(stage)
        if self._management is not None:
            version = await self._management.look(stage)
        return Reading(
            Outcome.OK, latency_ms=took, metrics=stage.metrics, facets=present({"version": version})
        )
