"""`[[alerts.rules]]` and `[[alerts.channels]]` of the settings, as rules and routes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from quarterdeck.alerts.defaults import DEFAULTS
from quarterdeck.alerts.dispatcher import Outlet
from quarterdeck.alerts.model import Operator, Rule, Severity
from quarterdeck.alerts.ports import ChannelFactory
from quarterdeck.alerts.routing import Route
from quarterdeck.config import decode_options
from quarterdeck.core.errors import ConfigError

_Text = Annotated[str, Meta(min_length=1, max_length=2000)]
_Seconds = Annotated[float, Meta(ge=0, le=604_800)]


class RuleEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One of `[[alerts.rules]]`: a change of a rule of this name, a new one, or a log search."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    enabled: bool = True
    source: _Text | UnsetType = UNSET
    measure: _Text | UnsetType = UNSET
    operator: Operator | UnsetType = UNSET
    threshold: bool | float | str | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    message: _Text | UnsetType = UNSET
    for_s: _Seconds | UnsetType = UNSET
    keep_firing_for_s: _Seconds | UnsetType = UNSET
    match: dict[str, str] | UnsetType = UNSET
    group: str | UnsetType = UNSET
    runbook_url: str | UnsetType = UNSET
    search: _Text | UnsetType = UNSET
    """Name of a saved search: more than `above` lines in `minutes` are an alert."""
    minutes: Annotated[int, Meta(ge=1, le=10_080)] | UnsetType = UNSET
    above: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class ChannelEntry(Struct, frozen=True):
    """What of an `[[alerts.channels]]` entry is not the adapter's own."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    kind: Annotated[str, Meta(min_length=1)]
    min_severity: Severity = Severity.INFO
    step: Annotated[int, Meta(ge=1, le=10)] = 1


@dataclass(frozen=True, slots=True)
class LogWatch:
    """A saved search that a rule needs counted, and how far back."""

    search: str
    minutes: int


_RULE_KEYS = (
    "source", "measure", "operator", "threshold", "severity", "message", "for_s",
    "keep_firing_for_s", "match", "group", "runbook_url",
)  # fmt: skip
_NEEDED = ("source", "measure", "operator", "threshold", "severity", "message")
_LOG_KEYS = ("search", "minutes", "above")


def decode_rules(
    entries: Sequence[Mapping[str, Any]], origin: Path | None = None
) -> tuple[list[Rule], list[LogWatch]]:
    """All rules, ours changed as the entries say, and what they need counted of the logs.

    Raises:
        ConfigError: naming the key, such as `alerts.rules[1].severity`.
    """
    rules = {rule.name: rule for rule in DEFAULTS}
    watches: dict[LogWatch, None] = {}
    seen: set[str] = set()
    for index, raw in enumerate(entries):
        where = f"alerts.rules[{index}]"
        entry: RuleEntry = decode_options(raw, RuleEntry, where, origin)
        if entry.name in seen:
            raise ConfigError(f"{where}.name: '{entry.name}' is there twice; keep one of them.")
        seen.add(entry.name)
        if entry.search is UNSET:
            rules[entry.name] = _rule(entry, rules.get(entry.name), where)
            continue
        rules[entry.name], watch = _log_rule(entry, where)
        if entry.enabled:
            watches[watch] = None
    return list(rules.values()), list(watches)


def build_channels(
    entries: Sequence[Mapping[str, Any]],
    factory_of: Callable[[str], ChannelFactory],
    origin: Path | None = None,
) -> tuple[list[Route], dict[str, Outlet]]:
    """Where notices go: the policy, and the channels by name.

    Raises:
        ConfigError: naming the key, such as `alerts.channels[0].kind`.
    """
    routes: list[Route] = []
    outlets: dict[str, Outlet] = {}
    for index, raw in enumerate(entries):
        where = f"alerts.channels[{index}]"
        entry: ChannelEntry = decode_options(raw, ChannelEntry, where, origin)
        if entry.name in outlets:
            raise ConfigError(f"{where}.name: '{entry.name}' is there twice; rename one of them.")
        try:
            factory = factory_of(entry.kind)
        except ConfigError as error:
            raise ConfigError(f"{where}.kind: {error.message}") from None
        own = {key: raw[key] for key in raw if key not in {"min_severity", "step"}}
        options = decode_options(own, factory.Options, where, origin)
        routes.append(Route(entry.name, entry.min_severity, entry.step))
        outlets[entry.name] = Outlet(
            channel=factory(options),
            timeout_s=getattr(options, "timeout_s", 10.0),
            resend_s=getattr(factory, "resend_s", None),
        )
    return routes, outlets


def _given(entry: RuleEntry) -> dict[str, Any]:
    """What the entry says; keys that it leaves out are absent."""
    return {
        name: value
        for name in (*_RULE_KEYS, *_LOG_KEYS)
        if (value := getattr(entry, name)) is not UNSET
    }


def _rule(entry: RuleEntry, known: Rule | None, where: str) -> Rule:
    given = _given(entry)
    stray = next((key for key in _LOG_KEYS if key in given), None)
    if stray:
        raise ConfigError(f"{where}.{stray}: only goes with `search`; add it, or remove this key.")
    if known is not None:
        return _checked(replace(known, is_enabled=entry.enabled, **given), where)
    missing = next((key for key in _NEEDED if key not in given), None)
    if missing:
        names = ", ".join(rule.name for rule in DEFAULTS)
        raise ConfigError(
            f"{where}.{missing}: missing. A new rule needs {', '.join(_NEEDED)}; "
            f"rules that can be changed by name are {names}."
        )
    return _checked(Rule(name=entry.name, is_enabled=entry.enabled, **given), where)


def _log_rule(entry: RuleEntry, where: str) -> tuple[Rule, LogWatch]:
    given = _given(entry)
    stray = next((k for k in ("source", "measure", "operator", "threshold") if k in given), None)
    if stray:
        raise ConfigError(f"{where}.{stray}: does not go with `search`; say `above` instead.")
    missing = next((key for key in (*_LOG_KEYS, "severity") if key not in given), None)
    if missing:
        raise ConfigError(f"{where}.{missing}: missing; a rule of a search needs it.")
    search, minutes, above = (given.pop(key) for key in _LOG_KEYS)
    message = (
        "{value} lines matched '{subject}' in {minutes} min; more than {threshold} is too many"
    )
    match = {**given.pop("match", {}), "subject": search, "minutes": str(minutes)}
    rule = Rule(
        name=entry.name,
        source="log_search",
        measure="count",
        operator=Operator.ABOVE,
        threshold=above,
        message=given.pop("message", message),
        match=match,
        is_enabled=entry.enabled,
        **given,
    )
    return rule, LogWatch(search, minutes)


def _checked(rule: Rule, where: str) -> Rule:
    is_order = rule.operator not in {Operator.IS, Operator.IS_NOT}
    is_number = isinstance(rule.threshold, float | int) and not isinstance(rule.threshold, bool)
    if is_order and not is_number:
        shown = msgspec.json.encode(rule.threshold).decode()
        raise ConfigError(
            f"{where}.threshold: '{rule.operator.value}' compares numbers, and {shown} is none; "
            "give a number, or use the operator == or !=."
        )
    return rule
