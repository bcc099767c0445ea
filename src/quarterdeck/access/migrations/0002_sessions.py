"""Sessions of the console.

Revision ID: access_0002
"""

from alembic import op

revision = "access_0002"
down_revision = "access_0001"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE sessions (
  mac {bytes} PRIMARY KEY,
  principal text NOT NULL,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('viewer', 'ingest', 'ops', 'admin')),
  kind text NOT NULL CHECK (kind IN ('token', 'jwt')),
  created_at {time} NOT NULL,
  expires_at {time} NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires_at);
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLE.format(
        time="timestamptz" if postgres else "timestamp", bytes="bytea" if postgres else "blob"
    )
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
