"""The table of queue samples, version by version. A day is a partition, and goes as a whole."""

from quarterdeck.facts import RecordTable

SAMPLES = """
CREATE TABLE IF NOT EXISTS queue_samples (
  source LowCardinality(String) CODEC(ZSTD(1)),
  queue LowCardinality(String) CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  waiting Nullable(UInt64) CODEC(ZSTD(1)),
  active Nullable(UInt64) CODEC(ZSTD(1)),
  failed Nullable(UInt64) CODEC(ZSTD(1)),
  completed_last_hour Nullable(UInt64) CODEC(ZSTD(1)),
  completed_last_minute Nullable(UInt64) CODEC(ZSTD(1)),
  failed_last_minute Nullable(UInt64) CODEC(ZSTD(1)),
  oldest_age_s Nullable(Float64) CODEC(ZSTD(1)),
  paused Nullable(Bool) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (source, queue, at)
SETTINGS non_replicated_deduplication_window = 1000,
  fsync_after_insert = 1, fsync_part_directory = 1, min_compressed_bytes_to_fsync_after_merge = 1
"""

TABLE = RecordTable(
    room="queues",
    name="queue_samples",
    columns={
        "source": "String",
        "queue": "String",
        "at": "DateTime64(3, 'UTC')",
        "waiting": "Nullable(UInt64)",
        "active": "Nullable(UInt64)",
        "failed": "Nullable(UInt64)",
        "completed_last_hour": "Nullable(UInt64)",
        "completed_last_minute": "Nullable(UInt64)",
        "failed_last_minute": "Nullable(UInt64)",
        "oldest_age_s": "Nullable(Float64)",
        "paused": "Nullable(Bool)",
    },
    migrations=(SAMPLES,),
    what="queue samples",
)

RECENT = """
SELECT source, queue, toUnixTimestamp64Milli(at) AS at_ms, waiting, completed_last_minute
FROM queue_samples
WHERE at >= fromUnixTimestamp64Milli({since:Int64})
ORDER BY at
"""

SERIES = """
SELECT
  intDiv(toUnixTimestamp64Milli(at), {step:Int64}) * {step:Int64} AS at_ms,
  avg(queue_samples.waiting) AS waiting,
  max(queue_samples.waiting) AS waiting_max,
  avg(queue_samples.active) AS active,
  max(queue_samples.failed) AS failed,
  max(queue_samples.oldest_age_s) AS oldest_age_s,
  avg(completed_last_minute) AS completed_per_minute,
  avg(failed_last_minute) AS failed_per_minute
FROM queue_samples
WHERE source = {source:String} AND queue = {queue:String}
  AND at >= fromUnixTimestamp64Milli({since:Int64})
  AND at < fromUnixTimestamp64Milli({until:Int64})
GROUP BY at_ms ORDER BY at_ms
"""
"""Nulls are passed over; a step that has nothing else is null."""
