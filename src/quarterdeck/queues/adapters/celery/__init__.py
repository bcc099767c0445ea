"""Tasks of Celery 5 on Redis: read from the broker, from events, and from results.

Celery itself remembers hardly anything: a waiting task is a message in a list, a running one is in
a worker's memory, a finished one is a result without an index. So what its events and results tell
is noted in an index of our own. It lies in the broker's Redis, because only there can a retry take
a task from the failed ones and send it again in one step, and because several of us may share it.
The `celery` package is not needed: all of it is JSON in Redis, and pickles are never opened.
"""

from quarterdeck.queues.adapters.celery.engine import CeleryEngine

__all__ = ["CeleryEngine"]
