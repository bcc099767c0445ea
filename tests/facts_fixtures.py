"""Stores of facts for tests: fixtures, as a pytest plugin.

How to use it: put `pytest_plugins = ("facts_fixtures",)` into the test module and ask for

- `facts`: the test runs once on each store, the embedded engine and a server;
- `embedded_facts`: the embedded one only;
- `facts_front`: the server's process, to kill and start it.

chDB opens one path for each process, so all tests of a process share one engine. A test that takes
`facts` or `embedded_facts` finds the default database empty and may create tables of any name. A
test that must open another path, or the same one again, does so in a child process, see
`facts_world.worker`. Helpers are in `facts_world.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from facts_world import Front, empty, server_facts
from quarterdeck.facts import Facts
from quarterdeck.facts.embedded import EmbeddedFacts, EmbeddedOptions
from servers import free_port, own_directory

STORES = ("embedded", "server")


@pytest.fixture(scope="session")
def facts_front() -> Iterator[Front]:
    """One server for the whole test process."""
    with own_directory("qd-front-") as directory:
        server = Front(directory, free_port())
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def facts_engine() -> Iterator[EmbeddedFacts]:
    """The one embedded engine of the test process; take `embedded_facts` instead."""
    with own_directory("qd-facts-") as directory:
        opened = EmbeddedFacts(directory / "facts", EmbeddedOptions(memory_mb=1024, searches=4))
        try:
            yield opened
        finally:
            asyncio.run(opened.close())


@pytest.fixture
async def embedded_facts(facts_engine: EmbeddedFacts) -> EmbeddedFacts:
    """The embedded store, empty."""
    await empty(facts_engine)
    return facts_engine


@pytest.fixture(params=STORES)
async def facts(request: pytest.FixtureRequest) -> AsyncIterator[Facts]:
    """An empty store; each test runs once on each kind."""
    if request.param == "embedded":
        opened: EmbeddedFacts = request.getfixturevalue("facts_engine")
        await empty(opened)
        yield opened
        return
    async with server_facts(request.getfixturevalue("facts_front")) as served:
        yield served
