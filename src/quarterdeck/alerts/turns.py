"""Changes of alerts are made one after another, by whichever server."""

from sqlalchemy import Connection, text

_LOCK = 0x51_44_41_4C_52  # "QDALR"


def take_turn(connection: Connection) -> None:
    """Have no other change of alerts until this transaction ends.

    So two servers that find the same thing at the same time do not both tell of it, and numbers of
    events become visible in their order. SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
