"""`quarterdeck check-ip`: what DNS lists say of addresses, asked from here, without a server.

Lists of tier `info` are shown but decide nothing: they neither cost points nor tell of an address.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from quarterdeck.cli.commands import AsJson
from quarterdeck.cli.failure import CommandFailed, ExitCode
from quarterdeck.cli.render import known, print_json, print_line, print_table, safe, say
from quarterdeck.cli.serving import ConfigFile, load
from quarterdeck.config import Settings
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.lists import left_out
from quarterdeck.reputation.model import (
    AnswerState,
    BlockList,
    CheckReport,
    DnsIdentity,
    Lookup,
    Provider,
    SendingAddress,
    Tier,
)
from quarterdeck.reputation.names import parse_address
from quarterdeck.reputation.provider import ProviderFinder

CLEAN, LISTED, UNTOLD = 0, 1, 2
CODES = (
    "Exit codes: 0 on no list that counts · 1 on a list (one of tier `info` does not count) · "
    "2 on none, but some list could not be asked; also wrong usage or settings, with no table."
)
HEADERS = ("list", "tier", "verdict", "sub-list", "delisting", "why")
WHY: Mapping[AnswerState, str] = {
    AnswerState.BLOCKED: "it does not serve this resolver",
    AnswerState.BOGUS: "its answer is not one that it documents",
    AnswerState.NODATA: "its answer has no address: something on the way filters",
    AnswerState.ERROR: "its name servers, or the resolver, answer with an error",
    AnswerState.TIMEOUT: "nobody answered in time",
}
CONFIRMED: Mapping[bool | None, str] = {
    True: "leads back to it",
    False: "does not lead back to it",
    None: "unknown whether it leads back",
}
ORDER = ("listed", "unknown", "clean", "not asked")

Addresses = Annotated[list[str], typer.Argument(help="IPv4 or IPv6 addresses.", show_default=False)]
NameServers = Annotated[
    list[str] | None,
    typer.Option(
        "--nameserver",
        help="The DNS server to ask, such as 127.0.0.1:53; may be repeated.  "
        "[default: those of the settings, else of the system]",
    ),
]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one list says of one address."""

    list_id: str
    tier: Tier
    verdict: str
    """`listed`, `clean`, `unknown`, or `not asked` of a list that has no such addresses."""
    why: str | None = None
    """The list's own words, or why there is no verdict."""
    codes: Sequence[str] = ()
    sub_lists: Sequence[str] = ()
    delist_url: str | None = None


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    panel = "Without a server"
    app.command("check-ip", epilog=CODES, rich_help_panel=panel, no_args_is_help=True)(check_ip)


