"""Tables of the log room's state. DDL is in `migrations/`."""

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text

from quarterdeck.state.types import Json, UtcDateTime

metadata = MetaData()

log_exports = Table(
    "log_exports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("filter", Json, nullable=False),
    Column("format", Text, nullable=False),
    Column("json_shape", Text, nullable=False),
    Column("gzip", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("error", Text),
    Column("completed_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("run", Text),
    Column("plan", Json),
    Column("checkpoint", Json),
)

saved_searches = Table(
    "saved_searches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("filter", Json, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
