"""Addresses, what lists say of them, what was found in the last round, and when the next one is.

Revision ID: reputation_0001
"""

from alembic import op

revision = "reputation_0001"
down_revision = None
branch_labels = ("reputation",)
depends_on = None

TABLES = """
CREATE TABLE reputation_addresses (
  address text PRIMARY KEY,
  provider text,
  pool text,
  helo text,
  created_at {time} NOT NULL,
  created_by text NOT NULL
);
CREATE TABLE reputation_listings (
  address text NOT NULL,
  list_id text NOT NULL,
  state text NOT NULL,
  since {time} NOT NULL,
  listing {json} NOT NULL,
  PRIMARY KEY (address, list_id)
);
CREATE TABLE reputation_past (
  id {serial},
  address text NOT NULL,
  list_id text NOT NULL,
  since {time} NOT NULL,
  until {time} NOT NULL,
  listing {json} NOT NULL
);
CREATE INDEX reputation_past_of ON reputation_past (address, until);
CREATE TABLE reputation_checks (
  address text PRIMARY KEY,
  checked_at {time} NOT NULL,
  coverage {json} NOT NULL,
  identity {json}
);
CREATE TABLE reputation_rounds (
  id integer PRIMARY KEY CHECK (id = 1),
  next_at {time} NOT NULL,
  holder text,
  held_until {time}
);
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLES.format(
        time="timestamptz" if postgres else "timestamp",
        json="jsonb" if postgres else "text",
        serial="bigserial PRIMARY KEY" if postgres else "integer PRIMARY KEY",
    )
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
