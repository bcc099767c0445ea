"""What one `[[queues.sources]]` entry of kind `rq` may say."""

from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.queues.model import Priority


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One Redis database with the keys of RQ 2.4 or later."""

    name: str
    url: str
    """`redis://user:password@host/0`, `rediss://` or `unix://`."""
    kind: str = "rq"
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.:{}-]+$", description="letters, digits and _ . : - { }")
    ] = "rq"
    """What all keys start with: `RQ_KEY_PREFIX` of the workers."""
    queues: tuple[str, ...] = ()
    """Queues that are shown before they had a job. All others are found by RQ's own register."""
    priorities: dict[str, Priority] = {}
    """Bands of queues whose names do not end in `:high` or `:low`."""
