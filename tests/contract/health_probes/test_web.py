"""What the probe of web services compares, follows and refuses; its certificates."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from contract.health_probes.answering import web_server
from contract.health_probes.certificates import Authority, stranger
from contract.health_probes.conftest import SHORT_S, Build, no_socket_is_left
from contract.health_probes.faults import hang, serving
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import Outcome, Reading


def routes(seen: list[web.Request] | None = None) -> dict[str, Any]:
    """A small service, with some ways to be unwell."""

    async def fine(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        return web.Response(text="queue 17 is fine", headers={"X-Build": "2026.7"})

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, text="s3cret-pw-4711")

    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"queue")
        await asyncio.Event().wait()
        return answer

    return {"/fine": fine, "/busy": busy, "/away": away, "/slow": slow}


async def look(build: Build, port: int, path: str, **options: Any) -> Reading:
    probe = build("http", {"url": f"http://127.0.0.1:{port}{path}", **options})
    return await probe.check()


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/busy", {}, "answered 503, expected 200"),
        ("/busy", {"expect_status": ["2xx", 404]}, "answered 503, expected 2xx, 404"),
        ("/busy", {"expect_status": ["500-599"]}, None),
        ("/fine", {"body_contains": "17 is"}, None),
        ("/fine", {"body_contains": "18 is"}, "answered 200, but the body lacks the expected text"),
        ("/fine", {"body_matches": r"queue \d+ is (fine|well)$"}, None),
        ("/fine", {"body_matches": "^is"}, "answered 200, but the body does not match"),
        ("/fine", {"expect_header": {"x-build": "2026"}}, None),
        ("/fine", {"expect_header": {"X-Other": ""}}, "answered 200 without the header X-Other"),
        (
            "/fine",
            {"expect_header": {"X-Build": "2025"}},
            "answered 200 with another X-Build than expected",
        ),
        ("/away?to=/fine", {}, "answered 302, expected 200"),
        ("/away?to=/fine", {"follow_redirects": True}, None),
        (
            "/away?to=/away?to=/away",
            {"follow_redirects": True, "method": "POST", "body": "x"},
            "answered 302, expected 200",
        ),
        (
            "/away?to=file:///etc/passwd",
            {"follow_redirects": True},
            "answered 302 with a Location that is no http(s) address",
        ),
        (
            "/away?to=http://169.254.169.254/latest",
            {"follow_redirects": True},
            "connections to 169.254.169.254 are not allowed",
        ),
        (
            "/away?to=http://[::ffff:169.254.169.254]/",
            {"follow_redirects": True},
            "connections to ::ffff:a9fe:a9fe are not allowed",
        ),
    ],
)
async def test_answer_is_compared(
    build: Build, path: str, options: dict[str, Any], reason: str | None
) -> None:
    async with web_server(routes()) as port:
        reading = await look(build, port, path, **options)
    assert reading.reason == reason
    assert reading.outcome is (Outcome.FAIL if reason else Outcome.OK)


async def test_endless_redirects_end(build: Build) -> None:
    async def again(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/"})

    async with web_server({"/": again}) as port:
        reading = await look(build, port, "/", follow_redirects=True)
    assert reading.reason == "it redirected more than 5 times"


async def test_own_headers_stay_with_the_origin(build: Build) -> None:
    seen: list[web.Request] = []
    async with web_server(routes(seen)) as other, web_server(routes(seen)) as port:
        for target in ("/fine", f"http://127.0.0.1:{other}/fine"):
            reading = await look(
                build, port, f"/away?to={target}", follow_redirects=True, headers={"X-Key": "k"}
            )
            assert reading.outcome is Outcome.OK
    assert [request.headers.get("X-Key") for request in seen] == ["k", None]


async def test_body_that_does_not_end_is_given_up(build: Build) -> None:
    async with web_server(routes()) as port:
        probe = build("http", {"url": f"http://127.0.0.1:{port}/slow"}, SHORT_S)
        reading = await probe.check()
        await probe.close()
    assert reading.reason == f"no end of the HTTP answer within {SHORT_S} s"


async def test_target_hides_what_may_be_secret(build: Build) -> None:
    url = "https://me:pw@host.example/hooks/T0123456789ABCDEF/status?token=tok#part"
    probe = build("http", {"url": url})
    assert probe.target == "GET https://host.example:443/hooks/…/status"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://host/"}, "url: expected an address that begins with http:// or https://"),
        ({"url": "http://h", "expect_status": ["fine"]}, "expect_status: expected a status"),
        ({"url": "http://h", "body_matches": "("}, "body_matches: RE2 cannot read"),
        ({"url": "http://h", "ca_file": "/nowhere.pem"}, "ca_file: cannot be used"),
        ({"url": "http://h", "metod": "GET"}, "metod: there is no such setting"),
    ],
    ids=["url", "status", "expression", "authorities", "unknown"],
)
def test_wrong_options_are_named(build: Build, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build("http", options)
    assert message in str(caught.value)


async def test_certificate_tells_how_long_it_lasts(build: Build, authority: Authority) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=12)
    async with web_server(routes(), authority.server(end)) as port:
        probe = build(
            "http",
            {"url": f"https://localhost:{port}/fine", "ca_file": authority.ca_file},
            clock=lambda: end - timedelta(days=10, hours=12),
        )
        reading = await probe.check()
    assert (reading.outcome, reading.metrics) == (Outcome.OK, {"tls_expires_in_days": 10.5})


async def test_expired_certificate_fails_and_tells_since_when(
    build: Build, authority: Authority
) -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    async with web_server(routes(), authority.server(end)) as port:
        options: dict[str, Any] = {
            "url": f"https://localhost:{port}/fine",
            "ca_file": authority.ca_file,
        }
        reading = await build("http", options, clock=lambda: end + timedelta(days=3)).check()
        assert reading.reason == "its certificate has expired"
        assert reading.metrics == {"tls_expires_in_days": -3.0}
        options["verify_tls"] = False
        reading = await build("http", options, clock=lambda: end + timedelta(days=3)).check()
    assert (reading.outcome, reading.metrics) == (Outcome.OK, {"tls_expires_in_days": -3.0})


async def test_certificate_of_nobody_or_another_fails(build: Build, authority: Authority) -> None:
    async with web_server(routes(), stranger()) as port:
        reading = await build("http", {"url": f"https://localhost:{port}/fine"}).check()
    assert reading.reason == "its certificate comes from an authority that is not trusted here"
    assert reading.metrics["tls_expires_in_days"]
    async with web_server(routes(), authority.server(name="other.example")) as port:
        options = {"url": f"https://localhost:{port}/fine", "ca_file": authority.ca_file}
        reading = await build("http", options).check()
    assert reading.reason == "its certificate is for another name"


async def test_port_without_tls_is_told(build: Build) -> None:
    async with web_server(routes()) as port:
        reading = await build("http", {"url": f"https://127.0.0.1:{port}/fine"}).check()
    assert reading.reason == "it does not speak TLS there"


@pytest.mark.parametrize("kind", ["http", "tcp", "smtp"])
async def test_handshake_that_hangs_is_given_up_without_a_trace(build: Build, kind: str) -> None:
    async with no_socket_is_left(), serving(hang) as fault:
        options: dict[str, dict[str, Any]] = {
            "http": {"url": f"https://127.0.0.1:{fault.port}/"},
            "tcp": {"host": "127.0.0.1", "port": fault.port, "tls": True},
            "smtp": {"host": "127.0.0.1", "port": fault.port, "tls": "implicit"},
        }
        probe = build(kind, options[kind], SHORT_S)
        reading = await probe.check()
        assert reading.outcome is Outcome.FAIL
        assert str(reading.reason).endswith(f"within {SHORT_S} s")
        await probe.close()


async def test_tcp_with_tls_knows_its_certificate(build: Build, authority: Authority) -> None:
    end = utc_now() + timedelta(days=20, hours=12)
    async with serving(hang, authority.server(end)) as server:
        options = {"host": "localhost", "port": server.port, "tls": True}
        reading = await build("tcp", {**options, "ca_file": authority.ca_file}).check()
        assert reading.outcome is Outcome.OK
        assert 20 < (reading.metrics["tls_expires_in_days"] or 0) < 21
        reading = await build("tcp", options).check()
    assert reading.reason == "its certificate comes from an authority that is not trusted here"
    assert 20 < (reading.metrics["tls_expires_in_days"] or 0) < 21
