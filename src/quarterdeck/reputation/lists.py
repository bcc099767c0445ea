"""The lists that are asked: those of the package, changed and added to by the user's.

The data files say for each item where it was read; what is not known to be true is not in them.
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

import dns.exception
import dns.name
import msgspec
from msgspec import Meta, Struct

from quarterdeck.core.errors import ConfigError
from quarterdeck.reputation.model import BlockList, Code, Tier

PACKAGED = "dnsbl_lists.toml"
KEY_PLACE = "{key}"
RFC_POINT_V6 = "::ffff:7f00:2"
"""What every list of IPv6 addresses must list (RFC 5782, 5)."""

Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class CodeEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A return address of a list."""

    id: str
    weight: Annotated[float, Meta(ge=0, le=100)]
    note: str = ""


class ListEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[list]]` of a data file."""

    id: Id
    tier: Tier
    codes: dict[str, CodeEntry]
    zone: str = ""
    zone_keyed: str = ""
    """The zone of subscribers; `{key}` stands for their key."""
    v4: bool = True
    v6: bool = False
    enabled: bool = True
    test_listed: tuple[str, ...] = ("127.0.0.2",)
    test_listed_v6: tuple[str, ...] = ()
    test_clean: tuple[str, ...] = ("127.0.0.1",)
    error_nets: tuple[str, ...] = ("127.255.255.0/24",)
    policy: str = ""
    delist: str = ""
    source: str = ""
    """Where all this was read."""


class DeadZone(Struct, frozen=True, forbid_unknown_fields=True):
    """A zone that must not be asked any more: what is left of it may list the world."""

    zone: str
    why: str


class ListFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A data file."""

    lists: list[ListEntry] = msgspec.field(default_factory=list, name="list")
    dead: list[DeadZone] = []


@dataclass(frozen=True, slots=True)
class Choice:
    """What the settings say of lists."""

    file: Path | None = None
    """The user's own data file; an entry of a known id takes the place of ours."""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """List to the key of a subscription."""
    enabled: Collection[str] = ()
    disabled: Collection[str] = ()


def load_lists(choice: Choice, where: str = "reputation") -> list[BlockList]:
    """The lists that are asked, in the order of the files.

    Raises:
        ConfigError: naming the setting or the entry, and what was expected. Never with a key.
    """
    ours = packaged()
    theirs = _read(choice.file, f"{where}.lists_file") if choice.file else ListFile()
    entries = {entry.id: entry for entry in (*ours.lists, *theirs.lists)}
    dead = (*ours.dead, *theirs.dead)
    _require_keys(entries, choice.keys, f"{where}.keys")
    _require_known(entries, choice.enabled, f"{where}.enabled_lists")
    _require_known(entries, choice.disabled, f"{where}.disabled_lists")
    return [
        _built(entry, choice.keys.get(entry.id, ""), dead)
        for entry in entries.values()
        if _is_wanted(entry, choice)
    ]


def left_out(asked: Iterable[BlockList]) -> dict[str, str]:
    """Lists of the package that are not among those that are asked, each with the reason."""
    names = {each.id for each in asked}
    return {
        entry.id: "it is switched off" if entry.zone else "it wants a key"
        for entry in packaged().lists
        if entry.id not in names
    }


def packaged() -> ListFile:
    """The data file of the package."""
    text = (files("quarterdeck.reputation") / "data" / PACKAGED).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), ListFile)


def _is_wanted(entry: ListEntry, choice: Choice) -> bool:
    if entry.id in choice.disabled:
        return False
    has_zone = bool(entry.zone or (entry.zone_keyed and choice.keys.get(entry.id)))
    is_on = entry.enabled or entry.id in choice.enabled or entry.id in choice.keys
    if entry.id in choice.enabled and not has_zone:
        raise ConfigError(f"The list '{entry.id}' wants a key: {entry.policy or 'see its site'}.")
    return is_on and has_zone


def _built(entry: ListEntry, key: str, dead: Iterable[DeadZone]) -> BlockList:
    where = f"list '{entry.id}'"
    if entry.zone_keyed and KEY_PLACE not in entry.zone_keyed:
        raise ConfigError(f"{where}: zone_keyed: expected {KEY_PLACE} where the key goes.")
    is_keyed = bool(key and entry.zone_keyed)
    zone = entry.zone_keyed.replace(KEY_PLACE, key) if is_keyed else entry.zone
    _require_zone(zone, is_keyed, where, dead)
    if not entry.codes:
        raise ConfigError(f"{where}: codes: expected at least one return address.")
    for code in entry.codes:
        if not _is_answer(code):
            raise ConfigError(
                f"{where}: codes: expected addresses of 127.0.0.0/8 but 127.0.0.1, not '{code}'."
            )
    _require_points(entry, where)
    for net in entry.error_nets:
        _require_network(net, f"{where}: error_nets")
    return BlockList(
        id=entry.id,
        zone=zone,
        tier=entry.tier,
        codes={
            address: Code(code.id, code.weight, code.note) for address, code in entry.codes.items()
        },
        has_v4=entry.v4,
        has_v6=entry.v6,
        test_listed=entry.test_listed,
        test_listed_v6=entry.test_listed_v6 or (RFC_POINT_V6,) if entry.v6 else (),
        test_clean=entry.test_clean,
        error_nets=entry.error_nets,
        delist_url=entry.delist or None,
        policy=entry.policy,
        key=key if is_keyed else "",
    )


def _require_zone(zone: str, is_keyed: bool, where: str, dead: Iterable[DeadZone]) -> None:
    try:
        labels = dns.name.from_text(zone).labels
    except dns.exception.DNSException:
        labels = ()
    if len(labels) < 3:  # with the root's, which is empty
        shown = "" if is_keyed else f", not '{zone}'"
        raise ConfigError(f"{where}: expected a DNS zone such as dnsbl.example.org{shown}.")
    name = f".{zone.lower().rstrip('.')}"
    for each in dead:
        if name.endswith(f".{each.zone.removeprefix('*.')}"):
            raise ConfigError(f"{where}: the zone {each.zone} is dead: {each.why}.")


def _is_answer(text: str) -> bool:
    try:
        return ip_address(text) in ip_network("127.0.0.0/8") and text != "127.0.0.1"
    except ValueError:
        return False


def _require_points(entry: ListEntry, where: str) -> None:
    if not (entry.v4 or entry.v6):
        raise ConfigError(f"{where}: v4, v6: expected one of them at least.")
    # Without test points nobody would see that the list is gone, or lists the world.
    needed = ("test_listed", "test_clean") if entry.v4 else ("test_clean",)
    for name in ("test_listed", "test_listed_v6", "test_clean"):
        texts = getattr(entry, name)
        if name in needed and not texts:
            raise ConfigError(f"{where}: {name}: expected at least one address.")
        for text in texts:
            try:
                ip_address(text)
            except ValueError:
                raise ConfigError(f"{where}: {name}: expected addresses, not '{text}'.") from None


def _require_network(text: str, where: str) -> None:
    try:
        ip_network(text)
    except ValueError:
        raise ConfigError(f"{where}: expected networks, not '{text}'.") from None


def _require_keys(entries: Mapping[str, ListEntry], keys: Mapping[str, str], where: str) -> None:
    _require_known(entries, keys, where)
    for name, key in keys.items():
        if not entries[name].zone_keyed:
            raise ConfigError(f"{where}: the list '{name}' takes no key.")
        # A whole zone, or what was copied with a blank, would be asked for in vain for ever.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", key):
            raise ConfigError(
                f"{where}: '{name}': expected the key alone, which is letters, digits and hyphens."
            )


def _require_known(known: Collection[str], named: Iterable[str], where: str) -> None:
    for name in named:
        if name not in known:
            raise ConfigError(f"{where}: there is no list '{name}'; known are {', '.join(known)}.")


def _read(path: Path, where: str) -> ListFile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot read {path}: {_reason(error)}.") from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: {path} is not valid TOML: {error}.") from None
    try:
        found = msgspec.convert(tree, ListFile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {path}: {_named(str(error), tree)}.") from None
    _require_once([entry.id for entry in found.lists], f"{where}: {path}")
    return found


def _require_once(names: Sequence[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: there are two lists '{name}'; expected each once.")


def _named(message: str, tree: Mapping[str, Any]) -> str:
    """A message of msgspec's with the entry's id for its number."""
    what, _, place = message.partition(" - at ")
    found = re.fullmatch(r"`\$\.list\[(\d+)\]\.?(.*)`", place)
    entry = tree["list"][int(found[1])] if found else None
    if found is None or not isinstance(entry, dict) or "id" not in entry:
        return _lowered(message)
    field_name = f"{found[2]}: " if found[2] else ""
    return f"list '{entry['id']}': {field_name}{_lowered(what)}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not UTF-8 text"


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]
