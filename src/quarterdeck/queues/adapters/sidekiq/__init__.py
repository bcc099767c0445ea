"""Jobs of Sidekiq 6 to 8 in Redis: our own reads of its keys, our own scripts for writes.

No Ruby is needed. What Sidekiq writes is plain JSON, and its own retry takes a job out of one key
and puts it into another in two steps, between which it can be lost: ours is one step.
"""

from quarterdeck.queues.adapters.sidekiq.engine import SidekiqEngine

__all__ = ["SidekiqEngine"]
