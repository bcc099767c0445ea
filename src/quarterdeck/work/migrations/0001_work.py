"""The documented job tables, their indexes and their counters.

Revision ID: work_0001
"""

from alembic import op

revision = "work_0001"
down_revision = None
branch_labels = ("work",)
depends_on = None

TABLES = """
CREATE TABLE job_queues (
  name text PRIMARY KEY,
  default_priority integer NOT NULL DEFAULT 100,
  is_active boolean NOT NULL DEFAULT true,
  created_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE job_queue_pauses (
  queue_name text NOT NULL REFERENCES job_queues (name) ON DELETE CASCADE,
  band smallint NOT NULL CHECK (band BETWEEN 0 AND 2),
  paused_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (queue_name, band)
);
CREATE TABLE jobs (
  id text NOT NULL PRIMARY KEY,
  queue_name text NOT NULL REFERENCES job_queues (name),
  status text NOT NULL DEFAULT 'queued'
    CHECK (status IN ('queued', 'migrated_to_redis', 'running', 'completed', 'failed')),
  priority integer NOT NULL DEFAULT 100,
  payload {json} NOT NULL DEFAULT '{{}}'{check_json},
  attempt_count integer NOT NULL DEFAULT 0,
  max_attempts integer NOT NULL DEFAULT 3,
  run_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
  started_at {time},
  completed_at {time},
  failed_at {time},
  last_error_message text,
  last_error_trace text,
  created_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
  locked_by text,
  lease_until {time},
  cancel_requested boolean NOT NULL DEFAULT false,
  band smallint GENERATED ALWAYS AS (
    CASE WHEN priority <= 50 THEN 0 WHEN priority <= 150 THEN 1 ELSE 2 END) STORED,
  phase smallint GENERATED ALWAYS AS (
    CASE status WHEN 'running' THEN 1 WHEN 'completed' THEN 2 WHEN 'failed' THEN 3 ELSE 0 END
  ) STORED
);
CREATE INDEX jobs_page ON jobs (queue_name, band, phase, created_at, id);
CREATE INDEX jobs_all ON jobs (queue_name, band, created_at, id);
CREATE INDEX jobs_claim ON jobs (queue_name, priority, run_at, id) WHERE status = 'queued';
CREATE INDEX jobs_oldest ON jobs (queue_name, band, run_at) WHERE phase = 0;
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_completed ON jobs (completed_at) WHERE status = 'completed';
CREATE INDEX jobs_failed ON jobs (failed_at) WHERE status = 'failed';
CREATE TABLE job_logs (
  id {serial},
  job_id text NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  status text NOT NULL CHECK (status IN ('attempting', 'success', 'retry', 'failed')),
  log_message text,
  stack_trace text,
  attempt_number integer NOT NULL,
  started_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP,
  finished_at {time},
  duration_ms integer
);
CREATE INDEX job_logs_job ON job_logs (job_id);
CREATE TABLE job_progress (
  job_id text PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  total integer,
  done integer NOT NULL DEFAULT 0,
  failed integer NOT NULL DEFAULT 0,
  outcome {json},
  updated_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE {counts} (
  queue_name text NOT NULL,
  band smallint NOT NULL,
  metric smallint NOT NULL,
  minute bigint NOT NULL DEFAULT 0,
  n bigint NOT NULL,
  PRIMARY KEY (queue_name, band, metric, minute)
){without_rowid};
"""

# A foreign row may write 2025-12-04T10:00:00Z. Times are compared as text here: brought into the
# form of CURRENT_TIMESTAMP, it runs when it should and not a day later.
SQLITE_FOREIGN_TIMES = """
CREATE TRIGGER jobs_times AFTER INSERT ON jobs
WHEN substr(NEW.run_at, 11, 1) = 'T' OR substr(NEW.created_at, 11, 1) = 'T' BEGIN
  UPDATE jobs SET
    run_at = coalesce(strftime('%Y-%m-%d %H:%M:%f', run_at), run_at),
    created_at = coalesce(strftime('%Y-%m-%d %H:%M:%f', created_at), created_at)
  WHERE id = NEW.id;
END"""

