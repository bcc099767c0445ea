"""Rules and channels as the settings say them."""

from typing import Any, ClassVar

import pytest
from msgspec import Struct

from quarterdeck.alerts.channel_options import ChannelOptions
from quarterdeck.alerts.defaults import DEFAULTS
from quarterdeck.alerts.model import Notification, Operator, Severity
from quarterdeck.alerts.ports import ChannelFactory
from quarterdeck.alerts.routing import Route
from quarterdeck.alerts.settings import LogWatch, build_channels, decode_rules
from quarterdeck.core.errors import ConfigError

NEW = {
    "name": "old_jobs", "source": "queue", "measure": "oldest_waiting_age_s", "operator": ">",
    "threshold": 600, "severity": "warning", "message": "{subject}: {value} s",
}  # fmt: skip
SEARCH = {
    "name": "errors", "search": "Bounces", "minutes": 5, "above": 100, "severity": "error",
}  # fmt: skip


def test_no_entry_leaves_the_defaults() -> None:
    assert decode_rules([]) == (list(DEFAULTS), [])


def test_default_is_adjusted_and_disabled_by_its_name() -> None:
    rules, _ = decode_rules(
        [
            {"name": "queue_depth", "threshold": 500, "severity": "warning", "for_s": 60},
            {"name": "connection_pool", "enabled": False},
        ]
    )
    by_name = {rule.name: rule for rule in rules}
    depth = by_name["queue_depth"]
    assert (depth.threshold, depth.severity, depth.for_s) == (500, Severity.WARNING, 60)
    assert (depth.measure, depth.is_enabled) == ("waiting", True)
    assert not by_name["connection_pool"].is_enabled
    assert len(rules) == len(DEFAULTS)


def test_new_rule_is_added() -> None:
    rules, _ = decode_rules([NEW])
    assert len(rules) == len(DEFAULTS) + 1
    assert (rules[-1].operator, rules[-1].threshold) == (Operator.ABOVE, 600)


def test_search_becomes_a_rule_and_something_to_count() -> None:
    rules, watches = decode_rules([SEARCH])
    rule = rules[-1]
    assert (rule.source, rule.measure, rule.threshold) == ("log_search", "count", 100)
    assert rule.match == {"subject": "Bounces", "minutes": "5"}
    assert watches == [LogWatch("Bounces", 5)]


def test_disabled_search_is_not_counted() -> None:
    rules, watches = decode_rules([SEARCH | {"enabled": False}])
    assert (rules[-1].is_enabled, watches) == (False, [])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (NEW | {"severity": "bad"}, r"^alerts\.rules\[1\]\.severity: .*"),
        (NEW | {"colour": "red"}, r"^alerts\.rules\[1\].*colour"),
        (NEW | {"for_s": -1}, r"^alerts\.rules\[1\]\.for_s: "),
        (NEW | {"operator": "~"}, r"^alerts\.rules\[1\]\.operator: "),
        (NEW | {"threshold": "many"}, r"^alerts\.rules\[1\]\.threshold: '>' compares numbers"),
        ({"name": "x", "source": "queue"}, r"^alerts\.rules\[1\]\.measure: missing"),
        ({"severity": "info"}, r"^alerts\.rules\[1\].*name"),
        ({"name": "queue_depth", "above": 3}, r"^alerts\.rules\[1\]\.above: only goes with"),
        (SEARCH | {"threshold": 3}, r"^alerts\.rules\[1\]\.threshold: does not go with"),
        ({"name": "x", "search": "s", "minutes": 5}, r"^alerts\.rules\[1\]\.above: missing"),
        ({"name": "ip_reputation"}, r"^alerts\.rules\[1\]\.name: 'ip_reputation' is there twice"),
    ],
    ids=range(11),
)  # fmt: skip
def test_wrong_rule_is_refused_by_the_key(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode_rules([{"name": "ip_reputation"}, entry])


class PlainOptions(ChannelOptions, frozen=True):
    url: str


class PlainChannel:
    Options: ClassVar[type[Struct]] = PlainOptions
    resend_s = 60.0

    def __init__(self, options: PlainOptions) -> None:
        self.options = options

    async def send(self, notification: Notification) -> None:
        pass

    async def close(self) -> None:
        pass


def factory_of(kind: str) -> ChannelFactory:
    if kind != "plain":
        raise ConfigError(f"there is no channel kind '{kind}'")
    factory: Any = PlainChannel  # a class object never matches a ClassVar of a protocol
    made: ChannelFactory = factory
    return made


def test_channel_has_its_place_and_its_own_options() -> None:
    routes, outlets = build_channels(
        [
            {"name": "a", "kind": "plain", "url": "u", "min_severity": "error", "step": 2},
            {"name": "b", "kind": "plain", "url": "v", "timeout_s": 3},
        ],
        factory_of,
    )
    assert routes == [Route("a", Severity.ERROR, 2), Route("b", Severity.INFO, 1)]
    assert (outlets["a"].timeout_s, outlets["b"].timeout_s) == (10.0, 3.0)
    assert outlets["a"].resend_s == 60.0
    assert isinstance(outlets["b"].channel, PlainChannel)
    assert outlets["b"].channel.options.url == "v"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "x", "kind": "pigeon"}, r"^alerts\.channels\[1\]\.kind: there is no"),
        ({"name": "x", "kind": "plain", "url": "u", "step": 0}, r"^alerts\.channels\[1\]\.step: "),
        ({"name": "x", "kind": "plain", "url": "u", "min_severity": 1}, r"\[1\]\.min_severity: "),
        ({"name": "x", "kind": "plain"}, r"^alerts\.channels\[1\].*url"),
        ({"name": "a", "kind": "plain", "url": "u"}, r"^alerts\.channels\[1\]\.name: 'a' is"),
    ],
    ids=range(5),
)
def test_wrong_channel_is_refused_by_the_key(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_channels([{"name": "a", "kind": "plain", "url": "u"}, entry], factory_of)
