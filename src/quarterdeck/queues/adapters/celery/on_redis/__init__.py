"""Redis as the broker: lists of messages, channels for events and remote control."""

from quarterdeck.queues.adapters.celery.on_redis.broker import RedisBroker
from quarterdeck.queues.adapters.celery.on_redis.wire import RedisWire

__all__ = ["RedisBroker", "RedisWire"]
