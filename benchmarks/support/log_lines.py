"""Log lines for the benchmarks: what a mail platform's parts write, by seed, as NDJSON.

Every line has its own numbers, addresses and ids, so nothing compresses by mere repetition. The
mix is fixed: 5 % errors, 11 % of all lines say `delivered`, 50,000 users, 400 tenants, a request
id of 48 random bits on two of three lines, and metadata of two to four keys. Peers, customers
and recipients come back, as they do in real logs, some of them often.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 22, 6, tzinfo=UTC)
SPAN = timedelta(days=1)

DOMAINS = tuple(
    f"{word}{tail}"
    for word in ("northwind", "contoso", "acme", "initech", "globex", "umbra", "hooli", "vandelay")
    for tail in (".example", "-mail.example", ".test", "-eu.example", ".invalid")
)
HOSTS = tuple(f"mx{n}.{domain}" for domain in DOMAINS for n in range(1, 4))
TABLES = ("campaigns", "recipients", "jobs", "bounces", "suppressions", "audit_log", "events")
PATHS = ("/v1/send", "/v1/campaigns", "/v1/templates", "/v1/contacts/import", "/v1/webhooks")
WORDS = [
    "quota",
    "lease",
    "shard",
    "replica",
    "cursor",
    "socket",
    "buffer",
    "envelope",
    "header",
    "payload",
    "digest",
    "bounce",
    "greylist",
    "throttle",
    "backoff",
    "window",
    "segment",
    "snapshot",
    "checkpoint",
    "offset",
]
USERS = tuple(f"usr_{n:05x}" for n in range(50_000))
TENANTS = tuple(f"tnt_{n:03d}" for n in range(400))

Dice = random.Random
Template = tuple[str, str, int, Callable[[Dice], str]]


def _often(d: Dice, many: int) -> int:
    """A number below `many`; small ones come back often, as busy peers and customers do."""
    return int(many * d.random() ** 3)


def _hex(d: Dice) -> str:
    return f"{d.getrandbits(24):06x}"


def _peer(d: Dice) -> str:
    """A host and its address: these belong together."""
    number = _often(d, len(HOSTS))
    return f"{HOSTS[number]}[203.0.{number % 7}.{number * 2}]:25"


def _ip(d: Dice) -> str:
    number = _often(d, 4_000)
    return f"198.51.{number // 251}.{number % 251}"


def _mail(d: Dice) -> str:
    number = _often(d, 8_000)
    return f"{WORDS[number % 20]}.{number}@{DOMAINS[number % 40]}"


def _ms(d: Dice) -> int:
    """Milliseconds as timers of coarse grain give them."""
    return 1 + 4 * int(d.lognormvariate(2, 1))


TEMPLATES: tuple[Template, ...] = (
    ("smtp", "info", 110, lambda d: f"message {_hex(d)} delivered to {_mail(d)} in {_ms(d)} ms: 250 2.0.0 OK queued"),
    ("smtp", "info", 90, lambda d: f"connect from {_peer(d)} established, TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits), verified"),
    ("smtp", "debug", 80, lambda d: f"rcpt to <{_mail(d)}> accepted by the policy service, size={1024 * _often(d, 90)}, nrcpt={1 + _often(d, 19)}, proto=ESMTP helo=<relay>"),
    ("smtp", "warning", 30, lambda d: f"host {_peer(d)} said: 421 4.7.0 [TSS04] Messages from {_ip(d)} temporarily deferred due to user complaints; retry in {300 * _often(d, 12)} s"),
    ("smtp", "error", 14, lambda d: f"delivery of {_hex(d)} to {_mail(d)} failed permanently: 550 5.1.1 The email account that you tried to reach does not exist"),
    ("smtp", "error", 8, lambda d: f"SMTP connection timeout after 30 s: {_peer(d)}, {1 + _often(d, 9)} recipients deferred"),
    ("api", "info", 130, lambda d: f'"{d.choice(("GET", "POST", "PUT"))} {d.choice(PATHS)}/{_hex(d)} HTTP/1.1" 200 {64 * _often(d, 800)} in {_ms(d)} ms from {_ip(d)}'),
    ("api", "debug", 70, lambda d: f"cache {d.choice(('hit', 'miss'))} for key tenant:{_often(d, 400)}:{d.choice(WORDS)} in the shared store, ttl={60 * _often(d, 60)}, serialised by msgpack"),
    ("api", "warning", 20, lambda d: f"slow request: {d.choice(PATHS)} took {1000 + 10 * _often(d, 3000)} ms, {2 + _often(d, 80)} queries, waited {_ms(d)} ms for the pool"),
    ("api", "error", 9, lambda d: f"Payment processing failed: provider answered {d.choice((402, 500, 502, 503))} for invoice inv_{_hex(d)}"),
    ("worker", "info", 90, lambda d: f"job {_hex(d)} of queue:email-sending finished after {_ms(d)} ms (attempt {1 + _often(d, 3)}), acknowledged to the broker"),
    ("worker", "info", 60, lambda d: f"campaign cmp_{_often(d, 3000):04x}: batch {d.randrange(1, 900)} rendered, 500 recipients, {_often(d, 9)} suppressed by the list of complaints"),
    ("worker", "debug", 60, lambda d: f"heartbeat of worker process {300 + d.randrange(40)}: active={_often(d, 40)} rss={80 + 8 * _often(d, 90)} MiB, event loop lag {_ms(d)} ms, nothing to report"),
    ("worker", "warning", 16, lambda d: f"lease of job {_hex(d)} renewed late by {_ms(d)} ms; {d.choice(WORDS)} pressure on node-{d.randrange(1, 40)}"),
    ("worker", "error", 10, lambda d: f"failed to renew lease after {d.randrange(100, 999)} sec: worker {300 + d.randrange(40)} lost {d.choice(WORDS)}"),
    ("database", "info", 40, lambda d: f"checkpoint complete: wrote {_often(d, 9000)} buffers ({_often(d, 100)}%); {_often(d, 9)} WAL file(s) added, 0 removed; sync={_ms(d)} ms, total={d.randrange(300)} s"),
    ("database", "debug", 40, lambda d: f"duration: {_ms(d)} ms  execute prepared: SELECT * FROM {d.choice(TABLES)} WHERE tenant_id = $1 AND id > {_hex(d)} ORDER BY id LIMIT 500"),
    ("database", "warning", 10, lambda d: f"autovacuum of {d.choice(TABLES)} skipped {_often(d, 9000)} pages due to pins, {d.getrandbits(16)} dead tuples remain"),
    ("database", "error", 5, lambda d: f"deadlock detected: process {300 + d.randrange(400)} waits for ShareLock on transaction {_hex(d)}; blocked by process {300 + d.randrange(400)}"),
    ("auth", "info", 40, lambda d: f"token accepted for {d.choice(USERS)} from {_ip(d)}, scope {d.choice(('send', 'read', 'admin'))}, second factor not required"),
    ("auth", "warning", 8, lambda d: f"refused sign-in of {_mail(d)} from {_ip(d)}: wrong password, {1 + _often(d, 9)} of 10 tries"),
    ("dns", "debug", 40, lambda d: f"{d.choice(('MX', 'TXT', 'A', 'AAAA'))} {d.choice(DOMAINS)} answered by the local resolver with ttl {30 * _often(d, 200)} in {_ms(d)} ms, DNSSEC not signed"),
    ("webhook", "info", 50, lambda d: f"event {d.choice(('open', 'click', 'bounce', 'complaint'))} {_hex(d)} posted to https://hooks.{d.choice(DOMAINS)}/v2/mail: {d.choice((200, 202, 204))} in {_ms(d)} ms"),
    ("webhook", "error", 6, lambda d: f"webhook to https://hooks.{d.choice(DOMAINS)}/v2/mail gave up after {3 + _often(d, 9)} attempts: connection reset by peer"),
    ("scheduler", "info", 30, lambda d: f"tick: {_often(d, 90)} schedules due, {_often(d, 9)} late, next in {100 * _often(d, 90)} ms, leader is node-{d.randrange(1, 4)}"),
)  # fmt: skip
_WEIGHTS = [template[2] for template in TEMPLATES]

RARE_EVERY = 25_000
RARE_WORDS = (
    "xenolith", "quincunx", "zeugma", "tmesis", "aglet", "borborygmus", "crwth", "ferrule",
)  # fmt: skip
"""Each stands in one line of two hundred thousand."""


def lines(count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` lines, each with its line feed, in the order of their timestamps."""
    dice = random.Random(seed)
    step_us = int(SPAN / timedelta(microseconds=1)) / count
    for number, pick in enumerate(_picks(dice, count)):
        service, level, _, text = TEMPLATES[pick]
        message = text(dice)
        if number % RARE_EVERY == 77:
            message += f" {RARE_WORDS[number // RARE_EVERY % len(RARE_WORDS)]}"
        yield _line(dice, int(number * step_us), service, level, message)


