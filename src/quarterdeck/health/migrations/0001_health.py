"""What is known of services, what people say to it, heartbeats.

Revision ID: health_0001
"""

from alembic import op

revision = "health_0001"
down_revision = None
branch_labels = ("health",)
depends_on = None

TABLES = """
CREATE TABLE health_services (
  name text PRIMARY KEY,
  status text CHECK (status IN ('healthy', 'degraded', 'down')),
  since {time} NOT NULL,
  checked_at {time},
  checks text NOT NULL,
  updated_at {time} NOT NULL
);
CREATE TABLE health_notes (
  service text PRIMARY KEY,
  note text NOT NULL,
  author text NOT NULL,
  created_at {time} NOT NULL,
  expires_at {time}
);
CREATE TABLE health_heartbeats (
  name text PRIMARY KEY,
  last_at {time} NOT NULL
);
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLES.format(time="timestamptz" if postgres else "timestamp")
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
