"""`quarterdeck check-ip` against a real server of DNS lists, and what scripts go by."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from quarterdeck.cli.check_ip import Finding, exit_code
from quarterdeck.reputation.lists import packaged
from quarterdeck.reputation.model import Tier
from reputation_world import SOA, Rbldnsd, rbldnsd

LIST = """
[[list]]
id = "{name}"
zone = "{name}.test"
tier = "{tier}"
v6 = {v6}
delist = "https://check.test/"
[list.codes]
"127.0.0.2" = {{ id = "sbl", weight = 30, note = "Ask the owner." }}
"""
KEYED = """
[[list]]
id = "keyed"
zone_keyed = "{key}.dead.test"
tier = "major"
[list.codes]
"127.0.0.2" = { id = "k", weight = 1 }
"""
KEY = "s3cretkeys3cretkey"
OURS = [entry.id for entry in packaged().lists if entry.zone]
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def lists() -> Iterator[Rbldnsd]:
    files = {
        "zen": SOA + ":127.0.0.2:why $\n127.0.0.2\n192.0.2.66\n",
        "v6": SOA + ":127.0.0.2:why $\n2001:db8:bad::/64\n",
        "dead": SOA + ":127.0.0.2:gone\n198.51.100.250\n",
    }
    zones = {
        "zen.test": ["ip4set:zen", "ip6trie:v6"],
        "info.test": ["ip4set:zen"],
        "dead.test": ["ip4set:dead"],
    }
    with rbldnsd(files, zones) as server:
        yield server


@pytest.fixture
def run(lists: Rbldnsd, tmp_path: Path) -> Run:
    def call(*arguments: str, names: tuple[str, ...] = ("zen",)) -> Done:
        text = "".join(
            LIST.format(
                name=name,
                tier="info" if name == "info" else "major",
                v6=str(name == "zen").lower(),
            )
            for name in names
        )
        (tmp_path / "lists.toml").write_text(text + KEYED)
        (tmp_path / "quarterdeck.toml").write_text(
            f'[reputation]\nlists_file = "lists.toml"\ndisabled_lists = {json.dumps(OURS)}\n'
            + (f'keys = {{ keyed = "{KEY}" }}\n' if "keyed" in arguments else "")
        )
        rest = [each for each in arguments if each != "keyed"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QUARTERDECK")}
        return subprocess.run(
            [
                sys.executable, "-m", "quarterdeck", "check-ip", *rest,
                "--nameserver", f"127.0.0.1:{lists.port}",
                "--config", str(tmp_path / "quarterdeck.toml"),
            ],
            capture_output=True, text=True, timeout=120, check=False, env=environment,
        )  # fmt: skip

    return call


def test_clean_addresses_end_with_0_and_lists_that_were_not_asked_are_named(run: Run) -> None:
    done = run("192.0.2.10", "2001:db8:900d::1", "192.0.2.10")
    assert done.returncode == 0
    assert done.stdout.count("0 listed, 0 unknown, 1 clean") == 2
    # Nobody told its name: not `no name`.
    assert "192.0.2.10  name ?  provider ?" in done.stdout
    assert "Not asked: spamhaus: it is switched off" in done.stderr
    assert "Not asked: abusix: it wants a key" in done.stderr


def test_listed_address_ends_with_1_and_says_what_to_do(run: Run) -> None:
    done = run("192.0.2.66", "2001:db8:bad::1", names=("zen", "dead"))
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["zen", "major", "listed", "sbl", "https://check.test/", "why", "192.0.2.66", "-",
            "Ask", "the", "owner."] in lines  # fmt: skip
    assert ["zen", "major", "listed", "sbl", "https://check.test/", "why", "2001:db8:bad::1", "-",
            "Ask", "the", "owner."] in lines  # fmt: skip
    assert ["dead", "major", "not", "asked"] in [line[:4] for line in lines]
    assert "emptied" in done.stdout


def test_what_could_not_be_told_ends_with_2(run: Run) -> None:
    done = run("192.0.2.10", names=("zen", "dead"))
    assert done.returncode == 2
    assert "0 listed, 1 unknown, 1 clean" in done.stdout


def test_list_that_only_informs_is_shown_and_decides_nothing(run: Run) -> None:
    done = run("192.0.2.66", names=("info",))
    assert "1 listed, 0 unknown, 0 clean" in done.stdout
    assert done.returncode == 2  # no other list said that it is clean


def test_json_has_all_of_it_and_no_key(run: Run) -> None:
    done = run("::ffff:192.0.2.66", "--json", "keyed")
    assert done.returncode == 1
    [address] = json.loads(done.stdout)["addresses"]
    assert (address["ip_address"], address["identity"]["has_ptr"]) == ("192.0.2.66", None)
    zen, keyed = address["lists"]
    assert zen == {
        "list_id": "zen", "tier": "major", "verdict": "listed", "codes": ["127.0.0.2"],
        "sub_lists": ["sbl"], "delist_url": "https://check.test/",
        "why": "why 192.0.2.66 - Ask the owner.",
    }  # fmt: skip
    assert (keyed["list_id"], keyed["verdict"]) == ("keyed", "unknown")
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("text", ["nonsense", "192.0.2.300", "0.0.0.0"])
def test_what_is_no_address_is_refused(run: Run, text: str) -> None:
    done = run("192.0.2.10", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{text}'" in done.stderr


def test_what_is_no_name_server_is_refused(run: Run) -> None:
    done = run("192.0.2.10", "--nameserver", "dns.test")
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected the address of a DNS server" in done.stderr


def found(*verdicts: str, tier: Tier = Tier.MINOR) -> Sequence[Finding]:
    return [Finding("any", tier, verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("of_all", "code"),
    [
        ([found("clean", "not asked")], 0),
        ([found("clean"), found("clean", "listed", "unknown")], 1),
        ([found("clean", "unknown")], 2),
        ([found("clean"), found("not asked")], 2),
        ([found()], 2),
        ([[*found("clean"), *found("listed", "unknown", tier=Tier.INFO)]], 0),
        ([[*found("unknown"), *found("clean", tier=Tier.INFO)]], 2),
    ],
)
def test_exit_code_is_that_of_the_worst_address(
    of_all: Sequence[Sequence[Finding]], code: int
) -> None:
    assert exit_code(of_all) == code
