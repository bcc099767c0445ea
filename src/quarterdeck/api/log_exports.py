"""Routes of log exports: start, watch, download, remove."""

from typing import Annotated, Any, cast

from litestar import HttpMethod, Request, Router, delete, get, route
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream

from quarterdeck.access.model import Principal, Right, Role
from quarterdeck.api.asgi import Scope
from quarterdeck.api.context import context_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.log_download import send_file
from quarterdeck.api.log_filter import WANTED
from quarterdeck.api.log_schemas import LogExport, LogExportList, log_export, log_export_list
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.errors import Unauthenticated
from quarterdeck.core.pagination import DEFAULT_LIMIT
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.exports import LogExports
from quarterdeck.logs.model import Filter

Asked = Request[Any, Any, Any]
ExportId = Annotated[str, Parameter(description="The `export_id` that the start answered.")]
Format = Annotated[ExportFormat, Parameter(description="What kind of file.")]
Shape = Annotated[
    JsonShape, Parameter(description="For json: one object a line, or one array of all.")
]
Gzip = Annotated[bool, Parameter(description="Compress the file.")]

PATH = "/logs/export/{export_id:str}/download"
DOWNLOAD = {"action": "logs.export.download"}
# It belongs to who may read: a viewer may stop and remove what is his own.
REMOVAL = {"action": "logs.export.delete", "right": Right.READ}
FILE = ResponseSpec(
    bytes,
    generate_examples=False,
    media_type="application/octet-stream",
    description="The file; text/csv, application/x-ndjson, application/json, text/plain or "
    "application/gzip.",
)


@get(
    "/logs/export",
    opt={"action": "logs.export"},
    response_headers={"cache-control": "no-store"},
    operation_id="ExportLogs",
    summary="Export logs",
)
async def start_export(
    request: Asked,
    exports: LogExports,
    wanted: Filter,
    format: Format = ExportFormat.CSV,  # noqa: A002 - its documented name
    shape: Shape = JsonShape.NDJSON,
    gzip: Gzip = False,
) -> Envelope[LogExport]:
    """Start to write all matching lines, newest first, to a file; answers at once.

    The file holds the lines that are there now. It is kept for a day and belongs to who asked.
    """
    principal = _principal(request)
    return ok(log_export(await exports.start(wanted, format, shape, gzip, principal.id)))


@get("/logs/exports", operation_id="ListLogExports", summary="List exports")
async def list_exports(
    request: Asked, exports: LogExports, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
) -> Envelope[LogExportList]:
    """One's own exports, newest first."""
    page = await exports.list_exports(_principal(request).id, limit, offset)
    return ok(log_export_list(page, limit, offset))


@get("/logs/export/{export_id:str}", operation_id="GetLogExport", summary="Get an export")
async def get_export(
    request: Asked, exports: LogExports, export_id: ExportId
) -> Envelope[LogExport]:
    """How far an export is, and where its file is once it is completed."""
    return ok(log_export(await exports.get(export_id, _owner(request))))


@get(
    PATH,
    opt=DOWNLOAD,
    responses={200: FILE},
    operation_id="DownloadLogExport",
    summary="Download an export",
)
async def download_export(request: Asked, exports: LogExports, export_id: ExportId) -> Stream:
    """The file. A download that broke off goes on by `Range`, with `If-Range` and the `ETag`."""
    file = await exports.get_file(export_id, _owner(request))
    return send_file(file, cast(Scope, request.scope))


@route(PATH, http_method=[HttpMethod.HEAD], opt=DOWNLOAD, include_in_schema=False)
async def head_export(request: Asked, exports: LogExports, export_id: ExportId) -> Stream:
    """The headers of the download."""
    file = await exports.get_file(export_id, _owner(request))
    return send_file(file, cast(Scope, request.scope))


@delete(
    "/logs/export/{export_id:str}",
    status_code=200,
    opt=REMOVAL,
    operation_id="DeleteLogExport",
    summary="Cancel or delete an export",
)
async def delete_export(
    request: Asked, exports: LogExports, export_id: ExportId
) -> Envelope[LogExport]:
    """Stop an export that is being written, or remove its file. Safe to repeat."""
    return ok(log_export(await exports.cancel(export_id, _owner(request))))


def router() -> Router:
    """All routes of exports."""
    return Router(
        path="/",
        tags=["Logs"],
        dependencies=WANTED,
        route_handlers=[
            start_export, list_exports, get_export, download_export, head_export, delete_export,
        ],
    )  # fmt: skip


def _principal(request: Asked) -> Principal:
    principal = context_of(request.scope).principal
    if principal is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    return principal


def _owner(request: Asked) -> str | None:
    """Whose exports may be seen; None: everybody's."""
    principal = _principal(request)
    return None if principal.role is Role.ADMIN else principal.id
