"""Tables of the alerts room. DDL is in `migrations/`."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

from quarterdeck.state.types import Json, UtcDateTime

metadata = MetaData()

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("labels", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("value", Json),
    Column("started_at", UtcDateTime, nullable=False),
    Column("fired_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", Text),
    Column("note", Text),
    Column("runbook_url", Text),
    Column("count", Integer, nullable=False),
    Column("is_flapping", Boolean, nullable=False),
    Column("silenced_by", Text),
    Column("inhibited_by", Text),
    Column("memory", Json, nullable=False),
)

alert_notices = Table(
    "alert_notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("alert_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("transition", Text, nullable=False),
    Column("alert", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("locked_by", Text),
    Column("is_uncertain", Boolean, nullable=False),
    Column("error", Text),
    Column("finished_at", UtcDateTime),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("alert", Json, nullable=False),
)

alert_silences = Table(
    "alert_silences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("matchers", Json, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
)
