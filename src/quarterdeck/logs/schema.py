"""The table of log lines, version by version. Measurements: docs/adr/0016-log-table.md."""

LOGS = """
CREATE TABLE IF NOT EXISTS logs (
  timestamp DateTime64(6, 'UTC') CODEC(GCD, Delta, ZSTD(1)),
  level LowCardinality(String) CODEC(ZSTD(1)),
  service LowCardinality(String) CODEC(ZSTD(1)),
  message String CODEC(ZSTD(3)),
  request_id String CODEC(ZSTD(1)),
  user_id String CODEC(ZSTD(3)),
  tenant_id String CODEC(ZSTD(3)),
  metadata String CODEC(ZSTD(1)),
  level_original LowCardinality(String) CODEC(ZSTD(1)),
  marks LowCardinality(String) CODEC(ZSTD(1)),
  original String CODEC(ZSTD(3)),
  INDEX i_ts timestamp TYPE minmax GRANULARITY 1,
  INDEX i_rid request_id TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX i_ng lowerUTF8(message) TYPE ngrambf_v1(4, 16384, 2, 0) GRANULARITY 4
) ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (toStartOfHour(timestamp), service, level, substring(message, 1, 12), timestamp)
SETTINGS index_granularity = 2048, string_serialization_version = 'single_stream',
  non_replicated_deduplication_window = 1000,
  enable_block_number_column = 1, enable_block_offset_column = 1,
  fsync_after_insert = 1, fsync_part_directory = 1, min_compressed_bytes_to_fsync_after_merge = 1
"""

MIGRATIONS: tuple[str, ...] = (LOGS,)
"""Run once each, in order; a published one is never changed."""
