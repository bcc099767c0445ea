"""Opening, closing and migrating a store of facts; a server that goes away."""

import asyncio
import sys
from pathlib import Path

import pytest

from facts_world import Front, count, empty, lines
from quarterdeck import config
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.facts import Facts, migrate_facts, open_facts
from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.facts.schema import on_cluster
from quarterdeck.facts.server import ServerFacts

pytest_plugins = ("facts_fixtures",)

ONE = "CREATE TABLE IF NOT EXISTS things (a UInt8) ENGINE = MergeTree ORDER BY a"
TWO = "ALTER TABLE things ADD COLUMN IF NOT EXISTS b String"


async def versions(facts: Facts) -> list[int]:
    sql = "SELECT version FROM schema_versions WHERE room = 'room' ORDER BY version"
    return [row["version"] for row in await facts.fetch(sql, dict[str, int])]


async def test_migrations_run_once_in_order(facts: Facts) -> None:
    await migrate_facts(facts, "room", [ONE])
    await migrate_facts(facts, "room", [ONE, TWO])
    await migrate_facts(facts, "room", [ONE, TWO])
    assert await versions(facts) == [1, 2]
    assert await count(facts, "SELECT count() AS n FROM things WHERE b = ''") == 0


async def test_migrations_of_many_servers_at_once_are_recorded_once(facts: Facts) -> None:
    await asyncio.gather(*(migrate_facts(facts, "room", [ONE, TWO]) for _ in range(5)))
    assert await versions(facts) == [1, 2]


async def test_a_changed_statement_is_refused(facts: Facts) -> None:
    await migrate_facts(facts, "room", [ONE])
    await migrate_facts(facts, "room", [ONE.replace(" (a", "\n  (a")])
    with pytest.raises(ConfigError, match="Version 1 of the room tables was published"):
        await migrate_facts(facts, "room", [ONE.replace("UInt8", "UInt16")])


async def test_tables_of_a_newer_program_are_refused(facts: Facts) -> None:
    await migrate_facts(facts, "room", [ONE, TWO])
    with pytest.raises(ConfigError, match="has version 2 of the room tables"):
        await migrate_facts(facts, "room", [ONE])


async def test_a_failing_statement_is_not_recorded(facts: Facts) -> None:
    with pytest.raises(SourceUnavailable):
        await migrate_facts(facts, "room", [ONE, "ALTER TABLE nothing ADD COLUMN b String"])
    assert await versions(facts) == [1]
    await migrate_facts(facts, "room", [ONE, TWO])
    assert await versions(facts) == [1, 2]


@pytest.mark.parametrize(
    ("plain", "replicated"),
    [
        (
            "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a",
            "CREATE TABLE IF NOT EXISTS t ON CLUSTER `c` (a UInt8) "
            "ENGINE = ReplicatedMergeTree ORDER BY a",
        ),
        (
            "\nCREATE TABLE t (a UInt8) ENGINE=ReplacingMergeTree ORDER BY a",
            "\nCREATE TABLE t ON CLUSTER `c` (a UInt8) "
            "ENGINE=ReplicatedReplacingMergeTree ORDER BY a",
        ),
        (
            "ALTER TABLE t MODIFY TTL a + INTERVAL 1 DAY",
            "ALTER TABLE t ON CLUSTER `c` MODIFY TTL a + INTERVAL 1 DAY",
        ),
        ("DROP TABLE IF EXISTS t", "DROP TABLE IF EXISTS t ON CLUSTER `c`"),
    ],
)
def test_a_cluster_gets_replicated_tables(plain: str, replicated: str) -> None:
    assert on_cluster(plain, "c") == replicated
    assert on_cluster(plain, "") == plain


async def test_a_url_opens_a_server(facts_front: Front, tmp_path: Path) -> None:
    facts = open_facts(config.Facts(url=facts_front.url), tmp_path)
    assert isinstance(facts, ServerFacts)
    assert await count(facts, "SELECT 1 AS n") == 1
    await facts.close()
    with pytest.raises(SourceUnavailable, match="closed"):
        await count(facts, "SELECT 1 AS n")


@pytest.mark.parametrize("url", ["clickhouse://h:9000", "http://", "h:8123", "http://h:99999"])
def test_a_wrong_url_says_what_is_expected(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^facts\.url: expected http"):
        open_facts(config.Facts(url=url), tmp_path)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("", "chdb", "embedded"), ("http://h:8123", "clickhouse_connect.driver", "clickhouse")],
)
def test_a_missing_driver_names_what_to_install(
    url: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'quarterdeck\[{extra}\]'"):
        open_facts(config.Facts(url=url), tmp_path)


@pytest.mark.parametrize("name", ["a?b", "file/below"])
def test_a_path_that_cannot_be_opened_says_so(
    name: str, tmp_path: Path, embedded_facts: EmbeddedFacts
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data directory|cannot be opened"):
        EmbeddedFacts(tmp_path / name)


async def test_a_server_that_went_away_is_found_again(facts_front: Front) -> None:
    facts = ServerFacts(facts_front.url)
    try:
        await empty(facts)
        facts_front.kill()
        for call in (count(facts, "SELECT 1 AS n"), facts.insert(lines(0, 1, "a"))):
            with pytest.raises(SourceUnavailable, match="cannot be reached"):
                await call
        unborn = ServerFacts(facts_front.url)
        with pytest.raises(SourceUnavailable, match="cannot be reached"):
            await count(unborn, "SELECT 1 AS n")
        facts_front.start()
        assert await count(unborn, "SELECT 1 AS n") == 1
        await unborn.close()
        assert await count(facts, "SELECT 1 AS n") == 1
    finally:
        await facts.close()


async def test_trimming_makes_the_process_smaller_and_harms_nothing(tmp_path: Path) -> None:
    """In a process of its own: what others here have read or given back must not count."""
    command = (sys.executable, "-c", TRIMMING, str(tmp_path))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    before, after, answers, refusal = told.decode().splitlines()
    assert float(after) < float(before) - 100
    first, second = answers.split()
    assert first == second
    assert "unknown function" in refusal  # the text of an exception is made of constants


TRIMMING = """
import asyncio, sys
from pathlib import Path
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.facts.embedded import EmbeddedFacts
from quarterdeck.facts.trimming import release_freed, release_library

QUESTION = "SELECT countIf(match(toString(number), '7.*7')) AS n FROM numbers(100000)"

def resident_file_mb():
    told = Path("/proc/self/status").read_text()
    return int(told.split("RssFile:")[1].split()[0]) / 1000

async def main():
    facts = EmbeddedFacts(Path(sys.argv[1]))
    answer = await facts.fetch(QUESTION, dict[str, int])
    print(resident_file_mb())
    release_library()
    release_freed()
    print(resident_file_mb())
    print(answer[0]["n"], (await facts.fetch(QUESTION, dict[str, int]))[0]["n"])
    try:
        await facts.fetch("SELECT no_such_function() AS n", dict[str, int])
    except SourceUnavailable as error:
        print(error)
    await facts.close()

asyncio.run(main())
"""
