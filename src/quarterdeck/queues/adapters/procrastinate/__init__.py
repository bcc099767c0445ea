"""Jobs of Procrastinate 3 in PostgreSQL: our own SQL for reads, its functions for writes.

Its tables have no index over (queue, status). So jobs that wait or run are counted through its
partial indexes; failed ones and the last hour's completed ones are followed through its events,
by their ids, and looked up again before they are counted. A snapshot reads no other rows.
"""

from quarterdeck.queues.adapters.procrastinate.engine import ProcrastinateEngine

__all__ = ["ProcrastinateEngine"]
