"""What RabbitMQ's management interface tells: alarms, memory, messages that wait."""

from typing import Protocol

from msgspec import Struct, field

from quarterdeck.health.addresses import basic
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, percent, version_of
from quarterdeck.health.web_service import WebService, document_of

PORTS = {"http": 15672, "https": 15671}

_NODE_COLUMNS = "running,mem_used,mem_limit,mem_alarm,disk_free_alarm"


class ManagementSettings(Protocol):
    """What of the probe's options is needed here."""

    @property
    def management_url(self) -> str: ...  # noqa: D102 - as in the options
    @property
    def management_user(self) -> str: ...  # noqa: D102
    @property
    def password(self) -> str: ...  # noqa: D102
    @property
    def verify_tls(self) -> bool: ...  # noqa: D102
    @property
    def ca_file(self) -> str: ...  # noqa: D102


class _Totals(Struct):
    messages_ready: int | None = None


class _Overview(Struct):
    rabbitmq_version: str
    queue_totals: _Totals = field(default_factory=_Totals)


class _Node(Struct):
    """A node that is down tells nothing else of itself."""

    running: bool
    mem_used: int | None = None
    mem_limit: int | None = None
    mem_alarm: bool = False
    disk_free_alarm: bool = False


class Management:
    """The interface of one cluster; any node answers for all of it."""

    def __init__(self, options: ManagementSettings, toolbox: Toolbox) -> None:
        self._service = WebService(
            toolbox, options.management_url, PORTS, verify_tls=options.verify_tls,
            ca_file=options.ca_file, key="management_url",
        )  # fmt: skip
        self.shown = self._service.place.shown
        self._headers = self._service.basic_authorization
        if options.management_user:
            self._headers = basic(options.management_user, options.password)

    async def look(self, stage: Stage) -> str | None:
        """Write the figures down, and give the version.

        Raises:
            Misbehaved: a node is down or blocks publishers, or it is not this interface.
        """
        columns = {"columns": "rabbitmq_version,queue_totals.messages_ready"}
        answer = await self._service.ask(stage, "/api/overview", self._headers, columns)
        overview: _Overview = document_of(answer, "RabbitMQ's management", _Overview)
        columns = {"columns": _NODE_COLUMNS}
        answer = await self._service.ask(stage, "/api/nodes", self._headers, columns)
        nodes: list[_Node] = document_of(answer, "RabbitMQ's management", list[_Node])
        stage.metrics["queue_backlog"] = overview.queue_totals.messages_ready
        used = [node.mem_used for node in nodes if node.mem_used is not None]
        stage.metrics["memory_used_bytes"] = sum(used) if used else None
        shares = [percent(node.mem_used or 0, node.mem_limit or 0) for node in nodes]
        stage.metrics["memory_used_percent"] = max(
            (share for share in shares if share is not None), default=None
        )
        _require_calm(nodes)
        return version_of(overview.rabbitmq_version)

    async def close(self) -> None:
        """Give the connection back."""
        await self._service.close()


def _require_calm(nodes: list[_Node]) -> None:
    down = sum(not node.running for node in nodes)
    if down:
        raise Misbehaved(f"{down} of its {len(nodes)} nodes are down")
    if any(node.mem_alarm for node in nodes):
        raise Misbehaved("a memory alarm blocks all that publish")
    if any(node.disk_free_alarm for node in nodes):
        raise Misbehaved("a disk alarm blocks all that publish")
