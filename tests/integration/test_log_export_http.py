"""Exports over HTTP: start, watch, download whole and in parts, delete; who may, what is noted."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from export_world import ME, PREFIX, World, client, create_table, line, running, store
from quarterdeck.access.audit import AuditTrail
from quarterdeck.logs.exports import LogExports

pytest_plugins = ("export_fixtures",)

OTHER = {"x-principal": "token:other"}
ADMIN = {"x-principal": "token:boss", "x-role": "admin"}


@pytest.fixture
async def exports(sqlite_world: World) -> AsyncIterator[LogExports]:
    await create_table(sqlite_world.facts)
    levels = ("error", "warning", "info", "debug")
    lines = [
        line(timestamp=f"2026-11-24T10:00:{n:02}.000000Z", level=levels[n % 4], message=f"m{n}")
        for n in range(40)
    ]
    await store(sqlite_world.facts, lines)
    async with running(sqlite_world) as built:
        yield built


@pytest.fixture
async def http(exports: LogExports, sqlite_world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client(exports, None, AuditTrail(sqlite_world.database)) as opened:
        yield opened


def data(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["success"]) == (200, True), body
    found: dict[str, Any] = body["data"]
    return found


async def completed(http: httpx.AsyncClient, world: World, query: str = "") -> dict[str, Any]:
    started = data(await http.get(f"/logs/export?{query}"))
    await world.finished(started["export_id"])
    return data(await http.get(f"/logs/export/{started['export_id']}"))


async def test_start_answers_as_documented(http: httpx.AsyncClient) -> None:
    answer = await http.get(
        "/logs/export?format=json&level=error&start_time=2026-11-24T11:00%2B01:00"
    )
    started = data(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert started["export_id"].startswith("export_logs_")
    assert (started["status"], started["download_url"]) == ("processing", None)
    assert (started["format"], started["shape"], started["gzip"]) == ("json", "ndjson", False)
    assert started["created_by"] == ME
    assert started["filter"]["level"] == "error"
    assert started["filter"]["start_time"] == "2026-11-24T10:00:00Z"


async def test_completed_export_is_downloaded(http: httpx.AsyncClient, sqlite_world: World) -> None:
    done = await completed(http, sqlite_world, "format=txt&min_level=warning&query=m")
    assert (done["status"], done["rows"], done["total"], done["progress"]) == ("completed", 0, 0, 1)
    done = await completed(http, sqlite_world, "format=txt&min_level=warning")
    assert (done["rows"], done["total"], done["progress"], done["error"]) == (20, 20, 1, None)
    assert done["expires_at"] > done["completed_at"]
    url = done["download_url"]
    assert url == f"{PREFIX}/logs/export/{done['export_id']}/download"
    answer = await http.get(url.removeprefix(PREFIX))
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"]) == done["bytes"]
    assert len(answer.text.splitlines()) == 20
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="{done["export_id"]}.txt"'
    )
    head = await http.head(url.removeprefix(PREFIX))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "accept-ranges"):
        assert head.headers[name] == answer.headers[name]


async def test_compressed_file_is_sent_as_the_file_that_it_is(
    http: httpx.AsyncClient, sqlite_world: World
) -> None:
    done = await completed(http, sqlite_world, "gzip=true")
    answer = await http.get(f"/logs/export/{done['export_id']}/download")
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-disposition"].endswith('.csv.gz"')
    assert len(gzip.decompress(answer.content).splitlines()) == 41


async def test_broken_download_goes_on(http: httpx.AsyncClient, sqlite_world: World) -> None:
    done = await completed(http, sqlite_world)
    path, size = f"/logs/export/{done['export_id']}/download", done["bytes"]
    whole = await http.get(path)
    tag = whole.headers["etag"]
    rest = await http.get(path, headers={"range": "bytes=1000-", "if-range": tag})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{size - 1}/{size}"
    other = await http.get(path, headers={"range": "bytes=1000-", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)
    head = await http.head(path, headers={"range": "bytes=0-9"})
    assert (head.status_code, head.headers["content-length"], head.content) == (206, "10", b"")
    behind = await http.get(path, headers={"range": f"bytes={size}-"})
    assert behind.status_code == 416
    assert behind.headers["content-range"] == f"bytes */{size}"
    assert behind.json()["success"] is False


async def test_file_is_refused_before_the_end_and_after_deletion(
    http: httpx.AsyncClient, sqlite_world: World
) -> None:
    done = await completed(http, sqlite_world)
    path = f"/logs/export/{done['export_id']}"
    for _ in range(2):
        deleted = data(await http.delete(path))
        assert (deleted["status"], deleted["download_url"]) == ("deleted", None)
    assert (await http.get(f"{path}/download")).status_code == 404
    assert (await http.head(f"{path}/download")).status_code == 404


async def test_exports_of_others_are_not_found_but_by_admins(
    http: httpx.AsyncClient, sqlite_world: World
) -> None:
    done = await completed(http, sqlite_world)
    path = f"/logs/export/{done['export_id']}"
    for method, url in (("GET", path), ("GET", f"{path}/download"), ("DELETE", path)):
        assert (await http.request(method, url, headers=OTHER)).status_code == 404
    assert data(await http.get("/logs/exports", headers=OTHER))["exports"] == []
    assert data(await http.get(path, headers=ADMIN))["created_by"] == ME
    assert (await http.get(f"{path}/download", headers=ADMIN)).status_code == 200
    assert data(await http.delete(path, headers=ADMIN))["status"] == "deleted"


async def test_list_has_ones_own_newest_first(http: httpx.AsyncClient, sqlite_world: World) -> None:
    ids = [(await completed(http, sqlite_world))["export_id"] for _ in range(3)]
    page = data(await http.get("/logs/exports?limit=2"))
    assert [each["export_id"] for each in page["exports"]] == ids[:0:-1]
    assert page["pagination"]["total"] == 3
    page = data(await http.get("/logs/exports?limit=2&offset=2"))
    assert [each["export_id"] for each in page["exports"]] == ids[:1]


async def test_starts_and_downloads_are_audited(
    http: httpx.AsyncClient, sqlite_world: World
) -> None:
    done = await completed(http, sqlite_world)
    path = f"/logs/export/{done['export_id']}"
    await http.get(f"{path}/download")
    await http.get(f"{path}/download", headers=OTHER)
    await http.delete(path)
    entries = (await AuditTrail(sqlite_world.database).list_entries(50, 0)).items
    assert [(entry.action, entry.principal, entry.outcome) for entry in reversed(entries)] == [
        ("logs.export", ME, "ok"),
        ("logs.export.download", ME, "ok"),
        ("logs.export.download", "token:other", "failed"),
        ("logs.export.delete", ME, "ok"),
    ]


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("format=xml", "format", "csv, json, txt"),
        ("format=json&shape=tree", "shape", "ndjson, array"),
        ("gzip=perhaps", "gzip", ""),
        ("level=fatal", "level", "error, warning, info, debug"),
        ("min_level=all", "min_level", "error, warning, info, debug"),
        ("start_time=yesterday", "start_time", "ISO 8601"),
        ("end_time=2026-13-01", "end_time", "ISO 8601"),
        ("start_time=2026-11-25&end_time=2026-11-24", "start_time", "before end_time"),
        (f"service={'x' * 257}", "service", "256"),
        (f"query={'x' * 4097}", "query", "4096"),
        ("user_id=%00", "user_id", "NUL"),
        ("query=%22open", "query", ""),
    ],
)
async def test_wrong_parameter_is_named(
    http: httpx.AsyncClient, query: str, field: str, says: str
) -> None:
    answer = await http.get(f"/logs/export?{query}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert error["details"][0]["field"] == field
    assert says in error["details"][0]["message"]


@pytest.mark.parametrize(
    "path", ["/logs/export/nobody", "/logs/export/a%00b", "/logs/export/%2e%2e"]
)
async def test_unknown_export_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    for method, url in (("GET", path), ("GET", f"{path}/download"), ("DELETE", path)):
        answer = await http.request(method, url)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_senders_of_lines_may_not_export(http: httpx.AsyncClient) -> None:
    sender = {"x-principal": "token:app", "x-role": "ingest"}
    for path in ("/logs/export", "/logs/exports", "/logs/export/x", "/logs/export/x/download"):
        assert (await http.get(path, headers=sender)).status_code == 403
