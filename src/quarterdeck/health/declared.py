"""From `[[health.services]]` to services with their probes. Errors name the key."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from quarterdeck.config import decode_options
from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import ServiceSpec, Threshold
from quarterdeck.health.ports import Probe, ProbeFactory, Toolbox
from quarterdeck.health.rules import with_defaults
from quarterdeck.health.telemetry import OWN_NAME

_UNSAFE = re.compile(r"^\s|\s\Z|[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_METRIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_URL = re.compile(r"https?://\S+")

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ThresholdSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`thresholds.<metric>` of a service; see `model.Threshold`."""

    degraded: float
    recovered: float
    down: float | None = None


class ServiceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of `[[health.services]]`."""

    name: Name
    interval_s: Annotated[float, Meta(ge=1, le=3600)] = 15.0
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 5.0
    thresholds: dict[str, Any] = {}
    """Metric to `ThresholdSettings`, or false: none, not even our own."""
    depends_on: list[str] = []
    runbook_url: str = ""
    fall: Annotated[int, Meta(ge=1, le=100)] = 3
    rise: Annotated[int, Meta(ge=1, le=100)] = 2
    telemetry_names: list[Name] = []
    probes: list[dict[str, Any]] = []
    """Each has a `kind`; the other keys belong to the adapter of that kind."""


@dataclass(frozen=True, slots=True)
class DeclaredProbe:
    """A probe and the name of its kind."""

    kind: str
    probe: Probe


@dataclass(frozen=True, slots=True)
class DeclaredService:
    """What is to be watched."""

    spec: ServiceSpec
    probes: Sequence[DeclaredProbe] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """Where probes come from."""

    factory: Callable[[str], ProbeFactory]
    """By kind. Raises ConfigError: there is none, or its extra is not installed."""
    toolbox: Callable[[float], Toolbox]
    """By `timeout_s` of the service."""


def declare(
    entries: Sequence[Mapping[str, Any]],
    registry: Registry,
    origin: str = "",
    *,
    watch_self: bool = False,
) -> list[DeclaredService]:
    """Services in the order of the settings; nothing is connected yet.

    `origin` is the settings file, for messages. With `watch_self` this server comes last, by its
    own response times, unless the settings declare a service of its name themselves.

    Raises:
        ConfigError: naming the key, such as `health.services[2].depends_on`.
    """
    path = Path(origin) if origin else None
    given = [
        decode_options(entry, ServiceSettings, f"health.services[{index}]", path)
        for index, entry in enumerate(entries)
    ]
    _require_names(given)
    if watch_self and OWN_NAME not in {each.name for each in given}:
        given.append(ServiceSettings(OWN_NAME))
    _require_known(given)
    _require_acyclic(given)
    declared = []
    for index, settings in enumerate(given):
        where = f"health.services[{index}]"
        spec = _spec(settings, where, path)
        probes = [
            _probe(entry, registry, spec.timeout_s, f"{where}.probes[{place}]", path)
            for place, entry in enumerate(settings.probes)
        ]
        declared.append(DeclaredService(spec, probes))
    return declared


def _spec(settings: ServiceSettings, where: str, path: Path | None) -> ServiceSpec:
    if settings.runbook_url and not _URL.fullmatch(settings.runbook_url):
        raise ConfigError(f"{where}.runbook_url: expected an address that begins with https://.")
    if settings.timeout_s > settings.interval_s:
        raise ConfigError(
            f"{where}.timeout_s: a check must end before the next one begins; give at most "
            f"interval_s, {settings.interval_s:g}."
        )
    return ServiceSpec(
        name=settings.name,
        interval_s=settings.interval_s,
        timeout_s=settings.timeout_s,
        thresholds=with_defaults(_thresholds(settings.thresholds, f"{where}.thresholds", path)),
        depends_on=tuple(settings.depends_on),
        runbook_url=settings.runbook_url or None,
        fall=settings.fall,
        rise=settings.rise,
        telemetry_names=tuple(settings.telemetry_names),
    )


def _thresholds(
    given: Mapping[str, Any], where: str, path: Path | None, stem: str = ""
) -> dict[str, Threshold | None]:
    """TOML makes tables of the dots in `response_time_ms.p95`, which are part of a name here."""
    found: dict[str, Threshold | None] = {}
    for key, value in given.items():
        metric, place = f"{stem}{key}", f"{where}.{key}"
        if value is False:
            found[metric] = None
        elif isinstance(value, dict) and not value.keys() & {"degraded", "recovered", "down"}:
            found |= _thresholds(value, place, path, f"{metric}.")
        else:
            found[metric] = _threshold(value, metric, place, path)
    return found


def _threshold(value: Any, metric: str, where: str, path: Path | None) -> Threshold:
    _require_metric(metric, where)
    decoded: ThresholdSettings = decode_options(value, ThresholdSettings, where, path)
    threshold = Threshold(decoded.degraded, decoded.recovered, decoded.down)
    for name, limit in (("degraded", threshold.degraded), ("recovered", threshold.recovered),
                        ("down", threshold.down)):  # fmt: skip
        if limit is not None and not isfinite(limit):
            raise ConfigError(f"{where}.{name}: expected a finite number.")
    if threshold.down is not None:
        less = threshold.is_less_worse
        if threshold.down > threshold.degraded if less else threshold.down < threshold.degraded:
            raise ConfigError(
                f"{where}.down: must be past degraded ({threshold.degraded:g}), on the other side "
                f"of it than recovered ({threshold.recovered:g})."
            )
    return threshold


def _require_metric(metric: str, where: str) -> None:
    if not _METRIC.fullmatch(metric):
        raise ConfigError(f"{where}: expected the name of a metric, such as queue_backlog.")


def _probe(
    entry: Mapping[str, Any], registry: Registry, timeout_s: float, where: str, path: Path | None
) -> DeclaredProbe:
    kind = entry.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ConfigError(f"{where}.kind: expected the kind of a probe, such as 'http'.")
    try:
        factory = registry.factory(kind)
    except ConfigError as error:
        raise ConfigError(f"{where}.kind: {error.message}") from None
    options = decode_options(entry, factory.Options, where, path)
    try:
        return DeclaredProbe(kind, factory(options, registry.toolbox(timeout_s)))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from None


def _require_names(given: Sequence[ServiceSettings]) -> None:
    names = set()
    for index, settings in enumerate(given):
        where = f"health.services[{index}]"
        _require_safe(settings.name, f"{where}.name")
        for place, name in enumerate(settings.telemetry_names):
            _require_safe(name, f"{where}.telemetry_names[{place}]")
        if settings.name in names:
            raise ConfigError(f"{where}.name: expected a name that no other service has.")
        names.add(settings.name)


def _require_safe(name: str, where: str) -> None:
    if _UNSAFE.search(name):
        raise ConfigError(
            f"{where}: expected a name without control characters, and without space around it."
        )


def _require_known(given: Sequence[ServiceSettings]) -> None:
    names = {settings.name for settings in given}
    for index, settings in enumerate(given):
        for other in settings.depends_on:
            if other not in names:
                raise ConfigError(
                    f"health.services[{index}].depends_on: there is no service '{other}'."
                )


def _require_acyclic(given: Sequence[ServiceSettings]) -> None:
    indexes = {settings.name: index for index, settings in enumerate(given)}
    done: set[str] = set()
    for start in indexes:
        # Names on the way here, and what is still to be looked at of each.
        trail: dict[str, list[str]] = {start: list(given[indexes[start]].depends_on)}
        while trail:
            name, left = next(reversed(trail.items()))
            if not left or name in done:
                done.add(name)
                trail.popitem()
                continue
            following = left.pop()
            if following in trail:
                names = list(trail)
                circle = [*names[names.index(following) :], following]
                raise ConfigError(
                    f"health.services[{indexes[following]}].depends_on: services depend on each "
                    f"other in a circle: {' -> '.join(circle)}."
                )
            trail[following] = list(given[indexes[following]].depends_on)