def check_ip(
    addresses: Addresses,
    nameserver: NameServers = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask all DNS lists about addresses, from here. Keys and lists of the settings are used."""
    settings = _with_nameservers(load(config_file, None), nameserver or [])
    sending = _sending(addresses, settings)
    from quarterdeck.app.reputation_room import compose_checker  # noqa: PLC0415 - slow

    checker = compose_checker(settings.reputation, settings.origin)
    report = asyncio.run(checker.check(sending, utc_now()))
    finder = ProviderFinder()
    names = {each.address: each for each in report.identities}
    shown = []
    for each in sending:
        identity = names.get(each.address)
        provider = finder.find(each, identity)
        shown.append(_Shown(each, identity, provider, findings(each, checker.lists, report)))
    missing = left_out(checker.lists)
    if as_json:
        print_json(_as_json(shown, report, missing))
    else:
        _print(shown, missing)
    raise typer.Exit(exit_code([each.findings for each in shown]))


def findings(
    sending: SendingAddress, lists: Sequence[BlockList], report: CheckReport
) -> list[Finding]:
    """What each list says of an address; what is bad comes first."""
    problems = {zone.list_id: zone.problem for zone in report.zones}
    lookups = {each.list_id: each for each in report.lookups if each.address == sending.address}
    found = [_finding(sending, each, lookups.get(each.id), problems.get(each.id)) for each in lists]
    return sorted(found, key=lambda each: ORDER.index(each.verdict))


def exit_code(all_findings: Sequence[Sequence[Finding]]) -> int:
    """What scripts go by, for all addresses together."""
    verdicts = [
        {each.verdict for each in of_one if each.tier is not Tier.INFO} for of_one in all_findings
    ]
    if any("listed" in each for each in verdicts):
        return LISTED
    # An address that no list at all could be asked about is not clean either.
    is_told = all("clean" in each and "unknown" not in each for each in verdicts)
    return CLEAN if is_told else UNTOLD


def _finding(
    sending: SendingAddress, block_list: BlockList, lookup: Lookup | None, problem: str | None
) -> Finding:
    list_id, tier = block_list.id, block_list.tier
    has_such = block_list.has_v4 if sending.address.version == 4 else block_list.has_v6
    if not has_such:
        why = f"it has no IPv{sending.address.version} addresses"
        return Finding(list_id, tier, "not asked", why)
    if lookup is None:
        return Finding(list_id, tier, "unknown", problem or "it was not asked")
    if lookup.state is AnswerState.CLEAN:
        return Finding(list_id, tier, "clean")
    if lookup.state is not AnswerState.LISTED:
        return Finding(list_id, tier, "unknown", WHY[lookup.state], lookup.codes)
    notes = " ".join(dict.fromkeys(block_list.codes[code].note for code in lookup.codes))
    why = " - ".join(part for part in (lookup.reason, notes) if part)
    return Finding(
        list_id, tier, "listed", why, lookup.codes, lookup.sub_lists, block_list.delist_url
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """All that is told of one address."""

    sending: SendingAddress
    identity: DnsIdentity | None
    provider: Provider
    findings: Sequence[Finding]


def _with_nameservers(settings: Settings, nameservers: Sequence[str]) -> Settings:
    if not nameservers:
        return settings
    reputation = msgspec.structs.replace(settings.reputation, nameservers=list(nameservers))
    return msgspec.structs.replace(settings, reputation=reputation)


def _sending(texts: Sequence[str], settings: Settings) -> list[SendingAddress]:
    """The addresses, each once, with what the settings say of them."""
    declared = {each.address: each for each in settings.reputation.addresses}
    found = {}
    for text in texts:
        try:
            address = parse_address(text)
        except InvalidRequest as error:
            raise CommandFailed(
                f"'{text}': {error.details[0]['message']}.", ExitCode.USAGE
            ) from None
        given = declared.get(str(address))
        found[address] = SendingAddress(
            address,
            provider=(given and given.provider) or None,
            helo=(given and given.helo) or None,
        )
    return list(found.values())


def _print(shown: Sequence[_Shown], missing: Mapping[str, str]) -> None:
    for number, each in enumerate(shown):
        if number:
            print_line("")
        print_line(f"{each.sending.address}  {_named(each.identity)}  {_provided(each.provider)}")
        print_table(HEADERS, [_row(found) for found in each.findings])
        print_line(_summary(each.findings))
    for list_id, why in missing.items():
        say(f"Not asked: {list_id}: {why}")


def _row(found: Finding) -> list[str]:
    return [
        found.list_id,
        found.tier.value,
        found.verdict,
        ", ".join(found.sub_lists) or "-",
        safe(found.delist_url or "-"),
        safe(found.why or ""),
    ]


def _summary(found: Sequence[Finding]) -> str:
    counts = {verdict: sum(each.verdict == verdict for each in found) for verdict in ORDER[:3]}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _named(identity: DnsIdentity | None) -> str:
    if identity is None or identity.has_ptr is None:
        return "name ?"
    if not identity.has_ptr:
        return "no name (PTR)"
    confirmed = CONFIRMED[identity.is_forward_confirmed]
    generic = ", looks generic" if identity.is_generic else ""
    return f"{known(identity.ptr)} ({confirmed}{generic})"


def _provided(provider: Provider) -> str:
    if provider.source == "none":
        return "provider ?"
    return f"provider {safe(provider.name)} ({provider.source})"


def _as_json(
    shown: Sequence[_Shown], report: CheckReport, missing: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "checked_at": report.at.isoformat().replace("+00:00", "Z"),
        "addresses": [
            {
                "ip_address": str(each.sending.address),
                "provider": each.provider.name,
                "provider_source": each.provider.source,
                "identity": each.identity and _identity_json(each.identity),
                "lists": [msgspec.to_builtins(found) for found in each.findings],
            }
            for each in shown
        ],
        "not_asked": dict(missing),
    }


def _identity_json(identity: DnsIdentity) -> dict[str, Any]:
    names = (
        "has_ptr", "ptr", "is_forward_confirmed", "is_generic", "helo", "helo_resolves",
        "helo_matches",
    )  # fmt: skip
    return {name: getattr(identity, name) for name in names}
