"""What measuring response times costs, and how exact it is: `python benchmarks/telemetry.py`.

Prints a table with the targets. Times are the best of five runs; the middleware's are what it adds
to an application that does nothing.
"""

import asyncio
import math
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quarterdeck.contrib.asgi import QuarterdeckMiddleware as AsgiMiddleware
from quarterdeck.contrib.slices import Ledger
from quarterdeck.contrib.wsgi import QuarterdeckMiddleware as WsgiMiddleware
from quarterdeck.core.histogram import Histogram
from quarterdeck.health.otlp_metrics import MetricsIntake
from quarterdeck.health.telemetry import SelfTelemetry
from quarterdeck.health.windows import Windows

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from unit.telemetry.metrics_server import metrics_server
from unit.telemetry.otlp import JSON, PROTOBUF, attributes, document, encoded, explicit, metric

ROUNDS = 5
CALLS = 20_000
NOW = datetime(2026, 11, 24, 10, 0, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    what: str
    target: str
    measured: str
    ok: bool | None = None


def best(work: Callable[[], object], calls: int) -> float:
    """Nanoseconds a call."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - started)
    return min(times) / calls


def cost(what: str, target_ns: float, measured_ns: float) -> Line:
    return Line(what, f"<= {target_ns:,.0f} ns", f"{measured_ns:,.0f} ns", measured_ns <= target_ns)


def latencies(count: int) -> list[float]:
    r = random.Random(7)
    return [r.lognormvariate(-3, 1) * (20 if r.random() < 0.01 else 1) for _ in range(count)]


def recording() -> list[Line]:
    numbers = latencies(CALLS)

    def each(record: Callable[[float], object]) -> Callable[[], None]:
        def work() -> None:
            for number in numbers:
                record(number)

        return work

    own = SelfTelemetry(Windows())
    observe, add = own.observe, Histogram().add
    record = Ledger(300).record
    return [
        cost("histogram: add", 700, best(each(add), CALLS)),
        cost("server's own: observe", 1000, best(each(lambda n: observe(n, 200)), CALLS)),
        cost("middleware: count a request", 2000, best(each(lambda n: record(n, 200)), CALLS)),
    ]


def exactness() -> list[Line]:
    numbers = latencies(200_000)
    histogram = Histogram()
    for number in numbers:
        histogram.add(number)
    numbers.sort()
    lines = []
    for q in (0.5, 0.95, 0.99, 0.999):
        exact, found = numbers[math.ceil(q * len(numbers)) - 1], histogram.quantile(q)
        assert found is not None
        error = 100 * abs(found / exact - 1)
        lines.append(Line(f"error of p{100 * q:g}", "<= 1.1 %", f"{error:.2f} %", error <= 1.1))
    lines.append(Line("buckets of 200,000 values", "", f"{len(histogram.buckets)}"))
    return lines


async def _asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


async def _discard(_: Any = None) -> None:
    pass


def asgi(url: str) -> Line:
    wrapped = AsgiMiddleware(_asgi_app, url=url, token="t")

    async def calls(app: Any) -> None:
        for _ in range(CALLS):
            await app({"type": "http"}, _discard, _discard)

    bare = best(lambda: asyncio.run(calls(_asgi_app)), CALLS)
    measured = best(lambda: asyncio.run(calls(wrapped)), CALLS)
    wrapped.meter.close()
    return cost("ASGI middleware: a request", 10_000, measured - bare)


def wsgi(url: str) -> Line:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    wrapped = WsgiMiddleware(app, url=url, token="t")

    def calls(serve: Any) -> None:
        for _ in range(CALLS):
            response = serve({}, lambda *_: None)
            for _ in response:
                pass
            if hasattr(response, "close"):
                response.close()

    bare = best(lambda: calls(app), CALLS)
    measured = best(lambda: calls(wrapped), CALLS)
    wrapped.meter.close()
    return cost("WSGI middleware: a request", 10_000, measured - bare)


def taking() -> list[Line]:
    """A document of 300 series: routes by methods by statuses."""
    points = [
        explicit(NOW, attributes=attributes(http__route=f"/r{n}", http__response__status_code=200))
        for n in range(300)
    ]
    lines = []
    for name, kind in (("JSON", JSON), ("protobuf", PROTOBUF)):
        body = encoded(document(metric(*points)), kind)
        intake = MetricsIntake(Windows(lambda: NOW), lambda: NOW)
        nanoseconds = best(partial(intake.take, body, kind), 1)
        lines.append(cost(f"take 300 fixed-bucket series, {name}", 50e6, nanoseconds))
    return lines


def asking() -> Line:
    now = [NOW]
    windows = Windows(lambda: now[0])
    for _ in range(30):
        histogram = Histogram()
        for number in latencies(2000):
            histogram.add(number)
        windows.add("api", now[0], histogram, errors=0)
        now[0] += timedelta(seconds=10)
    now[0] -= timedelta(seconds=10)
    measured = best(lambda: windows.summary(["api"], now[0]), 1)
    return cost("summary of 30 slices", 5e6, measured)


def main() -> None:
    with metrics_server() as server:
        lines = [*exactness(), *recording(), asgi(server.url), wsgi(server.url)]
    lines += [*taking(), asking()]
    table = Table("what", "target", "measured", "")
    for line in lines:
        verdict = "" if line.ok is None else "ok" if line.ok else "MISSED"
        table.add_row(line.what, line.target, line.measured, verdict)
    Console().print(table)


if __name__ == "__main__":
    main()
