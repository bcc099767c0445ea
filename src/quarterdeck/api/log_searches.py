"""Routes of saved searches."""

from typing import Annotated, Any

from litestar import Request, Router, delete, get, post
from litestar.params import Parameter
from msgspec.structs import asdict

from quarterdeck.api.context import context_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.log_filter import filter_of
from quarterdeck.api.log_schemas import (
    NewSavedSearch,
    SavedSearchDeletion,
    SavedSearchItem,
    SavedSearchList,
    saved_search,
    saved_search_list,
)
from quarterdeck.api.queues import Limit, Offset
from quarterdeck.core.pagination import DEFAULT_LIMIT
from quarterdeck.logs.searches import SavedSearches

SearchId = Annotated[str, Parameter(description="The saved search's `id`.")]


@post(
    "/logs/searches",
    status_code=200,
    guards=[require_json],
    opt={"body": True, "action": "logs.search.save"},
    operation_id="SaveLogSearch",
    summary="Save a search",
)
async def save_search(
    request: Request[Any, Any, Any], searches: SavedSearches, data: NewSavedSearch
) -> Envelope[SavedSearchItem]:
    """Save a search for everybody under a name that no other one has."""
    principal = context_of(request.scope).principal
    by = principal.id if principal else "unknown"
    wanted = filter_of(asdict(data.filter), source="body")
    return ok(saved_search(await searches.create(data.name, wanted, by)))


@get("/logs/searches", operation_id="ListLogSearches", summary="List saved searches")
async def list_searches(
    searches: SavedSearches, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
) -> Envelope[SavedSearchList]:
    """All saved searches, by name."""
    page = await searches.list_searches(limit, offset)
    return ok(saved_search_list(page, limit, offset))


@get("/logs/searches/{search_id:str}", operation_id="GetLogSearch", summary="Get a saved search")
async def get_search(searches: SavedSearches, search_id: SearchId) -> Envelope[SavedSearchItem]:
    """One saved search."""
    return ok(saved_search(await searches.get(search_id)))


@delete(
    "/logs/searches/{search_id:str}",
    status_code=200,
    opt={"action": "logs.search.delete"},
    operation_id="DeleteLogSearch",
    summary="Delete a saved search",
)
async def delete_search(
    searches: SavedSearches, search_id: SearchId
) -> Envelope[SavedSearchDeletion]:
    """Remove a saved search, for everybody."""
    await searches.delete(search_id)
    return ok(SavedSearchDeletion(search_id, "deleted"))


def router() -> Router:
    """All routes of saved searches."""
    return Router(
        path="/",
        tags=["Logs"],
        route_handlers=[save_search, list_searches, get_search, delete_search],
    )
