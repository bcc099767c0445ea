"""What is read of BullMQ's keys: counts, pages, and whatever strange things lie there."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from redis.asyncio import Redis

from bullmq_world import BullmqWorld, bullmq_programs, world
from contract.harness import eventually
from quarterdeck.core.clock import utc_now
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.adapters.bullmq import listing
from quarterdeck.queues.model import JobState, Priority, Provenance
from quarterdeck.queues.rules import Redactor, TextFilter

__all__ = ["bullmq_programs", "world"]

BOTH = pytest.mark.parametrize("major", [5, 6])
CONSTANT = {
    "evalsha", "exists", "get", "hget", "hmget", "hexists", "llen", "lindex", "zcard", "zcount",
    "lrange", "zrange", "hello", "client|setinfo", "select", "info",
}  # fmt: skip


@BOTH
async def test_every_native_state_is_counted_and_listed(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    await programs.add_many("mail", [{}, {}])
    later = await programs.add("mail", {}, delay=3_600_000)
    await programs.add("mail", {}, priority=3)
    flow = {"name": "n", "queueName": "mail", "children": [{"name": "c", "queueName": "other"}]}
    await programs.call("mail", "flow", flow)
    for paused in (False, True):
        # Version 5 says 0 are waiting in a paused queue.
        if paused:
            await programs.call("mail", "pause")
        stats = await world.stats()
        assert (stats.waiting, stats.active, stats.failed, stats.paused) == (5, 0, 0, paused)
    page = await world.engine.list_jobs(await world.queue(), JobState.WAITING, 10, 0)
    assert page.total == 5
    assert sorted(job.native_state or "" for job in page.items) == sorted(
        ["paused" if major == 5 else "wait"] * 2 + ["delayed", "prioritized", "waiting-children"]
    )
    for job in page.items:
        assert await world.engine.find_job(job.ref) == job
    job = await world.job(later)
    assert job.created_at is not None
    assert job.run_at == job.created_at + timedelta(hours=1)


@BOTH
async def test_completed_last_hour_says_how_it_is_known(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    kept = await programs.add_many("mail", [{}, {}, {}])
    async with programs.workers(world.directory, "mail"):
        await world.until_state(JobState.COMPLETED, kept)
    stats = await world.stats()
    assert (stats.completed_last_hour, stats.completed_last_minute) == (3, 3)
    assert stats.completed_last_hour_source is Provenance.EXACT

    async def is_done() -> bool:
        now = await world.stats()
        return now.waiting == now.active == 0

    await programs.add_many("mail", [{}, {}], removeOnComplete=True)
    async with programs.workers(world.directory, "mail"):
        await eventually(is_done)
    stats = await world.stats()
    assert (stats.completed_last_hour, stats.completed_last_minute) == (None, None)
    assert stats.completed_last_hour_source is Provenance.NONE
    # A job that is kept and ended before the hour shows that no younger one was trimmed.
    before = utc_now() - timedelta(minutes=61)
    await world.redis.zadd("bull:mail:completed", {"old": int(before.timestamp() * 1000)})
    stats = await world.stats()
    assert (stats.completed_last_hour, stats.completed) == (3, 4)
    assert stats.completed_last_hour_source is Provenance.RETAINED


@BOTH
async def test_metrics_of_workers_count_what_is_not_kept(world: BullmqWorld, major: int) -> None:
    programs = world.of(major)
    await programs.add_many("mail", [{}] * 7, removeOnComplete=True)

    async def is_done() -> bool:
        now = await world.stats()
        return now.waiting == now.active == 0

    metrics = {"maxDataPoints": 120}
    async with programs.workers(world.directory, "mail", metrics=metrics):
        await eventually(is_done)
    stats = await world.stats()
    assert stats.completed_last_hour == 7
    assert stats.completed_last_hour_source is Provenance.METRICS
    queue = await world.queue()
    assert world.engine.capabilities(queue).completed_last_hour is Provenance.METRICS


async def test_oldest_waiting_is_never_made_up(world: BullmqWorld) -> None:
    first = await world.v6.add("mail", {}, delay=20)
    job = await world.job(first)
    assert job.run_at is not None
    assert job.created_at is not None

    async def is_due() -> bool:
        return (await world.stats()).oldest_waiting_at is not None

    await eventually(is_due)
    assert (await world.stats()).oldest_waiting_at == job.run_at
    await world.engine.delete(job.ref)
    (failed,) = await world.fail(6)
    await world.engine.retry(world.ref(failed))
    stats = await world.stats()
    # Since when it waits again is noted nowhere; when it was created is something else.
    assert (stats.waiting, stats.oldest_waiting_at) == (1, None)


async def test_broken_jobs_spoil_no_page(world: BullmqWorld) -> None:
    ids = await world.v6.add_many("mail", [{"number": number} for number in range(8)])
    key = "bull:mail:{}".format
    await world.redis.hset(key(ids[0]), mapping={"timestamp": "soon", "opts": "{", "atm": "inf"})
    await world.redis.hset(key(ids[1]), mapping={"timestamp": "9" * 40, "processedOn": "-1e400"})
    await world.redis.hset(key(ids[2]), mapping={"stacktrace": "[[1", "failedReason": "because"})
    await world.redis.hset(key(ids[3]), "data", "[" * 100_000)
    await world.redis.hdel(key(ids[4]), "data", "timestamp", "opts")
    await world.redis.delete(key(ids[5]), key(ids[6]))
    await world.redis.lpush(key(ids[6]), "a list")
    raw = Redis.from_url(world.server.url)
    await raw.hset(key(ids[7]), "data", b"\xff\xfe")
    await raw.lpush("bull:mail:wait", b"\xff\xfe")
    await raw.aclose()
    queue = await world.queue()
    for state in (None, JobState.WAITING):
        page = await world.engine.list_jobs(queue, state, 50, 0)
        jobs = {job.ref.id: job for job in page.items}
        assert set(jobs) == {*ids[:5], ids[7]}
    assert jobs[ids[0]].payload == {"number": 0}
    assert (jobs[ids[0]].created_at, jobs[ids[0]].attempts) == (None, 0)
    assert jobs[ids[1]].created_at is None
    assert jobs[ids[3]].payload_error
    assert jobs[ids[4]].payload_error
    for job_id in (*ids[:5], ids[7]):
        assert await world.engine.find_job(world.ref(job_id)) == jobs[job_id]
    found = await world.engine.list_jobs(queue, None, 50, 0, TextFilter("number", Redactor([])))
    assert found.total == 3
    assert (await world.stats()).waiting == 9


async def test_broken_failures_spoil_no_grouping(world: BullmqWorld) -> None:
    ids = await world.fail(6, 4)
    await world.redis.delete(f"bull:mail:{ids[0]}")
    await world.redis.hdel(f"bull:mail:{ids[1]}", "failedReason", "finishedOn", "processedOn")
    await world.redis.set(f"bull:mail:{ids[0]}", "text")
    sample = await world.engine.sample_failures(await world.queue(), 10)
    assert [failure.ref.id for failure in sample.failures] == ids[:0:-1]
    assert sample.failures[-1].message == ""
    assert sample.is_complete


async def test_foreign_keys_leave_the_other_counts_known(world: BullmqWorld) -> None:
    await world.v6.add("mail", {})
    await world.redis.set("bull:mail:failed", "text")
    await world.redis.set("bull:mail:metrics:completed", "text")
    stats = await world.stats()
    assert (stats.waiting, stats.failed, stats.completed) == (1, None, 0)
    assert any("not BullMQ's" in warning for warning in stats.warnings)
    assert world.engine.capabilities(await world.queue()).completed_last_hour is Provenance.NONE


async def test_numbers_that_are_none_leave_the_other_queues_known(world: BullmqWorld) -> None:
    await world.v6.add("other", {})
    job_id = await world.v6.add("mail", {})
    for nonsense in ("nan", "inf", "-inf", "1e300", "-1e300", "1e14", "0x10", "\udcff"):
        raw = nonsense.encode(errors="surrogateescape")
        await world.redis.hset(f"bull:mail:{job_id}", mapping={"timestamp": raw, "opts": raw})
        await world.redis.hset("bull:mail:metrics:completed", mapping={"count": raw, "prevTS": raw})
        await world.redis.delete("bull:mail:metrics:completed:data")
        await world.redis.lpush("bull:mail:metrics:completed:data", raw)
        await world.redis.set("bull:mail:id", raw)
        if nonsense not in {"nan", "0x10", "\udcff"}:
            await world.redis.zadd("bull:mail:delayed", {"late": nonsense})
            await world.redis.zadd("bull:mail:completed", {"done": nonsense})
        snapshot = await world.engine.snapshot()
        assert {each.name for each in snapshot} == {"queue:mail", "queue:other"}
        assert len((await world.engine.list_jobs(await world.queue(), None, 10, 0)).items) == 1
        assert (await world.job(job_id)).native_state == "wait"


async def test_keys_that_are_no_jobs_are_no_jobs(world: BullmqWorld) -> None:
    job_id = await world.v6.add("mail", {"number": 1})
    await world.v6.call("mail", "upsertJobScheduler", "nightly", {"every": 3_600_000})
    await world.redis.lpush(f"bull:mail:{job_id}:logs", "a line")
    keys = await world.redis.keys("bull:mail:*")
    names = {key.removeprefix("bull:mail:") for key in keys}
    jobs = {name for name in names if await world.engine.find_job(world.ref(name))}
    assert jobs == {job_id, *(name for name in names if name.startswith("repeat:nightly:"))}
    assert {"meta", "id", "events", "wait", "repeat:nightly", f"{job_id}:logs"} < names - jobs


@pytest.mark.parametrize("merged", [0, 1, 30, 1000])
async def test_pages_over_all_places_hold_each_job_once(
    world: BullmqWorld, merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MERGED", merged)
    await world.v6.add("other", {})
    places = ["active", "wait", "paused", "prioritized", "delayed", "waiting-children"]
    places += ["failed", "completed"]
    pipeline = world.redis.pipeline(transaction=False)
    pipeline.hset("bull:mail:meta", "version", "bullmq:6.7.0")
    for number in range(80):
        place, job_id = places[number * 7 % 8], f"j{number}"
        pipeline.hset(f"bull:mail:{job_id}", mapping={"data": "{}", "timestamp": 1000 + number})
        if place in {"active", "wait", "paused"}:
            pipeline.lpush(f"bull:mail:{place}", job_id)
        else:
            pipeline.zadd(f"bull:mail:{place}", {job_id: number})
    await pipeline.execute()
    queue = await world.queue()
    for state, total in ((None, 80), (JobState.WAITING, 50), (JobState.FAILED, 10)):
        pages = [
            await world.engine.list_jobs(queue, state, 7, offset) for offset in range(0, 84, 7)
        ]
        found = [job for page in pages for job in page.items]
        assert len({job.ref.id for job in found}) == len(found) == total
        assert {page.total for page in pages} == {total}
        times = [job.created_at for job in found[: merged or None] if job.created_at]
        if merged >= total:
            assert all(newer >= older for newer, older in pairwise(times))


async def test_search_says_when_it_did_not_read_everything(
    world: BullmqWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_SEARCHED", 500)
    await world.v6.add_many("mail", [{"number": number} for number in range(600)])
    queue = await world.queue()
    page = await world.engine.list_jobs(queue, None, 5, 0, TextFilter("number", Redactor([])))
    assert (page.total, page.total_kind, len(page.items)) == (500, TotalKind.CAPPED, 5)


async def test_snapshot_of_50_queues_is_one_round_trip_of_constant_cost(
    world: BullmqWorld,
) -> None:
    engine = world.open(discover_every_s=60)
    pipeline = world.redis.pipeline(transaction=False)
    for number in range(50):
        key = f"bull:q{number}:"
        pipeline.hset(key + "meta", "version", "bullmq:6.7.0")
        pipeline.lpush(key + "wait", *(f"w{each}" for each in range(400)))
        for place in ("failed", "completed", "delayed", "prioritized"):
            pipeline.zadd(key + place, {f"{place}{each}": each for each in range(200)})
    await pipeline.execute()
    await engine.snapshot()
    await world.redis.config_resetstat()
    await world.redis.config_set("slowlog-log-slower-than", 5000)
    await world.redis.slowlog_reset()
    received = int((await world.redis.info("stats"))["total_reads_processed"])
    snapshot = await engine.snapshot()
    read = int((await world.redis.info("stats"))["total_reads_processed"]) - received
    commands = await world.redis.info("commandstats")
    slow = await world.redis.slowlog_get()
    await world.redis.config_set("slowlog-log-slower-than", 10_000)
    assert len(snapshot) == 50
    assert {stats.waiting for stats in snapshot.values()} == {800}
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in commands.items()}
    calls.pop("slowlog|reset", None)
    calls.pop("config|resetstat", None)
    calls.pop("config|set", None)
    assert set(calls) <= CONSTANT
    assert calls["evalsha"] == 2
    assert [each["command"] for each in slow] == []
    # The pipeline, and our own INFO.
    assert read <= 3
    await engine.close()


async def test_ranges_of_a_snapshot_are_short(world: BullmqWorld) -> None:
    engine = world.open(discover_every_s=60)
    await world.v6.add_many("mail", [{}] * 200)
    await world.v6.add_many("mail", [{}] * 5, priority=3)
    await world.redis.lpush("bull:mail:metrics:completed:data", *range(500))
    await world.redis.hset("bull:mail:metrics:completed", "count", 5)
    await engine.snapshot()
    seen: list[str] = []
    async with world.redis.monitor() as monitor:
        await engine.snapshot()
        await world.redis.echo("end")
        while "ECHO end" not in (command := str((await monitor.next_command())["command"])):
            seen.append(command)
    ranges = [command.split() for command in seen if command.split()[0] in {"LRANGE", "ZRANGE"}]
    spans = {(int(words[2]), int(words[3])) for words in ranges}
    assert spans == {(-1, -1), (0, 0), (0, 59)}
    assert "SCAN" not in {command.split()[0] for command in seen}
    await engine.close()


async def test_reads_work_for_a_user_who_may_not_write(world: BullmqWorld) -> None:
    """Nothing that reads cleans up, migrates or marks anything."""
    failed = await world.fail(6, 2)
    await world.v6.add("mail", {}, delay=1)
    await world.redis.lpush("bull:mail:wait", "0:123")  # what older versions' reads clean up
    await world.redis.acl_setuser(
        "reader", enabled=True, passwords=["+secret"], keys=["bull:*"],
        categories=["+@read", "+@connection"], commands=["+evalsha", "+eval"],
    )  # fmt: skip
    url = world.server.url.replace("redis://", "redis://reader:secret@")
    engine = world.open(url=url)
    found = await engine.find_queue("queue:mail")
    assert found is not None
    assert await engine.snapshot() == {found[0]: found[1]}
    page = await engine.list_jobs(found[0], None, 10, 0)
    assert len(page.items) == 3
    assert await engine.find_job(world.ref(failed[0])) is not None
    assert len((await engine.sample_failures(found[0], 10)).failures) == 2
    await engine.close()
    await world.redis.acl_deluser("reader")


async def test_new_queues_are_found_in_the_background(world: BullmqWorld) -> None:
    await world.v6.add("first", {})
    eager, lazy = world.open(discover_every_s=0.05), world.open(discover_every_s=3600)
    for engine in (eager, lazy):
        assert {queue.name for queue in await engine.snapshot()} == {"queue:first"}
    await world.v6.add("second", {})

    async def is_seen() -> bool:
        return len(await eager.snapshot()) == 2

    await eventually(is_seen)
    assert len(await lazy.snapshot()) == 1
    # Asked for by its name it is found at once, and listed from then on.
    assert await lazy.find_queue("queue:second") is not None
    assert len(await lazy.snapshot()) == 2
    await world.redis.delete("bull:first:meta")
    assert {queue.name for queue in await lazy.snapshot()} == {"queue:second"}
    await asyncio.gather(eager.close(), lazy.close())


async def test_configured_queues_are_shown_and_no_others(world: BullmqWorld) -> None:
    for name in ("mail", "hidden"):
        await world.v6.add(name, {})
    engine = world.open(queues=["mail", "later"])
    snapshot = {queue.name: stats for queue, stats in (await engine.snapshot()).items()}
    assert set(snapshot) == {"queue:mail", "queue:later"}
    assert (snapshot["queue:later"].waiting, snapshot["queue:later"].paused) == (0, False)
    assert await engine.find_queue("queue:hidden") is None
    assert await engine.find_job(world.ref("1", "hidden")) is None
    assert await engine.find_job(world.ref("1", "mail")) is not None
    await engine.close()


async def test_a_scheduler_named_meta_is_no_queue(world: BullmqWorld) -> None:
    await world.v6.call("mail", "upsertJobScheduler", "meta", {"every": 3_600_000})
    assert await world.redis.exists("bull:mail:repeat:meta")
    assert {queue.name for queue in await world.engine.snapshot()} == {"queue:mail"}


async def test_priority_comes_from_the_settings_or_the_name(world: BullmqWorld) -> None:
    for name in ("mail-high", "mail.low", "bulk", "urgent"):
        await world.v6.add(name, {})
    engine = world.open(priorities={"urgent": "high", "mail.low": "normal"})
    assert {queue.name: queue.priority for queue in await engine.snapshot()} == {
        "queue:mail-high": Priority.HIGH,
        "queue:mail.low": Priority.NORMAL,
        "queue:bulk": Priority.NORMAL,
        "queue:urgent": Priority.HIGH,
    }
    await engine.close()


@pytest.mark.parametrize("prefix", ["my*[bull]?", "{bull}", "a:b", "bull"])
async def test_queues_of_other_prefixes_are_not_ours(world: BullmqWorld, prefix: str) -> None:
    for each in ("my*[bull]?", "{bull}", "a:b", "bull", "myxb", "bullock"):
        await replace(world.v6, prefix=each).add(f"of {each}".replace(":", "_"), {})
    engine = world.open(prefix=prefix)
    snapshot = await engine.snapshot()
    assert {queue.name for queue in snapshot} == {f"queue:of {prefix}".replace("a:b", "a_b")}
    assert {stats.waiting for stats in snapshot.values()} == {1}
    await engine.close()
