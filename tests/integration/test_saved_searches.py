"""Saved searches, in the room and over HTTP, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from access_world import NOON, Watch
from export_world import ME, client
from quarterdeck.access.audit import AuditTrail
from quarterdeck.core.errors import Conflict, InvalidRequest, NotFound
from quarterdeck.logs.model import Filter, Level
from quarterdeck.logs.searches import MOST, SavedSearches
from quarterdeck.state import Database

pytest_plugins = ("export_fixtures",)

OPS = {"x-role": "ops"}
WHOLE = Filter(
    query='error "timed out"',
    level=Level.ERROR,
    min_level=Level.WARNING,
    service="api",
    start=datetime(2026, 11, 24, 10, 0, 0, 123456, UTC),
    end=datetime(2026, 11, 24, 11, tzinfo=UTC),
    request_id="req_1",
    user_id="usr_1",
    tenant_id="tnt_キュー",
)


@pytest.fixture
def searches(database: Database) -> SavedSearches:
    return SavedSearches(database, Watch())


@pytest.fixture
async def http(searches: SavedSearches, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with client(None, searches, AuditTrail(database)) as opened:
        yield opened


async def test_saved_search_comes_back_as_it_was(searches: SavedSearches) -> None:
    saved = await searches.create("  Timeouts 👩\u200d💻 ", WHOLE, ME)
    assert saved.name == "Timeouts 👩\u200d💻"
    assert (saved.filter, saved.created_by, saved.created_at) == (WHOLE, ME, NOON)
    assert await searches.get(saved.id) == saved
    empty = await searches.create("all", Filter(), ME)
    assert (await searches.get(empty.id)).filter == Filter()


async def test_list_is_by_name_in_pages(searches: SavedSearches) -> None:
    for name in ("b", "a", "Z", "ä"):
        await searches.create(name, Filter(), ME)
    page = await searches.list_searches(3, 0)
    assert ([each.name for each in page.items], page.total) == (["Z", "a", "b"], 4)
    assert [each.name for each in (await searches.list_searches(3, 3)).items] == ["ä"]


async def test_taken_name_is_refused_until_it_is_free(searches: SavedSearches) -> None:
    saved = await searches.create("mine", Filter(), ME)
    with pytest.raises(Conflict, match="'mine' already"):
        await searches.create("mine", WHOLE, "token:other")
    await searches.delete(saved.id)
    await searches.create("mine", WHOLE, "token:other")


async def test_one_of_many_at_once_gets_the_name(searches: SavedSearches) -> None:
    results = await asyncio.gather(
        *(searches.create("contended", Filter(), f"token:{n}") for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert (await searches.list_searches(50, 0)).total == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\nb", "a\u202eb", "\ud800"])
async def test_bad_name_is_refused(searches: SavedSearches, name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        await searches.create(name, Filter(), ME)
    assert error.value.details[0]["field"] == "name"


async def test_bad_query_is_refused(searches: SavedSearches) -> None:
    with pytest.raises(InvalidRequest):
        await searches.create("bad", Filter(query="(a OR"), ME)
    assert (await searches.list_searches(50, 0)).total == 0


@pytest.mark.parametrize("unknown", ["", "search_1", "a\x00b", "'; DROP TABLE saved_searches"])
async def test_unknown_search_is_not_found(searches: SavedSearches, unknown: str) -> None:
    for call in (searches.get, searches.delete):
        with pytest.raises(NotFound):
            await call(unknown)


async def test_enough_searches_are_enough(searches: SavedSearches, database: Database) -> None:
    numbers = (
        "INSERT INTO saved_searches SELECT 's' || i, 'n' || i, '{}', 'me', CURRENT_TIMESTAMP, "
        "CURRENT_TIMESTAMP FROM n"
    )
    cte = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MOST}) "
    sql = cte + numbers.replace("'{}'", "CAST('{}' AS jsonb)")
    if database.dialect == "sqlite":
        sql = cte + numbers
    await database.write(lambda c: c.exec_driver_sql(sql).rowcount)
    with pytest.raises(Conflict, match="delete one"):
        await searches.create("one more", Filter(), ME)


def data(answer: httpx.Response) -> Any:
    body = answer.json()
    assert (answer.status_code, body["success"]) == (200, True), body
    return body["data"]


async def test_search_is_saved_listed_and_deleted_over_http(http: httpx.AsyncClient) -> None:
    body = {
        "name": "Timeouts",
        "filter": {"query": "timeout", "min_level": "warning", "start_time": "2026-11-24"},
    }
    saved = data(await http.post("/logs/searches", json=body, headers=OPS))
    assert saved["filter"]["start_time"] == "2026-11-24T00:00:00Z"
    assert (saved["name"], saved["created_by"]) == ("Timeouts", ME)
    again = await http.post("/logs/searches", json=body, headers=OPS)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
    listed = data(await http.get("/logs/searches"))
    assert (listed["searches"], listed["pagination"]["total"]) == ([saved], 1)
    path = f"/logs/searches/{saved['id']}"
    assert data(await http.get(path)) == saved
    assert data(await http.delete(path, headers=OPS)) == {"id": saved["id"], "status": "deleted"}
    assert (await http.delete(path, headers=OPS)).status_code == 404
    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"nonsense", ""),
        (b"[]", ""),
        (b'{"filter":{}}', ""),
        (b'{"name":"","filter":{}}', "name"),
        (b'{"name":"a","filter":{"level":"fatal"}}', "level"),
        (b'{"name":"a","filter":{"start_time":"soon"}}', "start_time"),
        (b'{"name":"a","filter":{"nonsense":1}}', ""),
        (b'{"name":"a","filter":{"query":"(a"}}', "query"),
        (b'{"name":"a","filter":{"service":"\\u0000"}}', "service"),
        (b'{"name":' + b"[" * 10_000 + b"]" * 10_000 + b',"filter":{}}', ""),
        (b'{"name":"\xff","filter":{}}', ""),
    ],
)
async def test_wrong_body_is_refused(http: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await http.post("/logs/searches", content=body, headers=OPS)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR"), error
    if field:
        assert error["details"][0]["field"] == field


async def test_viewers_read_and_do_not_change(http: httpx.AsyncClient) -> None:
    assert (await http.get("/logs/searches")).status_code == 200
    body = {"name": "a", "filter": {}}
    assert (await http.post("/logs/searches", json=body)).status_code == 403
    assert (await http.delete("/logs/searches/x")).status_code == 403
