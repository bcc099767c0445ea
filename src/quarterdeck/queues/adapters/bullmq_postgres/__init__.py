"""Jobs of BullMQ 6 in PostgreSQL: our own SQL for reads, its own functions for writes.

Its clients create and migrate the schema; nothing here does, nor calls anything of theirs that may.
"""

from quarterdeck.queues.adapters.bullmq_postgres.engine import BullmqPostgresEngine

__all__ = ["BullmqPostgresEngine"]
