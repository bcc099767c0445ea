"""Alerts, their notices, what followers see, and silences.

Revision ID: alerts_0001
"""

from alembic import op

revision = "alerts_0001"
down_revision = None
branch_labels = ("alerts",)
depends_on = None

# One open alert for each fingerprint is the databases' rule, whoever evaluates and how many do.
TABLES = """
CREATE TABLE alerts (
  id text PRIMARY KEY,
  fingerprint text NOT NULL,
  rule text NOT NULL,
  source text NOT NULL,
  service text NOT NULL,
  labels {json} NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
  severity text NOT NULL CHECK (severity IN ('error', 'warning', 'info')),
  message text NOT NULL,
  value {json},
  started_at {time} NOT NULL,
  fired_at {time},
  updated_at {time} NOT NULL,
  resolved_at {time},
  acknowledged_at {time},
  acknowledged_by text,
  note text,
  runbook_url text,
  count integer NOT NULL,
  is_flapping boolean NOT NULL,
  silenced_by text,
  inhibited_by text,
  memory {json} NOT NULL,
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
CREATE UNIQUE INDEX alerts_open ON alerts (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE TABLE alert_notices (
  id text PRIMARY KEY,
  alert_id text NOT NULL,
  sequence integer NOT NULL,
  channel text NOT NULL,
  transition text NOT NULL,
  alert {json} NOT NULL,
  at {time} NOT NULL,
  state text NOT NULL CHECK (state IN ('waiting', 'sending', 'delivered', 'dead', 'dropped')),
  attempts integer NOT NULL,
  due_at {time} NOT NULL,
  lease_until {time},
  locked_by text,
  is_uncertain boolean NOT NULL,
  error text,
  finished_at {time},
  UNIQUE (alert_id, channel, sequence)
);
CREATE INDEX alert_notices_open ON alert_notices (channel, due_at)
  WHERE state IN ('waiting', 'sending');
CREATE INDEX alert_notices_dead ON alert_notices (at) WHERE state = 'dead';
CREATE TABLE alert_events (
  id {serial},
  at {time} NOT NULL,
  alert {json} NOT NULL
);
CREATE INDEX alert_events_at ON alert_events (at);
CREATE TABLE alert_silences (
  id text PRIMARY KEY,
  matchers {json} NOT NULL,
  author text NOT NULL,
  comment text NOT NULL,
  created_at {time} NOT NULL,
  starts_at {time} NOT NULL,
  ends_at {time} NOT NULL
);
CREATE INDEX alert_silences_end ON alert_silences (ends_at);
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLES.format(
        time="timestamptz" if postgres else "timestamp",
        json="jsonb" if postgres else "json",
        # AUTOINCREMENT: a number is never given twice, also after the newest rows are removed.
        serial=(
            "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            if postgres
            else "integer PRIMARY KEY AUTOINCREMENT"
        ),
    )
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
