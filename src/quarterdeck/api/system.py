"""`/healthz`, `/readyz` and `/metrics`: what runs this server watches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response, Router, get
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from quarterdeck import __version__
from quarterdeck.api.envelope import Envelope, encode, ok
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.logs.model import Intake
from quarterdeck.logs.service import LogService
from quarterdeck.queues.model import QueueStatus
from quarterdeck.queues.rules import status_of
from quarterdeck.queues.service import QueueListing, QueueService

Check = Callable[[], Awaitable[None]]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """This server's own metrics; one registry for each server, nothing global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "quarterdeck_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "quarterdeck_http_request_duration_seconds",
            "Time to answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )


@get("/healthz", include_in_schema=False)
async def healthz() -> Envelope[dict[str, str]]:
    """The process is alive and answers."""
    return ok({"status": "alive", "version": __version__})


def readiness(checks: Mapping[str, Check]) -> Any:
    """`/readyz`: can serve, because everything that every request needs answers."""

    @get("/readyz", include_in_schema=False)
    async def readyz() -> Response[bytes]:
        """200 when all checks pass, else 503 with those that do not."""
        found = {name: await _outcome(check) for name, check in checks.items()}
        ready = all(outcome == "ok" for outcome in found.values())
        body = {"success": ready, "data": {"ready": ready, "checks": found}}
        return Response(
            encode(body), status_code=200 if ready else 503, media_type="application/json"
        )

    return readyz


async def _outcome(check: Check) -> str:
    try:
        await check()
    except QuarterdeckError as error:
        return error.message
    return "ok"


@get("/metrics", include_in_schema=False)
async def metrics(
    queues: QueueService, logs: LogService, server_metrics: Metrics
) -> Response[bytes]:
    """Prometheus metrics: this server's requests, every queue's counts, lines taken in."""
    listing = await queues.list_queues()
    scrape = CollectorRegistry()
    scrape.register(_Families(listing))
    scrape.register(_LogFamilies(logs.intake))
    body = generate_latest(server_metrics.registry) + generate_latest(scrape)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


class _Families:
    """One listing as metric families. What is unknown has no sample."""

    def __init__(self, listing: QueueListing) -> None:
        self._listing = listing

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["source", "queue"]
        jobs = GaugeMetricFamily(
            "quarterdeck_queue_jobs", "Jobs of a queue by state.", labels=[*labels, "state"]
        )
        hour = GaugeMetricFamily(
            "quarterdeck_queue_completed_last_hour", "Jobs completed.", labels=labels
        )
        paused = GaugeMetricFamily("quarterdeck_queue_paused", "1: paused.", labels=labels)
        critical = GaugeMetricFamily("quarterdeck_queue_critical", "1: critical.", labels=labels)
        up = GaugeMetricFamily("quarterdeck_source_up", "1: the source answers.", labels=["source"])
        for ref, stats in self._listing.queues:
            names = [ref.source, ref.name]
            for state in ("waiting", "active", "failed"):
                _add(jobs, [*names, state], getattr(stats, state))
            _add(hour, names, stats.completed_last_hour)
            _add(paused, names, stats.paused)
            status = status_of(stats)
            known = status is not QueueStatus.UNKNOWN
            _add(critical, names, status is QueueStatus.CRITICAL if known else None)
        for source in self._listing.sources:
            _add(up, [source.name], source.error is None)
        return [jobs, hour, paused, critical, up]


class _LogFamilies:
    """What this server has taken in since its start."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def collect(self) -> list[Metric]:
        intake = self._intake
        return [
            CounterMetricFamily(
                "quarterdeck_log_lines_stored", "Log lines stored.", intake.stored
            ),
            CounterMetricFamily(
                "quarterdeck_log_lines_failed", "Log lines that could not be stored; their "
                "senders were told.", intake.failed,
            ),
            CounterMetricFamily(
                "quarterdeck_log_inserts", "Inserts of log lines.", intake.inserts
            ),
            CounterMetricFamily(
                "quarterdeck_syslog_datagrams_dropped", "Syslog over UDP for which there was no "
                "room.", intake.dropped_datagrams,
            ),
            GaugeMetricFamily(
                "quarterdeck_log_waiting_bytes", "Lines received and not yet stored.",
                intake.waiting_bytes,
            ),
        ]  # fmt: skip


def _add(family: GaugeMetricFamily, labels: list[str], value: int | bool | None) -> None:
    if value is not None:
        family.add_metric(labels, float(value))


def public_router(checks: Mapping[str, Check]) -> Router:
    """Routes that anyone may ask."""
    return Router(path="/", route_handlers=[healthz, readiness(checks)])
