"""The examples of docs/telemetry.md do what the page says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.health.otlp_metrics import meaning
from quarterdeck.health.otlp_metrics.series import CumulativeSeries
from unit.telemetry.metrics_server import MetricsServer, metrics_server
from unit.telemetry.otlp import nanoseconds

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
URL = "https://ops.example"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with metrics_server() as server:
        yield server


def executed(number: int, server: MetricsServer, **names: Any) -> dict[str, Any]:
    names["token"] = "t"
    exec(examples("python")[number].replace(URL, server.url), names)
    return names


async def test_asgi_example_measures(server: MetricsServer) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def nothing(*_: Any) -> None:
        pass

    wrapped = executed(0, server, app=app)["app"]
    await wrapped({"type": "http"}, nothing, nothing)
    wrapped.meter.close()
    assert server.wait_for_count("API Server", 1).error_rate_percent == 0.0


def test_wsgi_example_measures(server: MetricsServer) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    wrapped = executed(1, server, app=app)["app"]
    response = wrapped({}, lambda *_: None)
    assert list(response) == [b"x"]
    response.close()
    wrapped.meter.close()
    assert server.wait_for_count("API Server", 1).error_rate_percent == 0.0


def test_meter_example_measures(server: MetricsServer) -> None:
    delivered: list[str] = []
    names = executed(2, server, deliver=delivered.append, message="m")
    names["meter"].close()
    assert delivered == ["m"]
    assert server.wait_for_count("SMTP Service", 1).count == 1


def test_json_example_is_counted(server: MetricsServer) -> None:
    [text] = examples("json")
    now = server.windows._clock()
    text = re.sub(r'(?<="startTimeUnixNano": )"\d+"', f'"{nanoseconds(now, -10)}"', text)
    text = re.sub(r'(?<="timeUnixNano": )"\d+"', f'"{nanoseconds(now)}"', text)
    answer = server.intake.take(json.dumps(json.loads(text)).encode(), "application/json")
    assert answer.body == b"{}"
    summary = server.summary("API Server")
    assert summary is not None
    assert (summary.count, summary.error_rate_percent) == (100, 0.0)
    assert summary.avg_ms == pytest.approx(85)
    assert summary.approximate


def test_table_names_each_metric_with_its_unit() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert dict(rows) == meaning.USED


def test_limits_are_those_of_the_code() -> None:
    assert CumulativeSeries(300)._most == 10_000
    assert "10,000 such series" in PAGE
    assert "2,000 services" in PAGE
