"""The OpenAPI document tells the truth: examples fit, and no request breaks the server."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from acceptance.seeding import seed
from acceptance.server_process import PREFIX, ServerProcess

SPEC_ROUTES = {
    ("get", "/queues"),
    ("get", "/queues/{queue_name}/jobs"),
    ("post", "/queues/{queue_name}/pause"),
    ("post", "/queues/{queue_name}/resume"),
    ("post", "/jobs/{job_id}/retry"),
    ("delete", "/jobs/{job_id}"),
    ("get", "/logs"),
    ("get", "/logs/export"),
}


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def document(server: ServerProcess) -> dict[str, object]:
    found: dict[str, object] = server.call("GET", "/openapi.json", prefix="").json
    return found


def test_document_is_openapi_3_1_and_holds_the_spec(document: dict[str, object]) -> None:
    assert str(document["openapi"]).startswith("3.1")
    paths = document["paths"]
    assert isinstance(paths, dict)
    served = {(method, path) for path, item in paths.items() for method in item}
    assert {(method, PREFIX + path) for method, path in SPEC_ROUTES} <= served


def test_committed_document_is_current(document: dict[str, object]) -> None:
    committed = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    assert committed == document, "run: make openapi"


def test_every_operation_documents_statuses_with_examples(document: dict[str, object]) -> None:
    paths = document["paths"]
    assert isinstance(paths, dict)
    for path, item in paths.items():
        for method, operation in item.items():
            statuses = set(operation["responses"])
            assert {"200", "400", "401", "403", "429", "503"} <= statuses, (method, path)
            for status in statuses - {"304"}:
                for media, content in operation["responses"][status]["content"].items():
                    assert media == "application/json" or status == "200", (method, path, status)
                    assert content["examples"]["sample"]["value"], (method, path, status)


def test_examples_fit_their_schemas(document: dict[str, object]) -> None:
    from jsonschema import Draft202012Validator

    paths = document["paths"]
    assert isinstance(paths, dict)
    for item in paths.values():
        for operation in item.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    schema = content["schema"] | {"components": document["components"]}
                    value = content["examples"]["sample"]["value"]
                    Draft202012Validator(schema).validate(value)


def test_no_generated_request_breaks_the_server(server: ServerProcess) -> None:
    """Property-based: schemathesis makes requests of the document, good and bad ones."""
    seed(server, "fuzzed", failed=50, waiting=5, active=2)
    url = f"http://127.0.0.1:{server.port}"
    # Answers without an end are not for a client that waits for one; they have tests of their own.
    endless = ["TailLogs", "StreamAlerts", "StreamQueues"]
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(operation_id=endless)
    headers = {"Authorization": f"Bearer {server.token('ops')}"}
    asked: Counter[str] = Counter()

    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # an Err would fail right here

        def ask(case: Any, label: str = operation.label) -> None:
            asked[label] += 1
            answer = case.call(base_url=url, headers=headers)
            assert answer.status_code < 500, (answer.status_code, answer.text, case)
            assert answer.json()["success"] is (answer.status_code < 400)

        run_property(operation.as_strategy(), ask)
    assert len(asked) >= 12
    assert min(asked.values()) >= 20, asked


def run_property(strategy: Any, check: Callable[[Any], None]) -> None:
    @given(strategy)
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        check(case)

    ask()
