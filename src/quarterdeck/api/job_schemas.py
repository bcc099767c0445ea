"""What the routes of jobs answer: the spec's fields first, our additions after them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from quarterdeck.api.paging import Pagination, pagination
from quarterdeck.core.pagination import Page
from quarterdeck.queues.model import (
    Attempt,
    BulkAction,
    Job,
    JobState,
)
from quarterdeck.queues.operations import Operation
from quarterdeck.queues.rules import FailureGroup, encode_job_id
from quarterdeck.queues.service import FailureGroups


class JobFailure(Struct, frozen=True):
    """The last failure of a job."""

    message: str
    stack_trace: str | None


class JobItem(Struct, frozen=True):
    """A job; secrets in its payload are masked."""

    id: str
    queue: str
    status: JobState
    payload: Any
    error: JobFailure | None
    attempts: int | None
    created_at: datetime | None
    updated_at: datetime | None
    source: str
    native_id: str
    native_status: str | None
    max_attempts: int | None
    run_at: datetime | None
    payload_error: str | None
    location: str | None


class JobDetail(JobItem, frozen=True):
    """A job and its attempts, the first one first."""

    history: Sequence[Attempt]


class JobList(Struct, frozen=True):
    """One page of jobs."""

    jobs: list[JobItem]
    pagination: Pagination


class JobRetry(Struct, frozen=True):
    """The job is queued again. `attempts_reset` tells what really happened to its attempts."""

    job_id: str
    status: str
    attempts_reset: bool


class JobDeletion(Struct, frozen=True):
    """The job is gone (`deleted`), or was asked to end (`cancel_requested`)."""

    job_id: str
    status: str


class ErrorGroup(Struct, frozen=True):
    """Failed jobs whose messages differ only in numbers, ids and addresses."""

    fingerprint: str
    count: int
    sample_job_id: str
    sample_message: str
    first_failed_at: datetime | None
    last_failed_at: datetime | None


class ErrorGroupList(Struct, frozen=True):
    """Kinds of failure, the most frequent first. `complete` is false when more were not read."""

    groups: list[ErrorGroup]
    examined: int
    complete: bool


class OperationState(Struct, frozen=True):
    """A bulk operation and how far it is. Jobs that failed after `cutoff` are left alone."""

    operation_id: str
    action: BulkAction
    queue: str
    source: str
    status: str
    done: int
    total: int | None
    error: str | None
    cutoff: datetime
    requested_by: str
    created_at: datetime
    updated_at: datetime


def job_list(page: Page[Job], limit: int, offset: int) -> JobList:
    """One page of jobs as the API shows it."""
    return JobList([JobItem(**_job(job)) for job in page.items], pagination(page, limit, offset))


def job_detail(job: Job) -> JobDetail:
    """One job as the API shows it."""
    return JobDetail(**_job(job), history=job.history)


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": encode_job_id(job.ref),
        "queue": job.queue,
        "status": job.state,
        "payload": job.payload,
        "error": job.error and JobFailure(job.error.message, job.error.stack_trace),
        "attempts": job.attempts,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "source": job.ref.source,
        "native_id": job.ref.id,
        "native_status": job.native_state,
        "max_attempts": job.max_attempts,
        "run_at": job.run_at,
        "payload_error": job.payload_error,
        "location": job.location,
    }


def error_groups(found: FailureGroups) -> ErrorGroupList:
    """Kinds of failure as the API shows them."""
    groups = [_error_group(group) for group in found.groups]
    return ErrorGroupList(groups, found.examined, found.is_complete)


def _error_group(group: FailureGroup) -> ErrorGroup:
    return ErrorGroup(
        fingerprint=group.fingerprint,
        count=group.count,
        sample_job_id=encode_job_id(group.sample),
        sample_message=group.sample_message,
        first_failed_at=group.first_at,
        last_failed_at=group.last_at,
    )


def operation_state(operation: Operation) -> OperationState:
    """A bulk operation as the API shows it."""
    return OperationState(
        operation_id=operation.id,
        action=operation.action,
        queue=operation.queue,
        source=operation.source,
        status=operation.state,
        done=operation.done,
        total=operation.total,
        error=operation.error,
        cutoff=operation.cutoff,
        requested_by=operation.requested_by,
        created_at=operation.created_at,
        updated_at=operation.updated_at,
    )
