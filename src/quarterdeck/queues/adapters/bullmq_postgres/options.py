"""What one `[[queues.sources]]` entry of kind `bullmq-postgres` may say."""

from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.queues.model import Priority


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One schema of a PostgreSQL database, with queues of BullMQ 6."""

    name: str
    url: str
    """`postgresql://user:password@host/database`."""
    kind: str = "bullmq-postgres"
    schema: Annotated[str, Meta(min_length=1)] = "bullmq"
    """The `schema` that programs give to BullMQ's connection."""
    queues: tuple[str, ...] = ()
    """The only queues to be shown, by BullMQ's names. Empty: all of the schema."""
    band_separator: Annotated[str, Meta(max_length=8)] = ""
    """With `-`, BullMQ's queue `mail-high` is shown as `queue:mail:high`, the band of `mail`."""
    priorities: dict[str, Priority] = {}
    """Of queues whose names do not tell it, by BullMQ's names."""
