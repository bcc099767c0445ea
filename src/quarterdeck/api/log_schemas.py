"""What the API answers about exports and saved searches of log lines."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from quarterdeck.api.paging import Pagination, pagination
from quarterdeck.core.pagination import Page
from quarterdeck.logs.export_formats import ExportFormat, JsonShape
from quarterdeck.logs.export_state import Export, ExportStatus
from quarterdeck.logs.model import Filter, Level
from quarterdeck.logs.searches import MAX_NAME, SavedSearch

DOWNLOAD_URL = "/api/v1/platform/system/logs/export/{}/download"


class SearchFilter(Struct, frozen=True):
    """The search parameters by the names that they have in a query string."""

    query: str | None = None
    level: Level | None = None
    min_level: Level | None = None
    service: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    request_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None


class LogExport(Struct, frozen=True):
    """An export and how far it is; `rows` and `bytes` are those written so far.

    `download_url` is set once it is completed. `progress` goes from 0 to 1.
    """

    export_id: str
    status: ExportStatus
    download_url: str | None
    format: ExportFormat
    shape: JsonShape | None
    gzip: bool
    progress: float | None
    rows: int
    total: int | None
    bytes: int
    error: str | None
    created_at: datetime
    created_by: str
    completed_at: datetime | None
    expires_at: datetime | None
    filter: SearchFilter


class LogExportList(Struct, frozen=True):
    """One page of exports, newest first."""

    exports: list[LogExport]
    pagination: Pagination


class GivenFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """The search parameters, with the same values as in a query string."""

    query: str | None = None
    level: str | None = None
    min_level: str | None = None
    service: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None


class NewSavedSearch(Struct, frozen=True, forbid_unknown_fields=True):
    """A search to be saved under a name that no other one has."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    filter: GivenFilter


class SavedSearchItem(Struct, frozen=True):
    """A saved search."""

    id: str
    name: str
    filter: SearchFilter
    created_by: str
    created_at: datetime
    updated_at: datetime


class SavedSearchList(Struct, frozen=True):
    """One page of saved searches, by name."""

    searches: list[SavedSearchItem]
    pagination: Pagination


class SavedSearchDeletion(Struct, frozen=True):
    """What was removed."""

    id: str
    status: str


def search_filter(wanted: Filter) -> SearchFilter:
    """A filter as the API shows it."""
    return SearchFilter(
        query=wanted.query,
        level=wanted.level,
        min_level=wanted.min_level,
        service=wanted.service,
        start_time=wanted.start,
        end_time=wanted.end,
        request_id=wanted.request_id,
        user_id=wanted.user_id,
        tenant_id=wanted.tenant_id,
    )


def log_export(export: Export) -> LogExport:
    """An export as the API shows it."""
    is_completed = export.status is ExportStatus.COMPLETED
    return LogExport(
        export_id=export.id,
        status=export.status,
        download_url=DOWNLOAD_URL.format(export.id) if is_completed else None,
        format=export.format,
        shape=export.json_shape if export.format is ExportFormat.JSON else None,
        gzip=export.gzip,
        progress=1.0 if is_completed else _progress(export),
        rows=export.rows,
        total=export.total,
        bytes=export.bytes,
        error=export.error,
        created_at=export.created_at,
        created_by=export.created_by,
        completed_at=export.completed_at,
        expires_at=export.expires_at,
        filter=search_filter(export.filter),
    )


def log_export_list(page: Page[Export], limit: int, offset: int) -> LogExportList:
    """One page of exports as the API shows it."""
    return LogExportList([log_export(item) for item in page.items], pagination(page, limit, offset))


def saved_search(search: SavedSearch) -> SavedSearchItem:
    """A saved search as the API shows it."""
    return SavedSearchItem(
        id=search.id,
        name=search.name,
        filter=search_filter(search.filter),
        created_by=search.created_by,
        created_at=search.created_at,
        updated_at=search.updated_at,
    )


def saved_search_list(page: Page[SavedSearch], limit: int, offset: int) -> SavedSearchList:
    """One page of saved searches as the API shows it."""
    items = [saved_search(item) for item in page.items]
    return SavedSearchList(items, pagination(page, limit, offset))


def _progress(export: Export) -> float | None:
    """None: what there is to write has not been counted yet."""
    if not export.total:
        return None
    return round(min(1.0, export.rows / export.total), 4)
