"""The table of mail events, version by version, and what is asked of it.

An event is one row: `event` is a number that the same event always has, `pair` one of the message
and its recipient. Sources send again what they have sent; so numbers are counted, never rows.
Recipients are not stored, only what a keyed hash makes of them.
"""

from msgspec import Struct

EVENTS = """
CREATE TABLE IF NOT EXISTS mail_events (
  ip LowCardinality(String) CODEC(ZSTD(1)),
  pool LowCardinality(String) CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  outcome LowCardinality(String) CODEC(ZSTD(1)),
  domain String CODEC(ZSTD(1)),
  dsn LowCardinality(String) CODEC(ZSTD(1)),
  is_hard Bool CODEC(ZSTD(1)),
  is_null_sender Bool CODEC(ZSTD(1)),
  pair UInt64 CODEC(ZSTD(1)),
  event UInt64 CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (ip, pool, at)
SETTINGS non_replicated_deduplication_window = 1000,
  fsync_after_insert = 1, fsync_part_directory = 1, min_compressed_bytes_to_fsync_after_merge = 1
"""

MIGRATIONS: tuple[str, ...] = (EVENTS,)
"""Run once each, in order; a published one is never changed."""

COLUMNS = {
    "ip": "String",
    "pool": "String",
    "at": "DateTime64(3, 'UTC')",
    "outcome": "String",
    "domain": "String",
    "dsn": "String",
    "is_hard": "Bool",
    "is_null_sender": "Bool",
    "pair": "UInt64",
    "event": "UInt64",
}


class CountRow(Struct, frozen=True):
    """Counts of one address, or of one pool where the source names no address."""

    ip: str
    pool: str
    accepted_24h: int
    attempted_7d: int
    hard_bounces_7d: int
    complaints_7d: int
    complainable_7d: int
    deferred_7d: int
    pairs_7d: int
    daily_median: float | None


COUNTS = """
WITH
  heard AS (SELECT DISTINCT domain FROM mail_events WHERE outcome = 'complained' AND domain != ''),
  week AS (
    SELECT ip, if(ip = '', pool, '') AS pool,
      uniqExactIf(event, outcome = 'delivered' AND NOT is_null_sender
        AND at > fromUnixTimestamp64Milli({now:Int64} - 86400000)) AS accepted_24h,
      uniqExactIf(pair, outcome IN ('delivered', 'bounced') AND NOT is_null_sender)
        AS attempted_7d,
      uniqExactIf(pair, outcome = 'bounced' AND is_hard AND NOT is_null_sender)
        AS hard_bounces_7d,
      uniqExactIf(event, outcome = 'complained') AS complaints_7d,
      uniqExactIf(event, outcome = 'delivered' AND NOT is_null_sender
        AND (domain IN (SELECT domain FROM heard) OR domain IN {heard:Array(String)}))
        AS complainable_7d,
      uniqExactIf(pair, outcome = 'deferred' AND NOT is_null_sender) AS deferred_7d,
      uniqExactIf(pair, outcome != 'complained' AND NOT is_null_sender) AS pairs_7d
    FROM mail_events
    WHERE at > fromUnixTimestamp64Milli({now:Int64} - 7 * 86400000)
      AND at <= fromUnixTimestamp64Milli({now:Int64})
    GROUP BY ip, if(ip = '', mail_events.pool, '') AS pool
  ),
  days AS (
    SELECT ip, if(ip = '', mail_events.pool, '') AS pool, toDate(at) AS day,
      uniqExact(event) AS accepted
    FROM mail_events
    WHERE outcome = 'delivered' AND NOT is_null_sender
      AND at > fromUnixTimestamp64Milli({now:Int64} - 45 * 86400000)
      AND toDate(at) < toDate(fromUnixTimestamp64Milli({now:Int64}, 'UTC'))
    GROUP BY ip, pool, day
    ORDER BY day DESC LIMIT 14 BY ip, pool
  ),
  usual AS (
    SELECT ip, pool, quantileExactInclusive(0.5)(accepted) AS daily_median
    FROM days GROUP BY ip, pool
  )
SELECT week.ip AS ip, week.pool AS pool, accepted_24h, attempted_7d, hard_bounces_7d, complaints_7d,
  complainable_7d, deferred_7d, pairs_7d, usual.daily_median AS daily_median
FROM week LEFT JOIN usual ON week.ip = usual.ip AND week.pool = usual.pool
SETTINGS join_use_nulls = 1
"""
"""Null senders are notices about mail, and count nowhere. Of a complaint whose recipient is hidden
the domain is not known: it makes none a domain that complains."""
