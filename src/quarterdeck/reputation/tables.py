"""Tables of the reputation room's state. DDL is in `migrations/`."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

from quarterdeck.state.types import Json, UtcDateTime

metadata = MetaData()

addresses = Table(
    "reputation_addresses",
    metadata,
    Column("address", Text, primary_key=True),
    Column("provider", Text),
    Column("pool", Text),
    Column("helo", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
)
"""Those that came through the API."""

listings = Table(
    "reputation_listings",
    metadata,
    Column("address", Text, primary_key=True),
    Column("list_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("listing", Json, nullable=False),
)
"""What is believed or suspected now; `listing` is a `model.Listing`."""

past = Table(
    "reputation_past",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("address", Text, nullable=False),
    Column("list_id", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("listing", Json, nullable=False),
)
"""Listings that were confirmed and have ended."""

checks = Table(
    "reputation_checks",
    metadata,
    Column("address", Text, primary_key=True),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("coverage", Json, nullable=False),
    Column("identity", Json),
)
"""The last round of each address."""

rounds = Table(
    "reputation_rounds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("next_at", UtcDateTime, nullable=False),
    Column("holder", Text),
    Column("held_until", UtcDateTime),
)
"""One row: when the next round is due, and who is at one."""
