"""Probes that look at what this server knows: heartbeats and queues. The registry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract.health_probes.conftest import Build
from quarterdeck.core.errors import ConfigError, NotFound, SourceUnavailable
from quarterdeck.health import adapters
from quarterdeck.health.adapters import EXTRAS, PROBES, probe_factory
from quarterdeck.health.model import Outcome
from quarterdeck.health.ports import QueueBacklog

START = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
OPTIONS = {"name": "nightly", "interval_s": 60, "grace_s": 30}


class Clock:
    """Says what it is told to."""

    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize(
    ("after_s", "last_s", "outcome", "reason"),
    [
        (90, None, Outcome.UNKNOWN, "no heartbeat since this server's start"),
        (
            91,
            None,
            Outcome.FAIL,
            "no heartbeat since this server's start, 91 s ago, expected every 60 s",
        ),
        (300, 210, Outcome.OK, None),
        (300, 209, Outcome.FAIL, "the last heartbeat came 91 s ago, expected every 60 s"),
        (300, 400, Outcome.OK, None),  # the clock was set back
    ],
    ids=["early", "never", "young", "old", "future"],
)
async def test_heartbeat_fails_when_it_stays_away(
    build: Build, after_s: int, last_s: int | None, outcome: Outcome, reason: str | None
) -> None:
    clock, heard = Clock(), {}
    if last_s is not None:
        heard["nightly"] = START + timedelta(seconds=last_s)
    probe = build("heartbeat", OPTIONS, clock=clock, heartbeats=heard)
    clock.now = START + timedelta(seconds=after_s)
    reading = await probe.check()
    assert (reading.outcome, reading.reason) == (outcome, reason)
    age = None if last_s is None else max(0.0, after_s - last_s)
    assert reading.metrics == {"heartbeat_age_s": age}


@pytest.mark.parametrize(
    ("backlog", "outcome", "reason", "metrics", "facets"),
    [
        (QueueBacklog(17, False), Outcome.OK, None, {"queue_backlog": 17}, {"queue": "running"}),
        (QueueBacklog(0, None), Outcome.OK, None, {"queue_backlog": 0}, {}),
        (
            QueueBacklog(None, True),
            Outcome.UNKNOWN,
            "its engine cannot say how many jobs wait",
            {},
            {"queue": "paused"},
        ),
        (NotFound("s3cret"), Outcome.UNKNOWN, "there is no such queue", {}, {}),
        (
            SourceUnavailable("x", "s3cret"),
            Outcome.UNKNOWN,
            "the source of the queue is not available",
            {},
            {},
        ),
    ],
    ids=["known", "empty", "unknown", "missing", "unavailable"],
)
async def test_queue_gives_its_length(
    build: Build,
    backlog: QueueBacklog | Exception,
    outcome: Outcome,
    reason: str | None,
    metrics: dict[str, float],
    facets: dict[str, str],
) -> None:
    probe = build("queue", {"queue": "email:high", "source": "main"}, backlog=backlog)
    reading = await probe.check()
    assert (reading.outcome, reading.reason) == (outcome, reason)
    assert (dict(reading.metrics), dict(reading.facets)) == (metrics, facets)
    assert probe.target == "queue email:high"


@pytest.mark.parametrize("kind", PROBES)
def test_registered_probe_is_there_with_its_options(kind: str) -> None:
    factory: Any = probe_factory(kind)
    assert factory.Options.__struct_config__.forbid_unknown_fields
    assert factory.Options.__struct_config__.frozen
    assert "kind" in factory.Options.__struct_fields__


def test_unknown_probe_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no probe kind 'gopher'; known are http"):
        probe_factory("gopher")


@pytest.mark.parametrize("kind", EXTRAS)
def test_missing_driver_names_the_command(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'driver'", name="driver")

    monkeypatch.setattr(adapters, "import_module", missing)
    with pytest.raises(ConfigError, match=rf"pip install 'quarterdeck\[{EXTRAS[kind]}\]'"):
        probe_factory(kind)
