"""Addresses as they are written and asked for."""

from ipaddress import ip_address

import pytest

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.names import parse_address, question, reversed_name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" 192.0.2.25 ", "192.0.2.25"),
        ("2001:DB8::25", "2001:db8::25"),
        ("::ffff:192.0.2.25", "192.0.2.25"),
        ("::ffff:c000:219", "192.0.2.25"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_address_is_read(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "192.0.2", "192.0.2.256", "192.0.2.025", "192.0.2.0/24", "[2001:db8::1]",
        "1.2.3.4\n5", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "\u0661.2.3.4",
    ],
)  # fmt: skip
def test_what_sends_no_mail_is_refused_with_the_field_named(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_address(text, "addresses", "query")
    assert caught.value.details[0]["field"] == "addresses"
    assert caught.value.details[0]["source"] == "query"


def test_names_are_reversed_as_rfc_5782_shows_them() -> None:
    assert reversed_name(ip_address("192.0.2.99")) == "99.2.0.192"
    assert reversed_name(ip_address("2001:db8:1:2:3:4:567:89ab")) == (
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"
    )
    assert question(ip_address("192.0.2.99"), "bl.test.") == "99.2.0.192.bl.test."
