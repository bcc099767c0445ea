"""Services from settings; whatever is wrong is named by its key."""

from typing import Any, ClassVar, cast

import pytest
from msgspec import Struct

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.declared import DeclaredService, Registry, declare
from quarterdeck.health.model import Outcome, Reading, Threshold
from quarterdeck.health.ports import ProbeFactory, Toolbox
from quarterdeck.health.rules import DEFAULT_THRESHOLDS


class PortOptions(Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    port: int


class PortProbe:
    """The smallest adapter."""

    Options: ClassVar[type[Struct]] = PortOptions

    def __init__(self, options: PortOptions, toolbox: Toolbox) -> None:
        if options.port == 0:
            raise ConfigError("port: give one that somebody listens on.")
        self.target = f"port {options.port} within {cast(object, toolbox)}"

    async def check(self) -> Reading:
        return Reading(Outcome.OK)

    async def close(self) -> None:
        return None


def factory(kind: str) -> ProbeFactory:
    if kind != "port":
        raise ConfigError(f"there is no probe kind '{kind}'; known are port")
    return cast(ProbeFactory, PortProbe)


REGISTRY = Registry(factory, lambda timeout_s: cast(Toolbox, f"{timeout_s:g} s"))


def declared(*entries: dict[str, Any], watch_self: bool = False) -> list[DeclaredService]:
    return declare(entries, REGISTRY, watch_self=watch_self)


def test_entry_becomes_a_service_with_its_probes() -> None:
    (service,) = declared(
        {
            "name": "API", "interval_s": 30, "timeout_s": 2, "fall": 2, "rise": 1,
            "runbook_url": "https://wiki/api", "telemetry_names": ["api-server"],
            "probes": [{"kind": "port", "port": 80}],
        }
    )  # fmt: skip
    spec = service.spec
    assert (spec.name, spec.interval_s, spec.timeout_s) == ("API", 30, 2)
    assert (spec.fall, spec.rise, spec.runbook_url) == (2, 1, "https://wiki/api")
    assert spec.telemetry_names == ("api-server",)
    assert spec.thresholds == DEFAULT_THRESHOLDS
    assert [(each.kind, each.probe.target) for each in service.probes] == [
        ("port", "port 80 within 2 s")
    ]


def test_thresholds_may_have_dots_in_tables_or_in_names_and_be_turned_off() -> None:
    limits = {"degraded": 500, "recovered": 400}
    (service,) = declared(
        {
            "name": "API",
            "thresholds": {
                "response_time_ms": {"p95": limits, "p99": {**limits, "down": 900}},
                "response_time_ms.avg": limits,
                "error_rate_percent": False,
            },
        }
    )
    thresholds = service.spec.thresholds
    assert thresholds["response_time_ms.p95"] == Threshold(500, 400)
    assert thresholds["response_time_ms.p99"] == Threshold(500, 400, 900)
    assert thresholds["response_time_ms.avg"] == Threshold(500, 400)
    assert "error_rate_percent" not in thresholds


def test_own_service_comes_last_unless_it_is_declared() -> None:
    assert [s.spec.name for s in declared({"name": "A"}, watch_self=True)] == ["A", "Quarterdeck"]
    own = declared({"name": "Quarterdeck", "interval_s": 60}, watch_self=True)
    assert [service.spec.interval_s for service in own] == [60]


def test_own_service_may_be_depended_on() -> None:
    first, _ = declared({"name": "A", "depends_on": ["Quarterdeck"]}, watch_self=True)
    assert first.spec.depends_on == ("Quarterdeck",)


A, B, C = {"name": "A"}, {"name": "B"}, {"name": "C"}
P95 = "response_time_ms.p95"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([A, A], "health.services[1].name: expected a name that no other"),
        ([{}], "health.services[0]: object missing required field `name`"),
        ([{"name": " A"}], "health.services[0].name: expected a name without control"),
        ([{"name": ""}], "health.services[0].name"),
        ([A, {"name": "B", "colour": 1}], "health.services[1].colour"),
        ([{"name": "A", "interval_s": 0}], "health.services[0].interval_s"),
        ([{"name": "A", "fall": 0}], "health.services[0].fall"),
        ([{"name": "A", "timeout_s": 20}], "health.services[0].timeout_s: a check must end"),
        ([{"name": "A", "runbook_url": "x:1"}], "health.services[0].runbook_url: expected"),
        ([A, B, {**C, "depends_on": ["D"]}], "health.services[2].depends_on: there is no"),
        ([{**A, "depends_on": ["A"]}], "health.services[0].depends_on: services depend"),
        (
            [{**A, "depends_on": ["B"]}, {**B, "depends_on": ["C"]}, {**C, "depends_on": ["A"]}],
            "in a circle: A -> B -> C -> A.",
        ),
        ([{**A, "probes": [{}]}], "health.services[0].probes[0].kind: expected the kind"),
        ([{**A, "probes": [{"kind": "x"}]}], "probes[0].kind: there is no probe kind 'x'"),
        ([{**A, "probes": [{"kind": "port", "port": "a"}]}], "health.services[0].probes[0].port"),
        ([{**A, "probes": [{"kind": "port", "port": 0}]}], "health.services[0].probes[0]: port"),
        ([{**A, "thresholds": {P95: {"degraded": 1}}}], f"health.services[0].thresholds.{P95}"),
        ([{**A, "thresholds": {P95: 5}}], f"health.services[0].thresholds.{P95}"),
        (
            [{**A, "thresholds": {"m": {"degraded": 9, "recovered": 5, "down": 8}}}],
            "health.services[0].thresholds.m.down: must be past degraded (9)",
        ),
        (
            [{**A, "thresholds": {"m": {"degraded": 5, "recovered": 9, "down": 6}}}],
            "health.services[0].thresholds.m.down: must be past degraded (5)",
        ),
        (
            [{**A, "thresholds": {"m": {"degraded": float("nan"), "recovered": 9}}}],
            "health.services[0].thresholds.m.degraded: expected a finite number",
        ),
        (
            [{**A, "thresholds": {"No Metric": {"degraded": 5, "recovered": 9}}}],
            "health.services[0].thresholds.No Metric: expected the name of a metric",
        ),
        (
            [{**A, "telemetry_names": ["a", "b\n"]}],
            "health.services[0].telemetry_names[1]: expected a name without control",
        ),
    ],
    ids=[
        "name twice", "no name", "name with space", "empty name", "unknown key", "interval", "fall",
        "timeout", "runbook", "unknown dependency", "depends on itself", "circle", "no kind",
        "unknown kind", "probe option", "probe refuses", "half a threshold", "no threshold",
        "down above", "down below", "no number", "no metric", "control character",
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_key(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        declared(*entries)
    assert message in raised.value.message


def test_diamond_is_no_circle() -> None:
    names = declared(
        {"name": "A", "depends_on": ["B", "C"]}, {**B, "depends_on": ["D"]},
        {**C, "depends_on": ["D"]}, {"name": "D"},
    )  # fmt: skip
    assert len(names) == 4
