"""What one `[[queues.sources]]` entry of kind `celery` may say."""

from typing import Annotated

from msgspec import Meta, Struct


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One Celery application whose broker is Redis or RabbitMQ.

    Its workers should send events (`-E`), its producers too (`task_send_sent_event`), and its
    results be kept whole (`result_extended`): see `abilities.ABILITIES`.
    """

    name: str
    url: str
    """The broker: `redis://user:password@host:port/0`, `rediss://`,
    `amqp://user:password@host:5672/vhost` or `amqps://`."""
    kind: str = "celery"
    result_url: str = ""
    """The Redis of the result backend; empty: the broker's. Needed with RabbitMQ."""
    management_url: str = ""
    """`http(s)://host:15672`, with `user:password@` if they are others than the broker's; empty:
    the broker's host. For RabbitMQ."""
    ca_file: str = ""
    """PEM file of authorities that RabbitMQ's certificates may be of, besides the system's."""
    key_prefix: str = ""
    """`global_keyprefix` of the application's `broker_transport_options`."""
    result_key_prefix: str = ""
    """`global_keyprefix` of its `result_backend_transport_options`."""
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    """As in `broker_transport_options`: Celery keeps a list of waiting tasks for each."""
    queues: tuple[str, ...] = ()
    """Queues that are shown even before anything is known of them."""
    discover_every_s: Annotated[float, Meta(ge=1)] = 60.0
    """How often the broker is searched for new queues, in the background."""
    keep: Annotated[int, Meta(ge=1000)] = 100_000
    """So many failed tasks, and so many others, are remembered in Redis: the newest,
    about 1 KB each."""
