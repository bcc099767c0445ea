"""Accounts, schemas and servers that refuse; and what we never do to a database of others."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bullmq_postgres_world import PostgresWorld, pg_world
from bullmq_world import bullmq_programs
from contract.harness import DirectToolbox
from contract.sql_harness import SOURCE
from quarterdeck.core.clock import utc_now
from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.queues.model import BulkAction, JobState
from quarterdeck.queues.ports import Engine

__all__ = ["bullmq_programs", "pg_world"]

DOCS = Path(__file__).parents[2] / "docs" / "engines.md"
CATALOGUE = """
SELECT 'relation', c.oid::text, relname, relkind::text, relacl::text FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'bullmq'
UNION ALL SELECT 'function', p.oid::text, proname, md5(prosrc), proacl::text FROM pg_proc p
  JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'bullmq'
UNION ALL SELECT 'column', attrelid::text, attname, atttypid::text, attnum::text
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'bullmq'
UNION ALL SELECT 'ledger', version::text, name, min_client_version::text, applied_at::text
  FROM migration
UNION ALL SELECT 'schema', oid::text, nspname, '', nspacl::text FROM pg_namespace
  WHERE nspname NOT LIKE 'pg_temp%' AND nspname NOT LIKE 'pg_toast_temp%'
ORDER BY 1, 2, 3, 5"""


def account(world: PostgresWorld, name: str) -> str:
    """The URL of this account in the world's database."""
    return world.url.replace("tester@", f"{name}@")


async def role_of(world: PostgresWorld, *grants: str) -> str:
    """A new account with these rights; its name is the database's."""
    name = world.url.rpartition("/")[2]
    await world.sql(f"CREATE ROLE {name} LOGIN")
    await world.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for grant in grants:
        await world.sql(grant.replace("quarterdeck", name))
    return name


def documented_grants() -> list[str]:
    """What the guide tells people to grant."""
    block = re.search(r"```sql\n(GRANT USAGE ON SCHEMA bullmq.*?)```", DOCS.read_text(), re.DOTALL)
    assert block is not None
    return [each.strip() for each in block.group(1).split(";") if each.strip()]


async def refusal(engine: Engine, call: Callable[[Engine], Awaitable[object]]) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        await call(engine)
    await engine.close()
    return str(caught.value)


async def test_the_rights_of_the_guide_suffice_and_nothing_is_created(
    pg_world: PostgresWorld,
) -> None:
    ids = await pg_world.fail(4)
    waiting = await pg_world.bullmq.add("mail", {}, deduplication={"id": "once"})
    flow = {"name": "sum", "queueName": "mail", "children": [{"name": "part", "queueName": "mail"}]}
    await pg_world.bullmq.call("", "flow", flow)
    name = await role_of(pg_world, *documented_grants())
    before = await pg_world.sql(CATALOGUE)
    engine = pg_world.open(url=account(pg_world, name))
    queue = next(iter(await engine.snapshot()))
    for state in (None, *JobState):
        await engine.list_jobs(queue, state, 10, 0)
    await engine.sample_failures(queue, 10)
    await engine.pause(queue)
    await engine.resume(queue)
    await engine.retry(pg_world.ref(ids[0]))
    await engine.delete(pg_world.ref(ids[1]))
    await engine.delete(pg_world.ref(waiting))
    for action in BulkAction:
        async for _ in engine.bulk(action, queue, utc_now()):
            pass
    await engine.close()
    assert await pg_world.sql(CATALOGUE) == before
    assert (await pg_world.stats()).failed == 0


async def test_an_account_that_may_only_read_reads_and_is_told_why_it_cannot_write(
    pg_world: PostgresWorld,
) -> None:
    (job_id,) = await pg_world.fail()
    reading = [grant for grant in documented_grants() if "USAGE ON SCHEMA" in grant]
    reading.append("GRANT SELECT ON ALL TABLES IN SCHEMA bullmq TO quarterdeck")
    name = await role_of(pg_world, *reading)
    engine = pg_world.open(url=account(pg_world, name))
    (queue,) = await engine.snapshot()
    assert (await engine.list_jobs(queue, None, 10, 0)).total == 1
    with pytest.raises(SourceUnavailable, match=r"permission denied .*docs/engines\.md"):
        await engine.pause(queue)
    with pytest.raises(SourceUnavailable, match=r"permission denied .*docs/engines\.md"):
        await engine.retry(pg_world.ref(job_id))
    await engine.close()
    assert (await pg_world.job(job_id)).state is JobState.FAILED


async def test_a_schema_that_is_not_there_or_closed_is_said(pg_world: PostgresWorld) -> None:
    name = await role_of(pg_world)
    for engine in (pg_world.open(schema="nope"), pg_world.open(url=account(pg_world, name))):
        said = await refusal(engine, lambda engine: engine.snapshot())
        assert "has no tables of BullMQ that this account can see in its schema" in said
    found = await pg_world.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'nope'")
    assert found == []


async def test_a_wrong_password_is_said(pg_world: PostgresWorld) -> None:
    name = await role_of(pg_world)
    await pg_world.sql(f"ALTER ROLE {name} PASSWORD 'right'")
    rules = pg_world.server.directory / "data" / "pg_hba.conf"
    rule = f"host all {name} 127.0.0.1/32 scram-sha-256\n"
    rules.write_text(rule + rules.read_text())
    await pg_world.sql("SELECT pg_reload_conf()")
    url = account(pg_world, f"{name}:wrong")
    said = await refusal(pg_world.open(url=url), lambda engine: engine.snapshot())
    assert "password authentication failed" in said
    assert "wrong" not in said


async def test_tables_of_another_layout_are_said(pg_world: PostgresWorld) -> None:
    await pg_world.bullmq.add("mail", {})
    await pg_world.sql("ALTER TABLE job RENAME COLUMN finished_at_ms TO ended")
    said = await refusal(pg_world.open(), lambda engine: engine.snapshot())
    assert "has tables of another version of BullMQ in its schema 'bullmq'" in said


async def test_a_replica_is_read_and_refuses_changes(pg_world: PostgresWorld) -> None:
    (job_id,) = await pg_world.fail()
    name = pg_world.url.rpartition("/")[2]
    await pg_world.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine = pg_world.open()
    assert len(await engine.snapshot()) == 1
    said = await refusal(engine, lambda engine: engine.retry(pg_world.ref(job_id)))
    assert "read-only transaction" in said


@pytest.mark.parametrize(
    ("kind", "url", "other"),
    [
        ("bullmq", "postgresql://user:secret@127.0.0.1/mail", "bullmq-postgres"),
        ("bullmq-postgres", "redis://:secret@127.0.0.1/0", "bullmq"),
    ],
)
def test_a_url_of_the_other_store_names_the_kind_for_it(kind: str, url: str, other: str) -> None:
    with pytest.raises(ConfigError, match=f"set `kind` to '{other}'") as caught:
        DirectToolbox().build(kind, SOURCE, {"url": url})
    assert "secret" not in str(caught.value)
