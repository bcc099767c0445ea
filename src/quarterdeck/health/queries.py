"""The SQL of histories, over `health_samples`."""

from msgspec import Struct


class SpanRow(Struct, frozen=True):
    """A stretch of one status, in milliseconds since 1970, and the totals of all of them."""

    start_ms: int
    end_ms: int
    status: str
    healthy_ms: int
    degraded_ms: int
    down_ms: int
    spans: int
    """How many there are; the rows stop at `MOST_SPANS`."""


class SeriesRow(Struct, frozen=True):
    """One step of a plot; None: nothing was measured."""

    at_ms: int
    avg_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    check_ms: float | None
    checks: int | None
    failed_checks: int | None
    error_rate_percent: float | None


SPANS = """
WITH
  reaching AS (
    SELECT
      toUnixTimestamp64Milli(at) AS at_ms,
      status,
      least(
        at_ms + valid_ms,
        leadInFrame(toUnixTimestamp64Milli(at), 1, {until:Int64}) OVER (
          ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
        {until:Int64}) AS end_ms
    FROM health_samples
    WHERE service = {service:String}
      AND at >= fromUnixTimestamp64Milli({since:Int64} - {reach:Int64})
      AND at < fromUnixTimestamp64Milli({until:Int64})
  ),
  clipped AS (
    SELECT greatest(at_ms, {since:Int64}) AS start_ms, end_ms, status
    FROM reaching WHERE status != 'unknown' AND end_ms > greatest(at_ms, {since:Int64})
  ),
  marked AS (
    SELECT start_ms, end_ms, status,
      status != lagInFrame(status, 1, '') OVER before
        OR start_ms > lagInFrame(end_ms, 1, start_ms) OVER before AS is_first
    FROM clipped
    WINDOW before AS (ORDER BY start_ms ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
  ),
  numbered AS (
    SELECT start_ms, end_ms, status, sum(is_first) OVER (
      ORDER BY start_ms ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS number
    FROM marked
  ),
  spans AS (
    SELECT min(numbered.start_ms) AS first_ms, max(numbered.end_ms) AS last_ms,
      any(numbered.status) AS state, sum(numbered.end_ms - numbered.start_ms) AS length_ms
    FROM numbered GROUP BY number
  )
SELECT
  first_ms AS start_ms,
  last_ms AS end_ms,
  state AS status,
  sumIf(length_ms, state = 'healthy') OVER () AS healthy_ms,
  sumIf(length_ms, state = 'degraded') OVER () AS degraded_ms,
  sumIf(length_ms, state = 'down') OVER () AS down_ms,
  count() OVER () AS spans
FROM spans ORDER BY start_ms DESC LIMIT 2000
"""
"""Newest first. A reading holds until the next one, but not longer than it says."""

SERIES = """
SELECT
  intDiv(toUnixTimestamp64Milli(at), {step:Int64}) * {step:Int64} AS at_ms,
  sum(health_samples.avg_ms * requests) / nullIf(sum(requests), 0) AS avg_ms,
  max(health_samples.p95_ms) AS p95_ms,
  max(health_samples.p99_ms) AS p99_ms,
  avgIf(latency_ms, outcome = 'ok') AS check_ms,
  nullIf(countIf(probe != 'telemetry' AND outcome IN ('ok', 'fail')), 0) AS checks,
  if(checks IS NULL, NULL, countIf(probe != 'telemetry' AND outcome = 'fail')) AS failed_checks,
  maxOrNullIf(metrics['error_rate_percent'], mapContains(metrics, 'error_rate_percent'))
    AS error_rate_percent
FROM health_samples
WHERE service = {service:String}
  AND at >= fromUnixTimestamp64Milli({since:Int64})
  AND at < fromUnixTimestamp64Milli({until:Int64})
GROUP BY at_ms ORDER BY at_ms
"""
"""Response times of requests are weighted by how many there were; see `history.SeriesPoint`.

What was pushed is no check: it always comes as 'ok', whatever it says.
"""
