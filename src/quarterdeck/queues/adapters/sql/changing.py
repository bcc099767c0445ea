"""Retry and delete: one job, or all failed ones of a lane in batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)

from quarterdeck.core.errors import Conflict, NotFound, Unsupported
from quarterdeck.queues.adapters.sql.limited import utc_text
from quarterdeck.queues.adapters.sql.names import Lane, in_lane, in_states
from quarterdeck.queues.adapters.sql.tables import JobTables
from quarterdeck.queues.model import BulkAction, JobState, RetryResult

BATCH = 500
_TRIES = 5
_IDLE = (JobState.WAITING, JobState.COMPLETED, JobState.FAILED)
_CLEARED = ("started_at", "failed_at", "completed_at", "locked_by", "lease_until")
_GONE = NotFound(
    "There is no such job any more: it was deleted, or its time of keeping has ended."
)
