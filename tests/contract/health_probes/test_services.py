"""What RabbitMQ, Elasticsearch, Prometheus, ClickHouse and DNS tell, and how they refuse."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from contract.health_probes import answering
from contract.health_probes.conftest import SHORT_S, Build
from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import Outcome, Reading
from rabbit_server import PASSWORD, USER, RabbitServer

AMQP = f"amqp://{USER}:{PASSWORD}@127.0.0.1"


async def look(build: Build, kind: str, **options: Any) -> Reading:
    return await build(kind, options).check()


@pytest.mark.parametrize(
    ("login", "path", "reason"),
    [
        (f"{USER}:wrong", "", "it does not accept our user or password"),
        (f"{USER}:{PASSWORD}", "/nowhere", "its virtual host does not let us in (530)"),
        (f"{USER}:{PASSWORD}", "/%2F", None),
    ],
    ids=["password", "vhost", "encoded"],
)
async def test_rabbitmq_is_entered_or_says_why_not(
    build: Build, rabbitmq_server: RabbitServer, login: str, path: str, reason: str | None
) -> None:
    url = f"amqp://{login}@127.0.0.1:{rabbitmq_server.port}{path}"
    assert (await look(build, "rabbitmq", url=url)).reason == reason


async def test_rabbitmq_management_refuses_another_password(
    build: Build, rabbitmq_server: RabbitServer
) -> None:
    url = f"http://127.0.0.1:{rabbitmq_server.management_port}"
    reading = await look(
        build, "rabbitmq", management_url=url, management_user=USER, password="wrong"
    )
    assert reading.reason == "answered 401: it does not accept our credentials"


@pytest.mark.asyncio(loop_factories=["uvloop"])  # it takes long, and the loop is not what it tests
async def test_rabbitmq_alarm_fails_with_its_memory_known(
    build: Build, rabbitmq_server: RabbitServer
) -> None:
    def limit(share: str) -> None:
        # It takes a second or two, and the loop has nothing else to do.
        rabbitmq_server.control("set_vm_memory_high_watermark", share)

    probe = build(
        "rabbitmq",
        {
            "url": f"{AMQP}:{rabbitmq_server.port}",
            "management_url": f"http://127.0.0.1:{rabbitmq_server.management_port}",
            "management_user": USER,
            "password": PASSWORD,
        },
    )
    reading = await probe.check()
    assert (reading.outcome, reading.reason) == (Outcome.OK, None)
    assert reading.latency_ms
    limit("0.00001")
    try:
        async with asyncio.timeout(60):
            while not reading.reason:
                reading = await probe.check()
    finally:
        limit("0.6")
    assert reading.reason == "a memory alarm blocks all that publish"
    assert (reading.metrics["memory_used_percent"] or 0) > 100
    async with asyncio.timeout(60):
        while reading.reason:
            reading = await probe.check()


def test_rabbitmq_wants_an_address(build: Build) -> None:
    with pytest.raises(ConfigError, match="needs url, management_url or both"):
        build("rabbitmq", {})


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("green", Outcome.OK, None),
        ("yellow", Outcome.OK, None),
        ("red", Outcome.FAIL, "the cluster is red: 4 shards unassigned"),
    ],
    ids=["green", "yellow", "red"],
)
async def test_elasticsearch_fails_when_it_is_red(
    build: Build, status: str, outcome: Outcome, reason: str | None
) -> None:
    async with answering.web_server(answering.elasticsearch(status, 4)) as port:
        reading = await look(build, "elasticsearch", url=f"http://127.0.0.1:{port}")
    assert (reading.outcome, reading.reason) == (outcome, reason)
    assert reading.metrics["unassigned_shards"] == 4
    assert reading.facets == {"cluster_status": status, "version": "8.15.1"}


async def test_elasticsearch_is_sent_its_key_and_its_refusal_told(build: Build) -> None:
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401, text="s3cret-pw-4711")

    async with answering.web_server({"/{path:.*}": refuse}) as port:
        for options in ({"token": "abc=="}, {}):
            url = f"http://me:pw@127.0.0.1:{port}/es"
            reading = await look(build, "elasticsearch", url=url, **options)
            assert reading.reason == "answered 401: it does not accept our credentials"
    assert seen == ["ApiKey abc==", "Basic bWU6cHc="]


async def test_foreign_json_is_no_elasticsearch(build: Build) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.json_response({"status": "violet"})

    async with answering.web_server({"/": other, "/_cluster/health": other}) as port:
        reading = await look(build, "elasticsearch", url=f"http://127.0.0.1:{port}")
    assert reading.reason == "it answered with something that is not Elasticsearch"


FIGURES: dict[str, list[str] | str] = {
    "quick": ["0.05"],
    "scalar": "0.25",
    "gone": [],
    "undefined": ["NaN"],
    "endless": ["+Inf"],
    "many": ["1", "2"],
    "words": ["fast"],
}


@pytest.mark.parametrize(
    ("options", "metrics"),
    [
        ({"avg": "quick", "p99": "scalar"}, {"avg": 50.0, "p99": 250.0}),
        ({"p95": "scalar", "time_unit": "ms"}, {"p95": 0.25}),
        ({"p95": "gone", "avg": "undefined", "p99": "quick"}, {"p95": None, "avg": None}),
        ({"p95": "endless", "p99": "quick"}, {"p95": None, "p99": 50.0}),
    ],
    ids=["seconds", "milliseconds", "unknown", "endless"],
)
async def test_prometheus_gives_the_figures(
    build: Build, options: dict[str, Any], metrics: dict[str, float | None]
) -> None:
    async with answering.web_server(answering.prometheus(FIGURES)) as port:
        reading = await look(build, "prometheus", url=f"http://127.0.0.1:{port}", **options)
    assert (reading.outcome, reading.reason) == (Outcome.OK, None)
    assert {f"response_time_ms.{name}": value for name, value in metrics.items()}.items() <= (
        reading.metrics.items()
    )


async def test_prometheus_rates_are_of_their_own_unit(build: Build) -> None:
    options = {"request_rate": "quick", "queries": {"indexing_lag_s": "scalar"}}
    async with answering.web_server(answering.prometheus(FIGURES)) as port:
        url = f"http://127.0.0.1:{port}"
        reading = await look(build, "prometheus", url=url, error_rate="scalar", **options)
        percent = await look(
            build, "prometheus", url=url, error_rate="scalar", error_unit="percent"
        )
    assert reading.metrics == {
        "error_rate_percent": 25.0,
        "request_rate": 0.05,
        "indexing_lag_s": 0.25,
    }
    assert percent.metrics == {"error_rate_percent": 0.25}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("gone", "it has no data for any of the queries"),
        ("many", "the query of response_time_ms.p95 gives 2 series; aggregate them"),
        ("wrong(", "it refused the query of response_time_ms.p95 (400)"),
        ("words", "it answered with something that is not Prometheus"),
    ],
    ids=["gone", "many", "wrong", "words"],
)
async def test_prometheus_that_cannot_tell_leaves_it_unknown(
    build: Build, query: str, reason: str
) -> None:
    async with answering.web_server(answering.prometheus(FIGURES)) as port:
        reading = await look(build, "prometheus", url=f"http://127.0.0.1:{port}", p95=query)
    assert (reading.outcome, reading.reason) == (Outcome.UNKNOWN, f"Prometheus: {reason}")


def test_prometheus_wants_a_query(build: Build) -> None:
    with pytest.raises(ConfigError, match="needs a query"):
        build("prometheus", {"url": "http://127.0.0.1"})


async def test_clickhouse_error_is_told_by_its_number(build: Build) -> None:
    async def refuse(request: web.Request) -> web.Response:
        assert (request.headers["X-ClickHouse-User"], request.query["database"]) == ("me", "logs")
        headers = {"X-ClickHouse-Exception-Code": "81"}
        return web.Response(status=404, headers=headers, text="Code: 81. s3cret-pw-4711")

    async with answering.web_server({"/": refuse}) as port:
        reading = await look(build, "clickhouse", url=f"http://me:pw@127.0.0.1:{port}/logs")
    assert reading.reason == "answered 404 with its error 81, expected 200"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "mail.example"}, None),
        ({"name": "mail.example", "expect": ["192.0.2.11", "192.0.2.10"]}, None),
        ({"name": "example", "type": "MX", "expect": ["10 MAIL.example"]}, None),
        ({"name": "example.", "type": "TXT", "expect": ["v=spf1 -all"]}, None),
        ({"name": "gone.example", "expect_rcode": "NXDOMAIN"}, None),
        (
            {"name": "mail.example", "expect": ["192.0.2.12"]},
            "the expected record 192.0.2.12 is not in its answer",
        ),
        ({"name": "mail.example", "type": "AAAA"}, "answered without any AAAA record"),
        ({"name": "gone.example"}, "answered NXDOMAIN, expected NOERROR"),
    ],
    ids=["any", "both", "mx", "txt", "nxdomain", "missing", "none", "gone"],
)
async def test_dns_answer_is_compared(
    build: Build, options: dict[str, Any], reason: str | None, transport: str
) -> None:
    async with answering.name_server() as port:
        where = {"server": "127.0.0.1", "port": port, "transport": transport}
        reading = await look(build, "dns", **where, **options)
    assert (reading.outcome, reading.reason) == (Outcome.FAIL if reason else Outcome.OK, reason)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"s3cret", "it answered with something that is not DNS"),
        (b"", f"no DNS answer within {SHORT_S} s"),
    ],
    ids=["garbage", "silence"],
)
async def test_dns_server_that_is_not_well_over_udp_fails(
    build: Build, answer: bytes, reason: str
) -> None:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            if answer:
                self.transport.sendto(answer, address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    options = {"server": "127.0.0.1", "port": port, "name": "mail.example"}
    reading = await build("dns", options, SHORT_S if not answer else 20).check()
    transport.close()
    assert (reading.outcome, reading.reason) == (Outcome.FAIL, reason)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a..b"}, "name: expected a domain name"),
        ({"name": "a", "expect_rcode": "SOMETIMES"}, "expect_rcode: expected one such as"),
    ],
    ids=["name", "rcode"],
)
def test_dns_wrong_options_are_named(build: Build, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("dns", {"server": "127.0.0.1", **options})
