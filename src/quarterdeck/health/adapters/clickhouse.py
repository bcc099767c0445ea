"""Asks ClickHouse over HTTP: version and memory, then how long `SELECT 1` takes."""

from typing import ClassVar
from urllib.parse import unquote

from msgspec import Struct

from quarterdeck.health.addresses import place_of
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed, present, version_of
from quarterdeck.health.web_service import WebService

PORTS = {"http": 8123, "https": 8443}


class ClickhouseOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `clickhouse` may say."""

    url: str
    """`http(s)://user:password@host:8123/database`."""
    kind: str = "clickhouse"
    verify_tls: bool = True
    ca_file: str = ""


class ClickhouseProbe:
    """OK when it answers queries. The connection is kept, so that the query alone is timed."""

    Options: ClassVar[type[Struct]] = ClickhouseOptions

    def __init__(self, options: ClickhouseOptions, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        place = place_of(options.url, PORTS)
        self._service = WebService(
            toolbox, place.origin, PORTS, verify_tls=options.verify_tls, ca_file=options.ca_file
        )
        self.target = place.shown
        self._query = {"default_format": "TabSeparated"}
        if place.path.strip("/"):
            self._query["database"] = unquote(place.path.strip("/"))
        self._headers = {"X-ClickHouse-User": place.user} if place.user else {}
        if place.user and place.password:
            self._headers["X-ClickHouse-Key"] = place.password

    async def check(self) -> Reading:
        """Two queries; the first one also connects, when that is needed."""
        return await observed(self._steps, self._toolbox.timeout_s, "ClickHouse")

    async def close(self) -> None:
        """Give the connection back."""
        await self._service.close()

    async def _steps(self, stage: Stage) -> Reading:
        version, _ = await self._select(stage, "SELECT version()")
        one, took = await self._select(stage, "SELECT 1")
        if one != "1":
            raise Misbehaved("it answered SELECT 1 with something that is not ClickHouse")
        stage.metrics["query_latency_ms"] = took
        return Reading(
            Outcome.OK,
            latency_ms=took,
            metrics=stage.metrics,
            facets=present({"version": version_of(version)}),
        )

    async def _select(self, stage: Stage, sql: str) -> tuple[str, float]:
        answer = await self._service.ask(stage, "/", self._headers, {**self._query, "query": sql})
        code = answer.headers.get("X-ClickHouse-Exception-Code", "")
        if answer.status != 200:
            number = f" with its error {code[:6]}" if code.isdigit() else ""
            raise Misbehaved(f"answered {answer.status}{number}, expected 200")
        if answer.is_cut:
            raise Misbehaved("it sent more than 64 KiB")
        return answer.body.decode(errors="replace").strip(), answer.latency_ms
