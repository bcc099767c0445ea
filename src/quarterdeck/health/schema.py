"""The table of readings, version by version.

A row says what a service was after one reading, and for how long that holds: until the next row of
the service, but `valid_ms` at most. Time that no row covers is time without data. What is unknown
is NULL or absent. A service's rows lie together; a day is a partition, and goes as a whole.
"""

SAMPLES = """
CREATE TABLE IF NOT EXISTS health_samples (
  service LowCardinality(String) CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  status LowCardinality(String) CODEC(ZSTD(1)),
  valid_ms UInt32 CODEC(ZSTD(1)),
  probe LowCardinality(String) CODEC(ZSTD(1)),
  outcome LowCardinality(String) CODEC(ZSTD(1)),
  latency_ms Nullable(Float32) CODEC(ZSTD(1)),
  requests UInt64 CODEC(ZSTD(1)),
  avg_ms Nullable(Float32) CODEC(ZSTD(1)),
  p95_ms Nullable(Float32) CODEC(ZSTD(1)),
  p99_ms Nullable(Float32) CODEC(ZSTD(1)),
  metrics Map(LowCardinality(String), Float64) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (service, at)
SETTINGS non_replicated_deduplication_window = 1000,
  fsync_after_insert = 1, fsync_part_directory = 1, min_compressed_bytes_to_fsync_after_merge = 1
"""

MIGRATIONS: tuple[str, ...] = (SAMPLES,)
"""Run once each, in order; a published one is never changed."""

COLUMNS = {
    "service": "String",
    "at": "DateTime64(3, 'UTC')",
    "status": "String",
    "valid_ms": "UInt32",
    "probe": "String",
    "outcome": "String",
    "latency_ms": "Nullable(Float32)",
    "requests": "UInt64",
    "avg_ms": "Nullable(Float32)",
    "p95_ms": "Nullable(Float32)",
    "p99_ms": "Nullable(Float32)",
    "metrics": "Map(String, Float64)",
}
"""What an insert gives, in the order of the table."""
