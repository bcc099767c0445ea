"""Routes of the queue room: parse, call, return."""

from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, Router, delete, get, post
from litestar.params import Parameter, QueryParameter

from quarterdeck.api.context import context_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.errors import HttpError
from quarterdeck.api.job_schemas import (
    ErrorGroupList,
    JobDeletion,
    JobDetail,
    JobList,
    JobRetry,
    OperationState,
    error_groups,
    job_detail,
    job_list,
    operation_state,
)
from quarterdeck.api.queue_schemas import (
    QueueChange,
    QueueDetail,
    QueueHistoryData,
    QueueList,
    queue_detail,
    queue_history,
    queue_list,
)
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import NotFound
from quarterdeck.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from quarterdeck.queues.model import BulkAction, JobState, PauseResult, PauseScope, QueueRef
from quarterdeck.queues.operations import BulkOperations
from quarterdeck.queues.service import QueueService
from quarterdeck.queues.watching import QueueWatch

QueueName = Annotated[
    str,
    Parameter(description="Public name of the queue, percent-encoded as one path segment."),
]
JobId = Annotated[str, Parameter(description="The job's `id` as given by the API.")]
Limit = Annotated[int, Parameter(ge=1, le=MAX_LIMIT, description="How many at most.")]
Offset = Annotated[int, Parameter(ge=0, description="How many to pass over.")]
SourceName = Annotated[
    str | None,
    Parameter(description="Name of the source, where several hold a queue of this name."),
]
Text = Annotated[
    str | None,
    Parameter(description="Only jobs with this text in their payload or error, in any case."),
]
Hours = Annotated[int, Parameter(ge=1, le=90 * 24, description="How far back; at most 90 days.")]
Status = Annotated[
    JobState | None, Parameter(description="One state; all four when it is left out.")
]
Reach = Annotated[
    PauseScope | None,
    QueryParameter(
        name="scope",
        description="How far this may reach; another reach is refused with 409. Must be given as "
        "`global` where `capabilities.pause_scope` is that: it stops the whole source.",
    ),
]


@get("/queues", opt={"etag": True}, operation_id="ListQueues", summary="List queues")
async def list_queues(
    queues: QueueService, queue_watch: QueueWatch, source: SourceName = None
) -> Envelope[QueueList]:
    """Status of all background job queues, by name. Sources that do not answer are named."""
    return ok(queue_list(await queues.list_queues(source), queue_watch))


@get("/queues/{queue_name:str}", operation_id="GetQueue", summary="Get one queue")
async def get_queue(
    queues: QueueService, queue_watch: QueueWatch, queue_name: QueueName, source: SourceName = None
) -> Envelope[QueueDetail]:
    """One queue: counts, age of the oldest waiting job, and what can be done with it."""
    view = await queues.get_queue(_decoded(queue_name), source)
    return ok(queue_detail(view, queue_watch, utc_now()))


@get(
    "/queues/{queue_name:str}/history",
    operation_id="GetQueueHistory",
    summary="History of a queue",
)
async def get_queue_history(
    queues: QueueService,
    queue_watch: QueueWatch,
    queue_name: QueueName,
    hours: Hours = 24,
    source: SourceName = None,
) -> Envelope[QueueHistoryData]:
    """Depth, throughput, failures and the oldest job's age over time, from samples of 15 s."""
    ref = await _ref(queues, queue_name, source)
    return ok(queue_history(await queue_watch.history(ref, hours, utc_now())))


@get("/queues/{queue_name:str}/jobs", operation_id="ListQueueJobs", summary="Get queue jobs")
async def list_jobs(  # noqa: PLR0913, PLR0917 - one argument each for the documented parameters
    queues: QueueService,
    queue_name: QueueName,
    status: Status = None,
    limit: Limit = DEFAULT_LIMIT,
    offset: Offset = 0,
    q: Text = None,
    source: SourceName = None,
) -> Envelope[JobList]:
    """Jobs of one queue, newest first."""
    ref = await _ref(queues, queue_name, source)
    page = await queues.list_jobs(ref, status, limit, offset, q)
    return ok(job_list(page, limit, offset))


@get("/queues/{queue_name:str}/errors", operation_id="ListQueueErrors", summary="Group failures")
async def list_errors(
    queues: QueueService, queue_name: QueueName, source: SourceName = None
) -> Envelope[ErrorGroupList]:
    """Failed jobs grouped by kind of failure, each with a sample job."""
    ref = await _ref(queues, queue_name, source)
    return ok(error_groups(await queues.group_errors(ref)))


@post(
    "/queues/{queue_name:str}/pause",
    status_code=200,
    opt={"action": "queue.pause"},
    operation_id="PauseQueue",
    summary="Pause a queue",
)
async def pause_queue(
    queues: QueueService,
    queue_name: QueueName,
    source: SourceName = None,
    reach: Reach = None,
) -> Envelope[QueueChange]:
    """Emergency stop: no worker takes a job from this queue any more; running jobs finish."""
    ref = await _ref(queues, queue_name, source)
    return ok(_change(ref, "paused", await queues.pause(ref, reach)))


