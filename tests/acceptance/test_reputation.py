"""IP reputation over HTTP, against a real server of DNS lists: on a list, and off it again."""

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from acceptance.server_process import ServerProcess, wait_until
from quarterdeck.core.clock import iso_z, utc_now
from reputation_world import SOA, Rbldnsd, rbldnsd
from unit.test_mail_hooks import Sendgrid, mailgun

ZEN = SOA + ":127.0.0.2:https://check.test/query/ip/$\n127.0.0.2\n"
COP = SOA + ":127.0.0.2:reported\n127.0.0.2\n"
DEAD = SOA + ":127.0.0.2:gone\n198.51.100.250\n"
LISTS = """
[[list]]
id = "zen"
zone = "zen.test"
tier = "major"
delist = "https://check.test/"
[list.codes]
"127.0.0.2" = { id = "sbl", weight = 30, note = "Ask the owner of the network." }
[[list]]
id = "cop"
zone_keyed = "{key}.test"
tier = "standard"
[list.codes]
"127.0.0.2" = { id = "scbl", weight = 15 }
[[list]]
id = "dead"
zone = "dead.test"
tier = "minor"
[list.codes]
"127.0.0.2" = { id = "x", weight = 5 }
"""
OURS = (
    "spamhaus", "barracuda", "spamcop", "psbl", "mailspike", "uceprotect-1", "uceprotect-2",
    "uceprotect-3", "spamrats",
)  # fmt: skip
SETTINGS = """
[alerts]
interval_s = 1
[reputation]
nameservers = ["127.0.0.1:{port}"]
lists_file = "lists.toml"
disabled_lists = [{ours}]
keys = {{ cop = "s3cret-key" }}
sendgrid_key = "{sendgrid}"
[[reputation.addresses]]
address = "192.0.2.66"
provider = "AWS"
pool = "eu"
[[reputation.addresses]]
address = "192.0.2.67"
[[reputation.addresses]]
address = "2001:db8::25"
"""
PATH = "/infrastructure/ip-reputation"
SENDGRID = Sendgrid()
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
GZIP = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def lists() -> Iterator[Rbldnsd]:
    zones = {
        "zen.test": ["ip4set:zen"], "s3cret-key.test": ["ip4set:cop"], "dead.test": ["ip4set:dead"]
    }  # fmt: skip
    with rbldnsd({"zen": ZEN, "cop": COP, "dead": DEAD}, zones) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, lists: Rbldnsd) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("reputation")
    (directory / "lists.toml").write_text(LISTS)
    ours = ", ".join(f'"{each}"' for each in OURS)
    settings = SETTINGS.format(port=lists.port, ours=ours, sendgrid=SENDGRID.public)
    process = ServerProcess(directory, settings=settings)
    process.start()
    try:
        yield process
    finally:
        assert process.stop() == 0
    assert "unexpected error" not in process.log
    assert "s3cret-key" not in process.log


def ip(server: ServerProcess, address: str = "192.0.2.66") -> Any:
    found = server.get(PATH).data["ips"]
    return next((each for each in found if each["ip_address"] == address), None)


def check(server: ServerProcess, address: str = "192.0.2.66") -> Any:
    return server.post(f"{PATH}/{quote(address, safe='')}/check").data


def alerts(server: ServerProcess) -> dict[str, str]:
    found = server.get("/infrastructure/alerts").data["alerts"]
    return {each["message"]: each["status"] for each in found if each["service"] == "192.0.2.66"}


def test_first_round_comes_by_itself(server: ServerProcess) -> None:
    wait_until(lambda: ip(server)["checked_at"] is not None, 60)
    found = ip(server)
    assert (found["provider"], found["provider_source"], found["pool"]) == ("AWS", "operator", "eu")
    assert (found["blacklists"], found["daily_volume"], found["mail"]) == ([], None, None)
    assert (found["reputation_score"], found["status"]) == (100, "good")
    assert found["confidence"] == "low"
    assert found["coverage"]["checked"] == 2
    [unknown] = found["coverage"]["unknown_lists"]
    assert unknown["list"] == "dead"
    assert "emptied" in unknown["why"]
    v6 = ip(server, "2001:db8::25")
    assert (v6["coverage"]["checked"], v6["confidence"]) == (0, "none")


