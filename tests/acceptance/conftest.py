"""Servers for acceptance tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.server_process import ServerProcess


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers that are stopped at the end of the test."""
    started: list[ServerProcess] = []

    def start(**options: Any) -> ServerProcess:
        directory = tmp_path / f"server{len(started)}"
        directory.mkdir()
        server = ServerProcess(directory, **options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        if server.process and server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a module; they use queues of their own."""
    running = ServerProcess(tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    assert running.stop() == 0
    assert "unexpected error" not in running.log
