"""Exports and saved searches of log lines.

Revision ID: logs_0001
"""

from alembic import op

revision = "logs_0001"
down_revision = None
branch_labels = ("logs",)
depends_on = None

TABLES = """
CREATE TABLE log_exports (
  id text PRIMARY KEY,
  job_id text NOT NULL,
  created_at {time} NOT NULL,
  created_by text NOT NULL,
  filter {json} NOT NULL,
  format text NOT NULL CHECK (format IN ('csv', 'json', 'txt')),
  json_shape text NOT NULL CHECK (json_shape IN ('ndjson', 'array')),
  gzip boolean NOT NULL,
  status text NOT NULL
    CHECK (status IN ('processing', 'completed', 'failed', 'cancelled', 'expired', 'deleted')),
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  total bigint,
  error text,
  completed_at {time},
  expires_at {time},
  run text,
  plan {json},
  checkpoint {json}
);
CREATE INDEX log_exports_owner ON log_exports (created_by, id);
CREATE INDEX log_exports_status ON log_exports (status);
CREATE TABLE saved_searches (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE,
  filter {json} NOT NULL,
  created_by text NOT NULL,
  created_at {time} NOT NULL,
  updated_at {time} NOT NULL
);
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLES.format(
        time="timestamptz" if postgres else "timestamp",
        json="jsonb" if postgres else "json",
    )
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