def test_listing_is_suspected_confirmed_told_and_ended(
    server: ServerProcess, lists: Rbldnsd
) -> None:
    wait_until(lambda: ip(server)["checked_at"] is not None, 60)
    lists.write("zen", ZEN + "192.0.2.66\n")
    wait_until(lambda: bool(check(server)["listings"]))
    [listing] = ip(server)["listings"]
    assert (listing["list"], listing["sub_lists"], listing["tier"]) == ("zen", ["sbl"], "major")
    assert listing["reason"] == "https://check.test/query/ip/192.0.2.66"
    assert listing["steps"] == ["sbl: Ask the owner of the network.", "Ask at https://check.test/"]
    if listing["state"] == "suspect":
        assert (ip(server)["blacklists"], ip(server)["status"]) == ([], "good")
        assert alerts(server) == {}
    # Asked again by durable work, once the resolver may not repeat the answer.
    wait_until(lambda: ip(server)["listings"][0]["state"] == "confirmed", 60)
    found = ip(server)
    assert (found["blacklists"], found["status"]) == (["zen"], "critical")
    assert found["reputation_score"] == 94
    [part] = found["score_breakdown"]
    assert (part["component"], part["points"]) == ("listings", 6)
    wait_until(lambda: "firing" in alerts(server).values())
    [message] = alerts(server)
    assert "zen (sbl): https://check.test/query/ip/192.0.2.66" in message
    assert "removal: https://check.test/" in message
    lists.write("zen", ZEN + "\n")
    wait_until(lambda: check(server)["listings"] == [], 60)
    assert ip(server)["status"] == "good"
    wait_until(lambda: set(alerts(server).values()) == {"resolved"})
    history = server.get(f"{PATH}/192.0.2.66/history?days=1").data
    [interval] = history["listings"]
    assert interval["list"] == "zen"
    assert interval["since"] < interval["until"]

    def seen() -> set[str]:
        scores = server.get(f"{PATH}/192.0.2.66/history?days=1").data["scores"]
        return {each["status"] for each in scores}

    wait_until(lambda: seen() == {"good", "critical"})


def test_address_comes_and_goes_by_the_api(server: ServerProcess) -> None:
    body = b'{"ip_address": "::ffff:192.0.2.99", "pool": "us"}'
    assert server.post(PATH, role="ops", body=body, headers=JSON).status == 403
    added = server.post(PATH, role="admin", body=body, headers=JSON).data
    assert (added["ip_address"], added["origin"], added["confidence"]) == (
        "192.0.2.99", "api", "none"
    )  # fmt: skip
    assert (added["checked_at"], added["provider"]) == (None, "unknown")
    again = server.post(PATH, role="admin", body=body, headers=JSON)
    assert again.status == 409
    assert "watched already" in again.error["message"]
    assert check(server, "192.0.2.99")["coverage"]["checked"] == 2
    gone = server.delete(f"{PATH}/192.0.2.99", role="admin")
    assert gone.data == {"ip_address": "192.0.2.99", "status": "removed"}
    assert ip(server, "192.0.2.99") is None
    assert server.delete(f"{PATH}/192.0.2.99", role="admin").status == 404
    fixed = server.delete(f"{PATH}/192.0.2.66", role="admin")
    assert fixed.status == 409
    assert "settings" in fixed.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/nonsense/check", 400), ("POST", "/198.51.100.9/check", 404),
        ("GET", "/198.51.100.9/history", 404), ("GET", "/192.0.2.66/history?days=91", 400),
        ("GET", "/192.0.2.66/history?days=0", 400), ("DELETE", "/nonsense", 400),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(server: ServerProcess, method: str, path: str, status: int) -> None:
    answer = server.call(method, PATH + path, role="admin")
    assert answer.status == status
    assert answer.error["message"]