def _picks(dice: Dice, count: int) -> Iterator[int]:
    indexes = range(len(TEMPLATES))
    for start in range(0, count, 10_000):
        yield from dice.choices(indexes, _WEIGHTS, k=min(10_000, count - start))


def _line(dice: Dice, at_us: int, service: str, level: str, message: str) -> bytes:
    moment = START + timedelta(microseconds=at_us + dice.randrange(900))
    stamp = moment.isoformat(timespec="milliseconds")[:-6]
    request = f'"request_id":"req_{dice.getrandbits(48):012x}",' if dice.random() < 0.66 else ""
    user = f'"user_id":"{dice.choice(USERS)}",' if dice.random() < 0.5 else ""
    quoted = message.replace("\\", "\\\\").replace('"', '\\"')
    extra = (
        f'"tenant_id":"{TENANTS[_often(dice, 400)]}",'
        f'"host":"node-{dice.randrange(1, 40)}","version":"2026.11.{len(service)}"'
    )
    if dice.random() < 0.2:
        extra += f',"retries":{_often(dice, 5)},"duration_ms":{_ms(dice)}'
    return (
        f'{{"timestamp":"{stamp}Z","level":"{level}","service":"{service}",{request}{user}'
        f'"message":"{quoted}",{extra}}}\n'
    ).encode()


def write(path: str, count: int, seed: int = 1) -> None:
    """Write the lines to a file."""
    with Path(path).open("wb", buffering=1 << 20) as file:
        file.writelines(lines(count, seed))
