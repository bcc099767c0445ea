"""Jobs whose rows are in PostgreSQL while many of them wait in Redis lists.

The rows are the source of truth, and an SQL engine reads and changes them. This package adds what
lies in Redis: a job that a migrator has moved there has a row `migrated_to_redis` and an entry in
a list, and both must change together though no transaction spans them. Every order of steps here
is chosen so that a crash in between can lose no job, and so that repeating the call completes it.
"""

from quarterdeck.queues.adapters.hybrid.engine import HybridEngine

__all__ = ["HybridEngine"]
