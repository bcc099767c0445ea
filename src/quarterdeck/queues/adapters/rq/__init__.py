"""Jobs of RQ 2.4 and later in Redis: our own reads of its keys, our own scripts for writes.

The library is not used at all. Its reads clean up, retry abandoned jobs, call users' callbacks and
unpickle what they find, so whoever can write to Redis could run code here. Nothing is ever
unpickled by this package: pickled arguments are shown by the description that RQ keeps of them.
"""

from quarterdeck.queues.adapters.rq.engine import RqEngine

__all__ = ["RqEngine"]
