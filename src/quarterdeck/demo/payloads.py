"""Payloads of sample jobs: invented, masked where a real platform would mask, marked as samples.

Names, addresses and networks come from the ranges that are reserved for examples (RFC 2606,
RFC 5737). Some keys hold invented secrets, so that redaction has something to hide.
"""

from datetime import date, timedelta
from random import Random
from typing import Any

Payload = dict[str, Any]

_TENANTS = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell")
_SUBJECTS = (
    "Spring sale: 20% off everything until Sunday",
    "Your weekly digest",
    "What is new in version 4.2",
    "You left something in your cart",
    "Invitation: product webinar on Thursday",
    "Thanks for your order – how did we do?",  # noqa: RUF001 - subjects do hold such dashes
)
_RECEIPTS = ("password-reset", "email-verification", "order-receipt", "login-alert", "invoice")
_PROVIDERS = ("gmail", "outlook", "yahoo", "icloud", "other")
_FIRST_DAY = date(2025, 1, 1)


def email(dice: Random, number: int, campaign: Random) -> Payload:
    """A batch of a campaign; jobs that share the `campaign` dice share the campaign."""
    tenant = campaign.choice(_TENANTS)
    return _marked(number) | {
        "campaign_id": f"cmp_{_hex(campaign, 10)}",
        "workspace_id": f"wsp_{tenant}",
        "subject": campaign.choice(_SUBJECTS),
        "from": f"news@mail.{tenant}.example",
        "recipient_count": dice.choice((50, 100, 250, 500, 1000)),
        "recipients_preview": [_address(dice) for _ in range(3)],
        "smtp": {
            "host": f"relay-{dice.randint(1, 4)}.mail.example",
            "port": 587,
            "username": f"{tenant}-bulk",
            "smtp_password": f"sample-{_hex(dice, 12)}",
        },
    }


def receipt(dice: Random, number: int) -> Payload:
    """One transactional message that somebody waits for."""
    tenant = dice.choice(_TENANTS)
    return _marked(number) | {
        "message_id": f"msg_{_hex(dice, 12)}",
        "workspace_id": f"wsp_{tenant}",
        "template": dice.choice(_RECEIPTS),
        "from": f"no-reply@{tenant}.example",
        "recipient": _address(dice),
        "recipient_count": 1,
        "api_key": f"sample_key_{_hex(dice, 16)}",
    }


def report(dice: Random, number: int) -> Payload:
    """The aggregation of one workspace's day."""
    return _marked(number) | {
        "workspace_id": f"wsp_{dice.choice(_TENANTS)}",
        "day": (_FIRST_DAY + timedelta(days=dice.randrange(365))).isoformat(),
        "metrics": ["sent", "delivered", "opened", "clicked", "bounced", "complained"],
        "rows_estimate": dice.randrange(20_000, 900_000),
        "warehouse": {
            "host": "warehouse.internal.example",
            "database": "mail_events",
            "user": "aggregator",
            "password": f"sample-{_hex(dice, 12)}",
        },
    }


def warmup(dice: Random, number: int) -> Payload:
    """One step of the warm-up of a new sending address."""
    day = dice.randint(1, 30)
    shares = [dice.randint(5, 40) for _ in _PROVIDERS]
    return _marked(number) | {
        "ip_address": f"203.0.113.{dice.randint(10, 29)}",
        "pool": dice.choice(("marketing-eu", "marketing-us", "transactional")),
        "day": day,
        "daily_limit": round(50 * 1.35**day / 50) * 50,
        "provider_mix": dict(zip(_PROVIDERS, shares, strict=True)),
        "provider_api_key": f"sample_key_{_hex(dice, 16)}",
    }


def _marked(number: int) -> Payload:
    return {"sample": True, "sample_number": number}


def _address(dice: Random) -> str:
    letter = dice.choice("abcdefghijklmnoprstuvwz")
    return f"{letter}***@example.{dice.choice(('com', 'net', 'org'))}"


def _hex(dice: Random, digits: int) -> str:
    return f"{dice.getrandbits(4 * digits):0{digits}x}"
