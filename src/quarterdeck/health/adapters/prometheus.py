"""Takes a service's figures from the Prometheus that its owner has already."""

import asyncio
import math
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from msgspec import Struct, field

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import Outcome, Reading
from quarterdeck.health.ports import Toolbox
from quarterdeck.health.probing import Misbehaved, Stage, observed
from quarterdeck.health.web_service import WebService, document_of

PORTS = {"http": 9090, "https": 9090}


class PrometheusOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[[health.services.probes]]` entry of kind `prometheus` may say.

    Each query is PromQL that gives one series or a number; it is asked as an instant query.
    """

    url: str
    """`http(s)://user:password@host:9090`, with the path before `/api/v1` if there is one."""
    kind: str = "prometheus"
    avg: str = ""
    p95: str = ""
    p99: str = ""
    error_rate: str = ""
    request_rate: str = ""
    """Requests a second."""
    queries: dict[str, str] = {}
    """Any other metric by its name, in its own unit."""
    time_unit: Literal["s", "ms"] = "s"
    """Of `avg`, `p95` and `p99`."""
    error_unit: Literal["ratio", "percent"] = "ratio"
    """Of `error_rate`."""
    token: str = ""
    """Sent as a bearer, instead of user and password."""
    verify_tls: bool = True
    ca_file: str = ""


class _Data(Struct):
    result_type: Literal["scalar", "vector"] = field(name="resultType")
    result: Any


class _Found(Struct):
    data: _Data
    status: Literal["success"]


class PrometheusProbe:
    """OK when Prometheus has data. When it cannot be asked, nothing is known of the service."""

    Options: ClassVar[type[Struct]] = PrometheusOptions

    def __init__(self, options: PrometheusOptions, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._service = WebService(
            toolbox, options.url, PORTS, verify_tls=options.verify_tls, ca_file=options.ca_file
        )
        self.target = f"Prometheus at {self._service.place.shown}"
        self._headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **(
                {"Authorization": f"Bearer {options.token}"}
                if options.token
                else self._service.basic_authorization
            ),
        }
        self._queries = _queries(options)
        if not self._queries:
            raise ConfigError("a prometheus probe needs a query: avg, p95, error_rate or another.")

    async def check(self) -> Reading:
        """Ask all queries side by side."""
        reading = await observed(self._steps, self._toolbox.timeout_s, "Prometheus")
        if reading.outcome is Outcome.FAIL:
            return replace(reading, outcome=Outcome.UNKNOWN, reason=f"Prometheus: {reading.reason}")
        return reading

    async def close(self) -> None:
        """Give the connections back."""
        await self._service.close()

    async def _steps(self, stage: Stage) -> Reading:
        try:
            async with asyncio.TaskGroup() as group:
                asked = {
                    name: group.create_task(self._ask(stage, name, query))
                    for name, (query, _) in self._queries.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        metrics = {
            name: _scaled(task.result(), self._queries[name][1]) for name, task in asked.items()
        }
        if all(value is None for value in metrics.values()):
            raise Misbehaved("it has no data for any of the queries", metrics)
        return Reading(Outcome.OK, metrics=metrics)

    async def _ask(self, stage: Stage, name: str, query: str) -> float | None:
        form = urlencode({"query": query, "timeout": f"{self._toolbox.timeout_s:g}"}).encode()
        answer = await self._service.ask(stage, "/api/v1/query", self._headers, form=form)
        if answer.status in {400, 422, 503}:
            raise Misbehaved(f"it refused the query of {name} ({answer.status})")
        found: _Found = document_of(answer, "Prometheus", _Found)
        return _number(found.data, name)


def _queries(options: PrometheusOptions) -> dict[str, tuple[str, float]]:
    """Metric to its query, and by what the answer is multiplied."""
    to_ms = 1000.0 if options.time_unit == "s" else 1.0
    to_percent = 100.0 if options.error_unit == "ratio" else 1.0
    named = {
        "response_time_ms.avg": (options.avg, to_ms),
        "response_time_ms.p95": (options.p95, to_ms),
        "response_time_ms.p99": (options.p99, to_ms),
        "error_rate_percent": (options.error_rate, to_percent),
        "request_rate": (options.request_rate, 1.0),
        **{name: (query, 1.0) for name, query in options.queries.items()},
    }
    return {name: found for name, found in named.items() if found[0]}


def _number(data: _Data, name: str) -> float | None:
    try:
        if data.result_type == "scalar":
            return _finite(data.result[1])
        if len(data.result) > 1:
            raise Misbehaved(f"the query of {name} gives {len(data.result)} series; aggregate them")
        return _finite(data.result[0]["value"][1]) if data.result else None
    except (LookupError, TypeError, ValueError):
        raise Misbehaved("it answered with something that is not Prometheus") from None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