_ADD = """
  INSERT INTO job_counts (queue_name, band, metric, minute, n)
  VALUES ({row}.queue_name, {row}.band, {metric}, {minute}, {n})
  ON CONFLICT (queue_name, band, metric, minute) DO UPDATE SET n = n + excluded.n;
"""


def _sqlite_triggers() -> list[str]:
    def add(row: str, n: int) -> str:
        return _ADD.format(row=row, metric=f"{row}.phase", minute=0, n=n)

    def finished(status: str, column: str, metric: int) -> tuple[str, str]:
        seconds = f"strftime('%s', NEW.{column})"
        minute = f"CAST({seconds} AS integer) / 60"
        add_minute = _ADD.format(row="NEW", metric=metric, minute=minute, n=1)
        is_new = f"NEW.status = '{status}' AND {seconds} IS NOT NULL"
        return (
            f"""
CREATE TRIGGER jobs_count_{status} AFTER UPDATE OF status ON jobs
WHEN {is_new} AND OLD.status <> '{status}' BEGIN
{add_minute}END""",
            f"""
CREATE TRIGGER jobs_count_new_{status} AFTER INSERT ON jobs
WHEN {is_new} BEGIN
{add_minute}END""",
        )

    return [
        f"CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs BEGIN {add('NEW', 1)} END",
        f"CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN {add('OLD', -1)} END",
        f"""
CREATE TRIGGER jobs_count_move AFTER UPDATE OF status, priority, queue_name ON jobs
WHEN OLD.phase <> NEW.phase OR OLD.band <> NEW.band OR OLD.queue_name <> NEW.queue_name BEGIN
{add("OLD", -1)} {add("NEW", 1)} END""",
        *finished("completed", "completed_at", 4),
        *finished("failed", "failed_at", 5),
        SQLITE_FOREIGN_TIMES,
    ]


