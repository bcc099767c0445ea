"""Asks Elasticsearch or OpenSearch how its cluster is."""

from typing import ClassVar, Literal

from msgspec import Struct, field

from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed, present, version_of
from quarterdeck.health.web_service import WebService, document_of

PORTS = {"http": 9200, "https": 9200}


class ElasticsearchOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `elasticsearch` may say."""

    url: str
    """`http(s)://user:password@host:9200`."""
    kind: str = "elasticsearch"
    token: str = ""
    """An API key in its encoded form, instead of user and password."""
    verify_tls: bool = True
    ca_file: str = ""


class _Health(Struct):
    status: Literal["green", "yellow", "red"]
    unassigned_shards: int
    number_of_nodes: int
    timed_out: bool = False


class _Version(Struct):
    number: str = ""


class _Root(Struct):
    version: _Version = field(default_factory=_Version)


class ElasticsearchProbe:
    """OK when the cluster is green or yellow; red is a failure. The connection is kept."""

    Options: ClassVar[type[Struct]] = ElasticsearchOptions

    def __init__(self, options: ElasticsearchOptions, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._service = WebService(
            toolbox, options.url, PORTS, verify_tls=options.verify_tls, ca_file=options.ca_file
        )
        self.target = self._service.place.shown
        self._headers = (
            {"Authorization": f"ApiKey {options.token}"}
            if options.token
            else self._service.basic_authorization
        )
        self._version: str | None = None

    async def check(self) -> Reading:
        """Ask for the cluster's health, and once for its version."""
        return await observed(self._steps, self._toolbox.timeout_s, "Elasticsearch")

    async def close(self) -> None:
        """Give the connection back."""
        await self._service.close()

    async def _steps(self, stage: Stage) -> Reading:
        if self._version is None:
            root = await self._service.ask(stage, "/", self._headers)
            self._version = version_of(document_of(root, "Elasticsearch", _Root).version.number)
        answer = await self._service.ask(stage, "/_cluster/health", self._headers)
        health: _Health = document_of(answer, "Elasticsearch", _Health)
        stage.metrics["unassigned_shards"] = health.unassigned_shards
        stage.metrics["nodes"] = health.number_of_nodes
        if health.timed_out:
            raise Misbehaved("its master did not answer in time")
        is_red = health.status == "red"
        return Reading(
            Outcome.FAIL if is_red else Outcome.OK,
            f"the cluster is red: {health.unassigned_shards} shards unassigned" if is_red else None,
            answer.latency_ms,
            stage.metrics,
            present({"cluster_status": health.status, "version": self._version}),
        )
