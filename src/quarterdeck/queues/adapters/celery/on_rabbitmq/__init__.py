"""RabbitMQ as the broker: counts from its management API, events and control over AMQP.

Waiting messages are never fetched to be looked at: that reorders them, and on a quorum queue counts
as a delivery, after twenty of which the message is thrown away.
"""

from quarterdeck.queues.adapters.celery.on_rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
