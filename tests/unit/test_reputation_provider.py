"""Whose network an address is in, and which names are made of addresses."""

from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest

from quarterdeck.reputation.identity import is_generic
from quarterdeck.reputation.model import DnsIdentity, Provider, SendingAddress
from quarterdeck.reputation.provider import ProviderFinder

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FINDER = ProviderFinder()
NOWHERE = SendingAddress(ip_address("192.0.2.25"))
OF_SENDGRID = SendingAddress(ip_address("167.89.1.2"))


def named(ptr: str, confirmed: bool | None) -> DnsIdentity:
    return DnsIdentity(NOWHERE.address, NOW, True, ptr, confirmed)


def test_what_the_operator_says_comes_first() -> None:
    given = replace(OF_SENDGRID, provider="Acme")
    identity = named("o1.ptr.mtasv.net", confirmed=True)
    assert FINDER.find(given, identity) == Provider("Acme", "operator")


@pytest.mark.parametrize(
    ("ptr", "name"),
    [
        ("a8-23.smtp-out.amazonses.com", "AWS"),
        ("o1678.outbound-mail.sendgrid.net", "SendGrid"),
        ("mta-1.mailgun.net", "Mailgun"),
        ("mta1-65.mtasv.net", "Postmark"),
    ],
)
def test_name_counts_only_when_it_leads_back(ptr: str, name: str) -> None:
    assert FINDER.find(NOWHERE, named(ptr, confirmed=True)) == Provider(name, "ptr")
    for confirmed in (False, None):
        assert FINDER.find(NOWHERE, named(ptr, confirmed)) == Provider("unknown", "none")


@pytest.mark.parametrize("ptr", ["evilsendgrid.net", "sendgrid.net.evil.test", "net", ""])
def test_name_that_only_looks_like_one_does_not_count(ptr: str) -> None:
    assert FINDER.find(NOWHERE, named(ptr, confirmed=True)).name == "unknown"


def test_published_networks_count_when_the_name_is_the_customers_own() -> None:
    identity = named("mta1.acme.example", confirmed=True)
    assert FINDER.find(OF_SENDGRID, identity) == Provider("SendGrid", "prefix")
    assert FINDER.find(OF_SENDGRID, None) == Provider("SendGrid", "prefix")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("54.240.0.0", "AWS"), ("54.240.127.255", "AWS"), ("54.240.128.0", "unknown"),
        ("54.239.255.255", "unknown"), ("0.0.0.1", "unknown"), ("255.255.255.255", "unknown"),
        ("2001:db8::25", "unknown"), ("161.38.200.1", "Mailgun"),
    ],
)  # fmt: skip
def test_edges_of_networks(address: str, name: str) -> None:
    assert FINDER.find(SendingAddress(ip_address(address)), None).name == name


def test_networks_do_not_overlap_and_the_snapshot_has_a_date() -> None:
    assert isinstance(FINDER.snapshot, date)
    for ranges in FINDER._ranges.values():
        assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert ip_network("167.89.0.0/17").num_addresses == 32768


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ec2-203-0-113-9.compute-1.amazonaws.com", "203.0.113.9"),
        ("9.113.0.203.static.isp.example", "203.0.113.9"),
        ("203-000-113-009.isp.example", "203.0.113.9"),
        ("host203000113009.isp.example", "203.0.113.9"),
        ("pcb007109.dip0.isp.example", "203.0.113.9"),
        ("x.dyn.isp.example", "203.0.113.9"),
        ("dsl-4711.isp.example", "203.0.113.9"),
        ("2001-0db8-0000-0000-0011-0022-0033-0044.isp.example", "2001:db8::11:22:33:44"),
    ],
)
def test_name_made_of_the_address_is_generic(name: str, address: str) -> None:
    assert is_generic(name, ip_address(address))


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("mta1.acme.example", "203.0.113.9"),
        ("a8-23.smtp-out.amazonses.com", "54.240.8.23"),
        ("smtp.cablevision.example", "203.0.113.9"),
        ("mail.dialog.example", "203.0.113.9"),
        ("mail.dyn.com", "203.0.113.9"),
        ("pool-a.mta.acme.example", "203.0.113.9"),
        ("mta-113-9.acme.example", "203.0.113.9"),
        ("mta1.acme.example", "2001:db8::25"),
    ],
)
def test_name_of_a_mail_server_is_not_generic(name: str, address: str) -> None:
    assert not is_generic(name, ip_address(address))
