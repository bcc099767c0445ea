"""Tables of the health room's state. DDL is in `migrations/`."""

from sqlalchemy import Column, MetaData, Table, Text

from quarterdeck.state.types import UtcDateTime

metadata = MetaData()

health_services = Table(
    "health_services",
    metadata,
    Column("name", Text, primary_key=True),
    Column("status", Text),
    Column("since", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),
    Column("checks", Text, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
"""`checks` is JSON that only this program reads: what each check has counted."""

health_notes = Table(
    "health_notes",
    metadata,
    Column("service", Text, primary_key=True),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
)

health_heartbeats = Table(
    "health_heartbeats",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_at", UtcDateTime, nullable=False),
)
