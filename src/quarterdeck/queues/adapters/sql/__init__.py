"""Jobs in SQL tables: the platform's documented ones, or those that people already have.

Two kinds of tables are told apart when they are first looked at. With `job_counts` (kept by our
triggers) every count is exact and costs the same however many jobs there are. Without it, counts
stop at 10,000, and are quick where the jobs table has an index on (queue, status).
"""

from quarterdeck.queues.adapters.sql.engine import SqlEngine

__all__ = ["SqlEngine"]
