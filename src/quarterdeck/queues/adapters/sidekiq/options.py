"""What one `[[queues.sources]]` entry of kind `sidekiq` may say."""

from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.queues.model import Priority


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One Redis database with the keys of Sidekiq 6, 7 or 8."""

    name: str
    url: str
    """`redis://user:password@host/0`, `rediss://` or `unix://`."""
    kind: str = "sidekiq"
    namespace: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.:{}-]*$", description="letters, digits and _ . : - { }")
    ] = ""
    """That of the gem `redis-namespace`, where Sidekiq 6 is used with it."""
    queues: tuple[str, ...] = ()
    """Queues that are shown before they had a job. All others are found by Sidekiq's register."""
    priorities: dict[str, Priority] = {}
    """Bands of queues whose names do not end in `:high` or `:low`."""
