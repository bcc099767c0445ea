"""Jobs of BullMQ on Redis, versions 5 and 6 side by side.

Nothing here calls BullMQ's own code: its reads clean up and its clients migrate. The layout of its
keys is read as it is, and changed only in single atomic steps that know the job's state.
"""

from quarterdeck.queues.adapters.bullmq.engine import BullmqEngine

__all__ = ["BullmqEngine"]
