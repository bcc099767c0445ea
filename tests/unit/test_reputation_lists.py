"""The lists that are asked: the package's, the user's own, keys, and what is refused."""

from pathlib import Path

import pytest

from quarterdeck.core.errors import ConfigError
from quarterdeck.reputation.lists import Choice, left_out, load_lists, packaged
from quarterdeck.reputation.model import BlockList, Tier

KEY = "s3cretkeys3cretkeys3cretke"
OURS = """
[[list]]
id = "ours"
zone = "dnsbl.corp.example"
tier = "standard"
[list.codes]
"127.0.0.2" = { id = "manual", weight = 15, note = "Ask the abuse team." }
"""


def load(tmp_path: Path, text: str = OURS, **choice: object) -> dict[str, BlockList]:
    path = tmp_path / "lists.toml"
    path.write_text(text)
    return {each.id: each for each in load_lists(Choice(path, **choice))}  # type: ignore[arg-type]


def changed(old: str, new: str) -> str:
    assert old in OURS
    return OURS.replace(old, new)


def test_packaged_lists_are_those_that_need_no_key() -> None:
    lists = {each.id: each for each in load_lists(Choice())}
    assert lists["spamhaus"].zone == "zen.spamhaus.org"
    assert lists["spamhaus"].tier is Tier.MAJOR
    assert lists["spamhaus"].has_v6
    assert "127.0.0.10" in lists["spamhaus"].codes
    assert "abusix" not in lists
    assert left_out(lists.values()) == {"abusix": "it wants a key"}


def test_each_packaged_list_can_be_told_to_work_and_says_where_it_was_read() -> None:
    entries = packaged().lists
    lists = load_lists(Choice(keys={entry.id: KEY for entry in entries if entry.zone_keyed}))
    assert {each.id for each in lists} == {entry.id for entry in entries}
    for each in lists:
        assert each.test_listed
        assert each.test_clean
        assert bool(each.test_listed_v6) is each.has_v6
        assert each.delist_url
    assert all(entry.source for entry in entries)


def test_key_opens_the_zone_of_subscribers_and_is_never_shown(tmp_path: Path) -> None:
    choice = Choice(keys={"spamhaus": KEY, "abusix": KEY})
    lists = {each.id: each for each in load_lists(choice)}
    assert lists["spamhaus"].zone == f"{KEY}.zen.dq.spamhaus.net"
    assert lists["abusix"].zone == f"{KEY}.combined.mail.abusix.zone"
    assert KEY not in repr(lists) + repr(choice)


def test_own_list_is_added_and_known_ones_are_replaced_or_switched_off(tmp_path: Path) -> None:
    replaced = OURS.replace('"ours"', '"psbl"')
    lists = load(tmp_path, OURS + replaced, disabled=["spamcop"])
    assert lists["ours"].codes["127.0.0.2"].note == "Ask the abuse team."
    assert lists["psbl"].zone == "dnsbl.corp.example"
    assert "spamcop" not in lists
    assert left_out(lists.values())["spamcop"] == "it is switched off"


def test_list_of_ipv6_addresses_is_tested_as_the_rfc_says(tmp_path: Path) -> None:
    text = OURS.replace("tier =", "v6 = true\ntier =")
    assert load(tmp_path, text)["ours"].test_listed_v6 == ("::ffff:7f00:2",)


def test_list_that_is_off_is_asked_when_it_is_named(tmp_path: Path) -> None:
    off = OURS.replace("tier =", "enabled = false\ntier =")
    assert "ours" not in load(tmp_path, off)
    assert "ours" in load(tmp_path, off, enabled=["ours"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed("dnsbl.corp.example", "dnsbl.sorbs.net"), "'ours': the zone *.sorbs.net is dead"),
        (changed("dnsbl.corp.example", "CBL.abuseat.org."), "is part of Spamhaus XBL"),
        (changed("dnsbl.corp.example", "a..b"), "'ours': expected a DNS zone"),
        (changed("dnsbl.corp.example", "localhost"), "not 'localhost'"),
        (changed("127.0.0.2", "10.0.0.2"), "'ours': codes: expected addresses of 127.0.0.0/8"),
        (changed("127.0.0.2", "127.0.0.1"), "not '127.0.0.1'"),
        (changed("127.0.0.2", "127.0.0"), "not '127.0.0'"),
        (changed('id = "manual", ', ""), "'ours': codes"),
        (changed("weight = 15", "weight = -1"), "'ours': codes"),
        (changed("weight = 15", 'weight = "15"'), "got `str`"),
        (changed("standard", "huge"), "list 'ours': tier"),
        (changed("tier =", "teir ="), "list 'ours': object contains unknown field `teir`"),
        (changed("tier =", "test_clean = []\ntier ="), "test_clean: expected at least one"),
        (changed("tier =", 'test_listed = ["x"]\ntier ='), "test_listed: expected addresses"),
        (changed("tier =", 'error_nets = ["127.1"]\ntier ='), "error_nets: expected networks"),
        (changed("tier =", "v4 = false\ntier ="), "v4, v6: expected one of them"),
        (changed("tier =", 'zone_keyed = "k.test"\ntier ='), "expected {key} where the key goes"),
        (changed('id = "ours"', 'id = "O urs"'), "lists_file"),
        (changed('id = "ours"\n', ""), "missing required field `id`"),
        (OURS + OURS, "there are two lists 'ours'"),
        ("[[lists]]\n", "unknown field `lists`"),
        ("list = 3\n", "lists_file"),
        ("[[list\n", "is not valid TOML"),
        ("[[dead]]\nzone = 'corp.example'\n", "missing required field `why`"),
        (OURS + "[[dead]]\nzone = '*.corp.example'\nwhy = 'it ended'\n", "is dead: it ended"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in caught.value.message


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reputation.lists_file: cannot read .*gone.toml"):
        load_lists(Choice(tmp_path / "gone.toml"))
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_lists(Choice(tmp_path / "latin.toml"))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(keys={"spamhause": KEY}), "reputation.keys: there is no list 'spamhause'"),
        (Choice(keys={"spamcop": KEY}), "the list 'spamcop' takes no key"),
        (Choice(keys={"spamhaus": ""}), "expected the key alone"),
        (Choice(keys={"spamhaus": f"{KEY}\n"}), "expected the key alone"),
        (Choice(keys={"spamhaus": f"{KEY}.zen.dq.spamhaus.net"}), "expected the key alone"),
        (Choice(enabled=["nobody"]), "reputation.enabled_lists: there is no list 'nobody'"),
        (Choice(disabled=["nobody"]), "reputation.disabled_lists: there is no list 'nobody'"),
        (Choice(enabled=["abusix"]), "The list 'abusix' wants a key"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named_without_the_key(choice: Choice, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_lists(choice)
    assert said in caught.value.message
    assert KEY not in caught.value.message
