"""The room's facts: score, status and volume of each address at each round, kept for weeks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import Struct

from quarterdeck.core.clock import Clock, iso_z, utc_now
from quarterdeck.facts import Facts, Param, Recorder, RecordTable
from quarterdeck.reputation.model import Address, IpStatus

SAMPLES = """
CREATE TABLE IF NOT EXISTS reputation_samples (
  address LowCardinality(String) CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  score UInt8 CODEC(ZSTD(1)),
  status LowCardinality(String) CODEC(ZSTD(1)),
  confidence LowCardinality(String) CODEC(ZSTD(1)),
  daily_volume Nullable(UInt64) CODEC(ZSTD(1)),
  blacklists Array(LowCardinality(String)) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (address, at)
SETTINGS non_replicated_deduplication_window = 1000,
  fsync_after_insert = 1, fsync_part_directory = 1, min_compressed_bytes_to_fsync_after_merge = 1
"""

TABLE = RecordTable(
    room="reputation",
    name="reputation_samples",
    columns={
        "address": "String",
        "at": "DateTime64(3, 'UTC')",
        "score": "UInt8",
        "status": "String",
        "confidence": "String",
        "daily_volume": "Nullable(UInt64)",
        "blacklists": "Array(String)",
    },
    migrations=(SAMPLES,),
    what="scores of addresses",
)

SERIES = """
SELECT toUnixTimestamp64Milli(at) AS at_ms, score, status, confidence, daily_volume, blacklists
FROM reputation_samples
WHERE address = {address:String}
  AND at >= fromUnixTimestamp64Milli({since:Int64})
  AND at <= fromUnixTimestamp64Milli({until:Int64})
ORDER BY at LIMIT 10000
"""


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """What an address was like after one round."""

    at: datetime
    score: int
    status: IpStatus
    confidence: str
    daily_volume: int | None
    blacklists: Sequence[str]


class _Row(Struct, frozen=True):
    at_ms: int
    score: int
    status: str
    confidence: str
    daily_volume: int | None
    blacklists: list[str]


class ScoreHistory:
    """Takes scores, and tells histories; `rows` stores them."""

    def __init__(
        self, facts: Facts, retention_days: int = 90, cluster: str = "", clock: Clock = utc_now
    ) -> None:
        self._facts = facts
        self.rows = Recorder(facts, TABLE, retention_days, cluster, clock)

    def add(self, address: Address, point: ScorePoint) -> None:
        """Take the score of a round."""
        at = point.at.replace(microsecond=point.at.microsecond // 1000 * 1000)
        self.rows.add(
            point.at,
            [
                str(address), iso_z(at), point.score, point.status, point.confidence,
                point.daily_volume, list(point.blacklists),
            ],
        )  # fmt: skip

    async def scores(self, address: Address, since: datetime, until: datetime) -> list[ScorePoint]:
        """Scores between two moments, in the order of time.

        Raises:
            SourceUnavailable: the store of facts cannot be had.
        """
        params: dict[str, Param] = {
            "address": str(address),
            "since": _ms(since),
            "until": _ms(until),
        }
        return [
            ScorePoint(
                datetime.fromtimestamp(row.at_ms / 1000, UTC), row.score, IpStatus(row.status),
                row.confidence, row.daily_volume, row.blacklists,
            )
            for row in await self._facts.fetch(SERIES, _Row, params)
        ]  # fmt: skip


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