@pytest.mark.parametrize(
    "body", [b"{}", b'{"ip_address": "x.y"}', b'{"ip_address": "0.0.0.0"}', b"[]", b'{"ip": 1}']
)
def test_address_that_is_none_is_refused(server: ServerProcess, body: bytes) -> None:
    assert server.post(PATH, role="admin", body=body, headers=JSON).status == 400


def test_mail_events_make_the_volume_and_the_rates(server: ServerProcess) -> None:
    now = utc_now()
    lines = [
        {"ts": iso_z(now - timedelta(minutes=n)), "event": "delivered", "ip": "192.0.2.67",
         "id": f"m{n}", "rcpt": "jane@x.test"}
        for n in range(20)
    ]  # fmt: skip
    lines.append(lines[0] | {"event": "bounced", "id": "b1", "dsn": "5.1.1"})
    body = "\n".join(map(json.dumps, [*lines, *lines])).encode() + b'\n{"ts": 1}\n\nx\n'
    receipt = server.post("/mail-events", role="ingest", body=gzip.compress(body), headers=GZIP)
    assert (receipt.data["accepted"], receipt.data["rejected"]) == (42, 2)
    assert [each["line"] for each in receipt.data["rejections"]] == [43, 45]
    wait_until(lambda: ip(server, "192.0.2.67")["daily_volume"] == 20, 60)
    mail = ip(server, "192.0.2.67")["mail"]
    assert (mail["attempted"], mail["hard_bounces"], mail["complaints"]) == (21, 1, 0)
    assert ip(server)["daily_volume"] is None


def test_lines_of_a_mail_server_are_taken(server: ServerProcess) -> None:
    at = utc_now().strftime("%b %d %H:%M:%S")
    text = (
        f"{at} mta postfix/qmgr[1]: 4F2A00: from=<news@a.test>, size=3, nrcpt=1 (queue active)\n"
        f"{at} mta postfix/out-192.0.2.67/smtp[2]: 4F2A00: to=<ok@y.test>, relay=mx[1.2.3.4]:25, "
        "delay=1, dsn=2.0.0, status=sent (250 ok)\n"
    )
    path = "/mail-events?format=postfix&source=mta"
    receipt = server.post(path, role="ingest", body=text.encode(), headers=TEXT).data
    assert (receipt["accepted"], receipt["passed_over"], receipt["rejected"]) == (1, 1, 0)
    assert server.post("/mail-events?format=sendmail", role="ingest", body=b"x").status == 400
    assert server.post("/mail-events", role="viewer", body=b"{}").status == 403
    assert server.post("/mail-events", role="ingest", body=b"\xff", headers=TEXT).status == 400


def test_provider_needs_no_token_and_a_signature(server: ServerProcess) -> None:
    event = {
        "event": "delivered", "timestamp": int(utc_now().timestamp()), "email": "a@x.test",
        "ip": "192.0.2.67", "sg_event_id": "e1", "sg_message_id": "m1",
    }  # fmt: skip
    body = json.dumps([event]).encode()
    signed = dict(SENDGRID.headers(body)) | JSON
    hook = "/mail-events/hooks/sendgrid"
    assert server.call("POST", hook, body=body, headers=signed).data == {"accepted": 1}
    refused = server.call("POST", hook, body=body + b" ", headers=signed)
    assert refused.status == 401
    assert "signature" in refused.error["message"]
    assert server.call("POST", hook, body=body, headers=JSON).status == 401
    unset = server.call("POST", "/mail-events/hooks/mailgun", body=mailgun(""), headers=JSON)
    assert unset.status == 401
    assert "reputation.mailgun_key" in unset.error["message"]
    for name in ("mailgun", "ses"):
        none = server.call("POST", f"/mail-events/hooks/{name}", body=b'{"\xff', headers=JSON)
        assert none.status == 400
    assert server.call("POST", "/mail-events/hooks/none", body=body, headers=JSON).status == 404
    # Nothing else is open beside it.
    assert server.call("POST", "/mail-events", body=body, headers=JSON).status == 401
    assert server.call("GET", "/mail-events/hooks/../../queues").status == 401
    assert server.call("GET", hook).status == 401
    assert server.call("POST", f"{hook}/more", body=body).status == 401
