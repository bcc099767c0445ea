"""What happens on the sample platform: each job by its number, whatever the clock says.

Everything about job `n` (queue, payload, how long it takes, how it fails) follows from the seed
and `n` alone, so two runs with one seed show the same jobs in the same order.

The numbers go in rounds of three acts. An act is a quiet stretch of mixed jobs, then a campaign
that arrives all at once: a small one, a newsletter in the `:low` band, and one that is larger
than what the mailer gets done in minutes (so its queue turns `critical`).
"""

from dataclasses import dataclass
from enum import Enum
from random import Random

from quarterdeck.demo.payloads import Payload, email, receipt, report, warmup

MAIL = "email-sending"
REPORTS = "analytics:daily-aggregate"
WARMUP = "warmup:process"

HIGH, NORMAL, LOW = 10, 100, 200
"""Priorities of the three bands."""

QUIET = 240
"""Jobs between two campaigns."""

CAMPAIGNS = ((NORMAL, 250), (LOW, 350), (NORMAL, 1200))
"""Priority and size of the campaign of each act."""

ROUND = sum(QUIET + size for _, size in CAMPAIGNS)

FAILING = 1 / 30
STUMBLING = 1 / 15

EARLY_FAILURES = frozenset({5, 21, 37, 58, 80})
"""Mail that fails whatever the seed, so that the first look has failed jobs."""


class Trouble(Enum):
    """What can go wrong; `is_temporary` trouble is gone when somebody retries a failed job."""

    DISCONNECTED = "the relay hangs up"
    RATE_LIMITED = "the relay says 421"
    CONNECT_TIMEOUT = "the relay does not answer"
    UNKNOWN_RECIPIENT = "the receiver says 550"
    BAD_CREDENTIALS = "the relay says 535"
    DEADLOCK = "the database found a deadlock"
    POOL_EXHAUSTED = "no connection to the database is free"
    STATEMENT_TIMEOUT = "the database cancels the query"

    @property
    def is_temporary(self) -> bool:
        """Whether another try can help."""
        return self not in {Trouble.UNKNOWN_RECIPIENT, Trouble.BAD_CREDENTIALS}


MAIL_TROUBLES = (
    Trouble.DISCONNECTED, Trouble.RATE_LIMITED, Trouble.RATE_LIMITED, Trouble.CONNECT_TIMEOUT,
    Trouble.UNKNOWN_RECIPIENT, Trouble.UNKNOWN_RECIPIENT, Trouble.BAD_CREDENTIALS,
    Trouble.DEADLOCK, Trouble.POOL_EXHAUSTED,
)  # fmt: skip
DATABASE_TROUBLES = (Trouble.DEADLOCK, Trouble.POOL_EXHAUSTED, Trouble.STATEMENT_TIMEOUT)


@dataclass(frozen=True, slots=True)
class SampleJob:
    """One job as its producer enqueues it. `queue` is the name without `queue:` and band."""

    queue: str
    priority: int
    payload: Payload
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Fate:
    """How a job goes: `trouble` in its first `bad_attempts` attempts, then none."""

    duration_s: float
    trouble: Trouble | None
    bad_attempts: int

    @property
    def is_passing(self) -> bool:
        """Whether a later attempt succeeds by itself."""
        return self.bad_attempts < 2

    def trouble_at(self, attempt: int) -> Trouble | None:
        """What goes wrong in this attempt (from 1)."""
        return self.trouble if attempt <= self.bad_attempts else None


def campaign_at(number: int) -> tuple[int, int] | None:
    """Of the campaign that job `number` belongs to: priority, and the number after its last job.

    None: the job belongs to a quiet stretch.
    """
    start = number - number % ROUND
    for priority, size in CAMPAIGNS:
        end = start + QUIET + size
        if number < end:
            return (priority, end) if number >= start + QUIET else None
        start = end
    raise AssertionError("the acts of a round cover all its numbers")


def job_at(seed: int, number: int) -> SampleJob:
    """Job `number` of the run with this seed."""
    dice = _dice(seed, number, "job")
    campaign = campaign_at(number)
    if campaign is not None:
        priority, end = campaign
        return _mail(email(dice, number, _dice(seed, end, "campaign")), priority, seed)
    kind = 0.5 if number in EARLY_FAILURES else dice.random()
    if kind < 0.10:
        return SampleJob(REPORTS, NORMAL, report(dice, number), 3)
    if kind < 0.28:
        return SampleJob(WARMUP, NORMAL, warmup(dice, number), 3)
    if kind < 0.45:
        return _mail(receipt(dice, number), HIGH, seed)
    priority = NORMAL if kind < 0.85 else LOW
    return _mail(email(dice, number, dice), priority, seed)


def fate_of(seed: int, queue: str, number: int) -> Fate:
    """How job `number` goes when a worker runs it."""
    dice = _dice(seed, number, "fate")
    fastest, usual, slowest = {
        MAIL: (0.15, 0.45, 2.0), REPORTS: (1.0, 2.0, 4.0), WARMUP: (0.4, 0.8, 1.6),
    }[queue]  # fmt: skip
    duration_s = dice.triangular(fastest, slowest, usual)
    luck = dice.random()
    trouble = dice.choice(MAIL_TROUBLES if queue == MAIL else DATABASE_TROUBLES)
    if luck < FAILING or number in EARLY_FAILURES:
        return Fate(duration_s, trouble, bad_attempts=1000)
    if luck < FAILING + STUMBLING and trouble.is_temporary:
        return Fate(duration_s, trouble, bad_attempts=1)
    return Fate(duration_s, None, bad_attempts=0)


def _mail(payload: Payload, priority: int, seed: int) -> SampleJob:
    trouble = fate_of(seed, MAIL, payload["sample_number"]).trouble
    # A refused address stays refused: such mail is given one attempt, as real senders do.
    is_final = trouble is not None and not trouble.is_temporary
    return SampleJob(MAIL, priority, payload, 1 if is_final else 3)


def _dice(seed: int, number: int, purpose: str) -> Random:
    return Random(f"{seed}:{number}:{purpose}")  # noqa: S311 - sample data, reproducible on purpose