POSTGRES = [
    """
CREATE TABLE job_count_deltas (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue_name text NOT NULL, band smallint NOT NULL, metric smallint NOT NULL,
  minute bigint NOT NULL, n bigint NOT NULL
)""",
    # Both are updated all the time: the default (a fifth of the table) would let every claim and
    # every count wade through the dead.
    "ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE job_count_deltas SET "
    "(autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)",
    """
CREATE VIEW job_counts AS
SELECT queue_name, band, metric, minute, n FROM job_count_base
UNION ALL
SELECT queue_name, band, metric, minute, n FROM job_count_deltas""",
    # Only one session folds at a time; the others go on. Minutes are kept for two hours.
    """
CREATE FUNCTION fold_job_counts() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('job_count_deltas')) THEN RETURN; END IF;
  WITH gone AS (
    DELETE FROM job_count_deltas RETURNING queue_name, band, metric, minute, n
  )
  INSERT INTO job_count_base AS base (queue_name, band, metric, minute, n)
  SELECT queue_name, band, metric, minute, sum(n) FROM gone GROUP BY 1, 2, 3, 4
  ON CONFLICT (queue_name, band, metric, minute) DO UPDATE SET n = base.n + excluded.n;
  DELETE FROM job_count_base
  WHERE minute > 0 AND minute < extract(epoch FROM now())::bigint / 60 - 120;
END $$""",
    # A statement now and then folds on its own account: no process has to be there to do it.
    """
CREATE FUNCTION fold_now_and_then() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Under stricter isolation a fold could fail, and with it somebody's transaction.
  IF random() < 0.005 AND current_setting('transaction_isolation') = 'read committed' THEN
    PERFORM fold_job_counts();
  END IF;
END $$""",
    """
CREATE FUNCTION count_new_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_count_deltas (queue_name, band, metric, minute, n)
  SELECT queue_name, band, phase, 0, count(*) FROM fresh GROUP BY 1, 2, 3;
  IF EXISTS (SELECT 1 FROM fresh WHERE phase > 1) THEN
    INSERT INTO job_count_deltas (queue_name, band, metric, minute, n)
    SELECT queue_name, band, phase + 2, floor(extract(epoch FROM at) / 60)::bigint, count(*)
    FROM (SELECT queue_name, band, phase,
            CASE phase WHEN 2 THEN completed_at WHEN 3 THEN failed_at END AS at FROM fresh) AS ended
    WHERE at IS NOT NULL GROUP BY 1, 2, 3, 4;
  END IF;
  PERFORM fold_now_and_then();
  RETURN NULL;
END $$""",
    """
CREATE FUNCTION count_gone_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_count_deltas (queue_name, band, metric, minute, n)
  SELECT queue_name, band, phase, 0, -count(*) FROM stale GROUP BY 1, 2, 3;
  PERFORM fold_now_and_then();
  RETURN NULL;
END $$""",
    # For each row, because then WHEN spares all updates that move nothing (every heartbeat), and
    # because a plain insert of values needs no planning.
    """
CREATE FUNCTION count_moved_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := CASE NEW.phase WHEN 2 THEN NEW.completed_at WHEN 3 THEN NEW.failed_at END;
BEGIN
  INSERT INTO job_count_deltas (queue_name, band, metric, minute, n) VALUES
    (OLD.queue_name, OLD.band, OLD.phase, 0, -1), (NEW.queue_name, NEW.band, NEW.phase, 0, 1);
  IF at IS NOT NULL AND OLD.phase <> NEW.phase THEN
    INSERT INTO job_count_deltas (queue_name, band, metric, minute, n) VALUES
      (NEW.queue_name, NEW.band, NEW.phase + 2, floor(extract(epoch FROM at) / 60)::bigint, 1);
  END IF;
  PERFORM fold_now_and_then();
  RETURN NULL;
END $$""",
    """
CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION count_new_jobs()""",
    """
CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs
REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION count_gone_jobs()""",
    """
CREATE TRIGGER jobs_count_move AFTER UPDATE ON jobs FOR EACH ROW
WHEN (OLD.phase <> NEW.phase OR OLD.band <> NEW.band OR OLD.queue_name <> NEW.queue_name)
EXECUTE FUNCTION count_moved_job()""",
    # A claim holds the shared lock from before it looks at pauses to its commit; a pause takes it
    # alone. So once a pause has committed, no claim from that band can follow, whoever paused.
    """
CREATE FUNCTION wait_for_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('job_claims'));
  RETURN NULL;
END $$""",
    """
CREATE TRIGGER job_queue_pauses_wait BEFORE INSERT OR UPDATE ON job_queue_pauses
FOR EACH STATEMENT EXECUTE FUNCTION wait_for_claims()""",
    """
CREATE TRIGGER job_queues_wait BEFORE UPDATE OF is_active ON job_queues
FOR EACH STATEMENT EXECUTE FUNCTION wait_for_claims()""",
]


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    ddl = TABLES.format(
        time="timestamptz" if postgres else "timestamp",
        # A SQLite column of type "json" has numeric affinity: 1.50 or a long integer would change.
        json="jsonb" if postgres else "text",
        # jsonb refuses what is no JSON; here one such row would break every page and claim.
        check_json="" if postgres else " CHECK (json_valid(payload))",
        serial="bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
        if postgres
        else "integer PRIMARY KEY",
        counts="job_count_base" if postgres else "job_counts",
        without_rowid="" if postgres else " WITHOUT ROWID",
    )
    for statement in filter(str.strip, ddl.split(";\n")):
        op.get_bind().exec_driver_sql(statement)
    for statement in POSTGRES if postgres else _sqlite_triggers():
        op.get_bind().exec_driver_sql(statement)
