"""What one `[[queues.sources]]` entry of kind `bullmq` may say."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from quarterdeck.queues.model import Priority


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One Redis server or cluster with queues of BullMQ 5 or 6."""

    name: str
    url: str
    """`redis://user:password@host:port/0`, `rediss://` with `?ssl_ca_certs=FILE`, or `unix://`."""
    kind: str = "bullmq"
    prefix: Annotated[str, Meta(min_length=1)] = "bull"
    """BullMQ's `prefix`; in a cluster with a hash tag, such as `{bull}`."""
    cluster: bool = False
    """Whether `url` leads to one node of a Redis Cluster."""
    queues: tuple[str, ...] = ()
    """The only queues to be shown, by BullMQ's names. Empty: all are looked for."""
    discover_every_s: Annotated[float, Meta(ge=0)] = 60.0
    """How often the keys are searched for new queues, in the background; 0: before each answer."""
    band_separator: Annotated[str, Meta(max_length=8)] = ""
    """With `-`, BullMQ's queue `mail-high` is shown as `queue:mail:high`, the band of `mail`."""
    priorities: dict[str, Priority] = {}
    """Of queues whose names do not tell it, by BullMQ's names."""
    assume_version: Literal[5, 6] | None = None
    """The major version of queues that note none, as those of Python programs do: 3.x is 6."""