@post(
    "/queues/{queue_name:str}/resume",
    status_code=200,
    opt={"action": "queue.resume"},
    operation_id="ResumeQueue",
    summary="Resume a queue",
)
async def resume_queue(
    queues: QueueService,
    queue_name: QueueName,
    source: SourceName = None,
    reach: Reach = None,
) -> Envelope[QueueChange]:
    """Let workers take jobs from this queue again."""
    ref = await _ref(queues, queue_name, source)
    return ok(_change(ref, "resumed", await queues.resume(ref, reach)))


@post(
    "/queues/{queue_name:str}/retry-failed",
    status_code=200,
    opt={"action": "queue.retry_failed"},
    operation_id="RetryFailedJobs",
    summary="Retry all failed jobs",
)
async def retry_failed(
    request: Request[Any, Any, Any],
    queues: QueueService,
    operations: BulkOperations,
    queue_name: QueueName,
    source: SourceName = None,
) -> Envelope[OperationState]:
    """Re-queue every job of this queue that has failed by now; answers at once."""
    ref = await _ref(queues, queue_name, source)
    started = await operations.start(BulkAction.RETRY_FAILED, ref, _principal(request))
    return ok(operation_state(started))


@delete(
    "/queues/{queue_name:str}/failed",
    status_code=200,
    opt={"action": "queue.delete_failed"},
    operation_id="DeleteFailedJobs",
    summary="Delete all failed jobs",
)
async def delete_failed(
    request: Request[Any, Any, Any],
    queues: QueueService,
    operations: BulkOperations,
    queue_name: QueueName,
    source: SourceName = None,
) -> Envelope[OperationState]:
    """Remove every job of this queue that has failed by now; answers at once."""
    ref = await _ref(queues, queue_name, source)
    started = await operations.start(BulkAction.DELETE_FAILED, ref, _principal(request))
    return ok(operation_state(started))


@get("/jobs/{job_id:str}", operation_id="GetJob", summary="Get one job")
async def get_job(queues: QueueService, job_id: JobId) -> Envelope[JobDetail]:
    """One job with the history of its attempts."""
    return ok(job_detail(await queues.get_job(_decoded(job_id))))


@post(
    "/jobs/{job_id:str}/retry",
    status_code=200,
    opt={"action": "job.retry"},
    operation_id="RetryJob",
    summary="Retry a failed job",
)
async def retry_job(queues: QueueService, job_id: JobId) -> Envelope[JobRetry]:
    """Re-queue a failed job; its attempts start from zero where the engine can do that."""
    result = await queues.retry(_decoded(job_id))
    return ok(JobRetry(job_id, "queued", result.attempts_reset))


@delete(
    "/jobs/{job_id:str}",
    status_code=200,
    opt={"action": "job.delete"},
    operation_id="DeleteJob",
    summary="Delete a job",
)
async def delete_job(queues: QueueService, job_id: JobId) -> Envelope[JobDeletion]:
    """Permanently remove a job that is not running."""
    outcome = await queues.delete(_decoded(job_id))
    return ok(JobDeletion(job_id, outcome.value))


@get("/operations/{operation_id:str}", operation_id="GetOperation", summary="Get an operation")
async def get_operation(
    operations: BulkOperations, operation_id: Annotated[str, Parameter(description="Its id.")]
) -> Envelope[OperationState]:
    """Progress and outcome of a bulk operation."""
    return ok(operation_state(await operations.get(_decoded(operation_id))))


def router() -> Router:
    """All routes of this room."""
    return Router(
        path="/",
        tags=["Queues"],
        route_handlers=[
            list_queues, get_queue, get_queue_history, list_jobs, list_errors, pause_queue,
            resume_queue, retry_failed, delete_failed, get_job, retry_job, delete_job,
            get_operation,
        ],
    )  # fmt: skip


def _decoded(segment: str) -> str:
    """The path segment as text: it travels percent-encoded until here."""
    if len(segment) > 32_768:
        raise HttpError(414, "The name is too long.")
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise NotFound("There is nothing of that name: it is not UTF-8.") from None


async def _ref(queues: QueueService, name: str, source: str | None) -> QueueRef:
    return (await queues.get_queue(_decoded(name), source)).ref


def _principal(request: Request[Any, Any, Any]) -> str:
    principal = context_of(request.scope).principal
    return principal.id if principal else "unknown"


def _change(ref: QueueRef, status: str, result: PauseResult) -> QueueChange:
    return QueueChange(
        queue=ref.name,
        status=status,
        timestamp=utc_now(),
        changed=result.changed,
        scope=result.scope,
        durable=result.durable,
        affected=result.affected or [ref.name],
        notes=result.notes,
    )
