"""What the sample platform's mail server tells of its mail: events in the neutral form."""

import json
from datetime import datetime, timedelta
from random import Random

from quarterdeck.core.clock import iso_z
from quarterdeck.demo.attachment import ADDRESSES

DOMAINS = ("gmail.example", "outlook.example", "yahoo.example", "corp.example")
BOUNCING, DEFERRED, COMPLAINING = 0.012, 0.03, 0.0004
PAST_DAYS = 10
A_DAY = 1500
"""Letters of one address in the past; enough for rates that mean something."""


def past(seed: int, now: datetime) -> str:
    """The days before the first look, one event a line. The same seed tells the same again."""
    dice = Random(f"{seed}:{now.date()}:past")  # noqa: S311 - sample data
    lines = []
    for day in range(1, PAST_DAYS + 1):
        for ip in (each.address for each in ADDRESSES):
            for number in range(dice.randint(A_DAY * 8 // 10, A_DAY)):
                at = now - timedelta(days=day) + timedelta(seconds=dice.randrange(86_000))
                lines += _events(dice, ip, at, f"past-{day}-{number}")
    return "\n".join(lines)


def recent(seed: int, number: int, count: int, now: datetime) -> str:
    """The letters of the last seconds."""
    dice = Random(f"{seed}:{number}:mail")  # noqa: S311 - sample data
    lines = []
    for letter in range(count):
        ip = dice.choice(ADDRESSES).address
        lines += _events(dice, ip, now, f"now-{int(now.timestamp())}-{letter}")
    return "\n".join(lines)


def _events(dice: Random, ip: str, at: datetime, message_id: str) -> list[str]:
    domain = dice.choice(DOMAINS)
    common = {
        "ts": iso_z(at.replace(microsecond=0)), "ip": ip, "id": message_id,
        "rcpt": f"sample-{dice.randrange(10**9)}@{domain}",
    }  # fmt: skip
    if dice.random() < BOUNCING:
        return [json.dumps(common | {"event": "bounced", "dsn": "5.1.1"})]
    events = [common | {"event": "delivered", "dsn": "2.0.0"}]
    if dice.random() < DEFERRED:
        events.insert(0, common | {"event": "deferred", "dsn": "4.7.0"})
    if dice.random() < COMPLAINING:
        events.append(common | {"event": "complained"})
    return [json.dumps(each) for each in events]
