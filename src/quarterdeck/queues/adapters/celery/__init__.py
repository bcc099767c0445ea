"""Tasks of Celery 5 on Redis or RabbitMQ: read from the broker, from events, and from results.

Celery itself remembers hardly anything: a waiting task is a message in a queue, a running one is
in a worker's memory, a finished one is a result without an index. So what its events and results
tell is noted in an index of our own, which several of us may share. It lies in the broker's Redis,
because only there can a retry take a task from the failed ones and send it again in one step; with
a RabbitMQ, in the Redis of the results. The `celery` package is not needed: all of it is JSON, and
pickles are never opened.

`broker.py` says what is needed of a broker; `on_redis` and `on_rabbitmq` are the two there are.
"""

from quarterdeck.queues.adapters.celery.engine import CeleryEngine

__all__ = ["CeleryEngine"]
