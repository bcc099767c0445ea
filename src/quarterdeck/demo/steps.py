"""One job's work on the sample platform, without the time that it takes."""

from collections.abc import Callable
from random import Random
from typing import Any

from quarterdeck.demo.relay import PlatformDatabase, SmtpRelay
from quarterdeck.demo.scenario import MAIL, REPORTS, WARMUP, Trouble


def run_step(queue: str, payload: dict[str, Any], trouble: Trouble | None) -> None:
    """Do the job's work.

    Raises:
        OSError, DatabaseError: what the trouble brings about.
    """
    dice = Random(payload["sample_number"])  # noqa: S311 - details of sample errors
    _STEPS[queue](payload, trouble, dice)


def _send_mail(payload: dict[str, Any], trouble: Trouble | None, dice: Random) -> None:
    host = payload.get("smtp", {}).get("host", "relay-1.mail.example")
    recipient = payload.get("recipient") or payload["recipients_preview"][0]
    SmtpRelay(host, trouble, dice).deliver(payload["from"], recipient)
    PlatformDatabase(trouble, dice).record("campaign_sends", payload)


def _aggregate(payload: dict[str, Any], trouble: Trouble | None, dice: Random) -> None:
    PlatformDatabase(trouble, dice).record("daily_aggregates", payload)


def _warm_up(payload: dict[str, Any], trouble: Trouble | None, dice: Random) -> None:
    PlatformDatabase(trouble, dice).record("warmup_schedule", payload)


_STEPS: dict[str, Callable[[dict[str, Any], Trouble | None, Random], None]] = {
    MAIL: _send_mail,
    REPORTS: _aggregate,
    WARMUP: _warm_up,
}
