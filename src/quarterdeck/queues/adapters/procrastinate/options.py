"""What one `[[queues.sources]]` entry of kind `procrastinate` may say."""

from msgspec import Struct


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One database with the tables of Procrastinate 3.4 or later."""

    name: str
    url: str
    """`postgresql://user:password@host/database`."""
    kind: str = "procrastinate"
    schema: str = ""
    """PostgreSQL schema of the tables; empty: the connection's search path."""
    queues: tuple[str, ...] = ()
    """Queues that are shown even while they have no jobs. All others are found by their jobs."""
