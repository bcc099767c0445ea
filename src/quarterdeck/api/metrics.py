"""`/metrics`: this server and what it watches, for a Prometheus."""

import contextlib

from litestar import Response, get
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from quarterdeck.alerts.service import AlertService, AlertStats
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.health.model import ServiceStatus, Snapshot
from quarterdeck.health.service import HealthService
from quarterdeck.logs.model import Intake
from quarterdeck.logs.service import LogService
from quarterdeck.queues.model import QueueStatus
from quarterdeck.queues.rules import status_of
from quarterdeck.queues.service import QueueListing, QueueService

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


@get("/metrics", include_in_schema=False)
async def get_metrics(
    queues: QueueService,
    logs: LogService,
    health: HealthService,
    alerts: AlertService,
    server_metrics: Metrics,
) -> Response[bytes]:
    """Prometheus metrics: requests, queues, log lines, services, alerts and their notices."""
    scrape = CollectorRegistry()
    scrape.register(_QueueFamilies(await queues.list_queues()))
    scrape.register(_LogFamilies(logs.intake))
    scrape.register(_HealthFamilies(health.snapshot()))
    with contextlib.suppress(SourceUnavailable):
        # Without the database the alerts are unknown, and the rest is worth as much as ever.
        scrape.register(_AlertFamilies(await alerts.stats()))
    body = generate_latest(server_metrics.registry) + generate_latest(scrape)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


class _QueueFamilies:
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


class _HealthFamilies:
    """The last snapshot. A service of which nothing is known has no status here."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> list[GaugeMetricFamily]:
        status = GaugeMetricFamily(
            "quarterdeck_service_status", "1: the service is in this state.",
            labels=["service", "status"],
        )  # fmt: skip
        stale = GaugeMetricFamily(
            "quarterdeck_service_stale", "1: there is no fresh reading.", labels=["service"]
        )
        measure = GaugeMetricFamily(
            "quarterdeck_service_measure", "What probes and telemetry measured, by its name.",
            labels=["service", "measure"],
        )  # fmt: skip
        online = GaugeMetricFamily(
            "quarterdeck_monitor_online", "0: this monitor has lost its own network.",
            self._snapshot.monitor_online,
        )  # fmt: skip
        for service in self._snapshot.services:
            _add(stale, [service.name], service.stale)
            if not service.stale:
                for each in ServiceStatus:
                    _add(status, [service.name, each], service.status is each)
                for name, value in service.metrics.items():
                    _add(measure, [service.name, name], value)
        return [status, stale, measure, online]


class _AlertFamilies:
    """Alerts that are open, and notices that are not delivered."""

    def __init__(self, stats: AlertStats) -> None:
        self._stats = stats

    def collect(self) -> list[GaugeMetricFamily]:
        stats = self._stats
        opened = GaugeMetricFamily("quarterdeck_alerts", "Open alerts.", labels=["state"])
        _add(opened, ["pending"], stats.pending)
        _add(opened, ["firing"], stats.firing)
        lag = GaugeMetricFamily(
            "quarterdeck_alert_evaluation_age_seconds", "Since the alerts were last evaluated.",
            labels=[],
        )  # fmt: skip
        _add(lag, [], stats.lag_s)
        return [
            opened,
            lag,
            GaugeMetricFamily(
                "quarterdeck_alert_notices_waiting", "Notices to be delivered.",
                stats.waiting_notices,
            ),
            GaugeMetricFamily(
                "quarterdeck_alert_notices_dead", "Notices that were given up.",
                stats.dead_letters,
            ),
        ]  # fmt: skip


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, float(value))
