"""The console's files over the wire: what is served, how it may be kept, what it may load."""

import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from acceptance.server_process import Answer, ServerProcess
from quarterdeck.console.mount import STATIC

ROOT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
VIEWS = [
    "/", "/console", "/console/alerts/alr_1", "/dashboard", "/dashboard/system/queues",
    "/dashboard/system/queues/queue%3Ax%2Fy", "/dashboard/no/such/view",
]  # fmt: skip


def get(server: ServerProcess, path: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.call(method, path, prefix="", headers=sent)


@pytest.mark.parametrize("path", VIEWS)
def test_every_address_of_a_view_is_the_one_page(server: ServerProcess, path: str) -> None:
    answer = get(server, path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.raw == (STATIC / "index.html").read_bytes()


def test_page_may_load_nothing_but_our_own_files(server: ServerProcess) -> None:
    headers = get(server, "/").headers
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_page_holds_no_code_and_names_no_other_host(server: ServerProcess) -> None:
    page = get(server, "/").raw.decode()
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|https?://", page) == []


def test_page_names_only_files_that_are_there(server: ServerProcess) -> None:
    named = re.findall(r'(?:src|href)="/console/static/([^"]+)"', get(server, "/").raw.decode())
    assert len(named) > 10
    assert set(named) <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_as_it_is_written(server: ServerProcess, name: str) -> None:
    answer = get(server, f"/console/static/{name}")
    assert answer.status == 200
    assert answer.raw == (STATIC / name).read_bytes()
    is_vendored = name.startswith("vendor/")
    assert ("immutable" in answer.headers["cache-control"]) is is_vendored
    assert not is_vendored or re.search(r"\d+\.\d+\.\d+|LICENSE", name)


def test_file_is_compressed_for_who_takes_it(server: ServerProcess) -> None:
    plain = get(server, "/console/static/app.js")
    packed = get(server, "/console/static/app.js", Accept_Encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert gzip.decompress(packed.raw) == plain.raw
    assert len(packed.raw) < len(plain.raw) / 2


def test_known_file_is_not_sent_again(server: ServerProcess) -> None:
    tag = get(server, "/console/static/app.js").headers["etag"]
    for given in (tag, f'"x", W/{tag}'):
        again = get(server, "/console/static/app.js", If_None_Match=given)
        assert (again.status, again.raw) == (304, b"")
    assert get(server, "/console/static/app.js", If_None_Match='"x"').status == 200


def test_head_tells_the_length_and_sends_nothing(server: ServerProcess) -> None:
    answer = get(server, "/console/static/app.js", method="HEAD")
    assert answer.raw == b""
    assert int(answer.headers["content-length"]) == (STATIC / "app.js").stat().st_size


@pytest.mark.parametrize(
    "name",
    ["no-such.js", "", "../mount.py", "..%2Fmount.py", "%2e%2e/mount.py", "vendor/", "app.js/x"],
)
def test_what_is_no_file_is_404(server: ServerProcess, name: str) -> None:
    answer = get(server, f"/console/static/{name}")
    assert answer.status == 404
    assert answer.raw == b"No such file.\n"


@pytest.mark.parametrize("path", ["/dashboards", "/static/app.js", "/consoles", "/index.html"])
def test_addresses_beside_the_console_stay_closed(server: ServerProcess, path: str) -> None:
    assert get(server, path).status == 401


def test_change_at_a_view_is_no_way_around_the_api(server: ServerProcess) -> None:
    assert get(server, "/dashboard/system/queues", method="POST").status == 401


def test_overview_is_light(server: ServerProcess) -> None:
    """At most 150 kB compressed, were every file of the console loaded at once."""
    code = [name for name in FILES if not name.endswith(".txt")]
    sizes = [
        len(get(server, f"/console/static/{name}", Accept_Encoding="gzip").raw) for name in code
    ]
    assert sum(sizes) < 150_000


def test_wheel_holds_every_file_of_the_console(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {f"quarterdeck/console/static/{name}" for name in FILES} <= held
