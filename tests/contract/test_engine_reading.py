"""Reading: what real workers did is what the engine says."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from contract.harness import EngineHarness, NameRefused, Outcome
from contract.questions import (
    can_pause,
    find,
    get_job,
    keeps_completed,
    stats_of,
    until_state,
)
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.core.pagination import TotalKind
from quarterdeck.queues.model import (
    ErrorSupport,
    JobRef,
    JobState,
    PayloadSupport,
    Priority,
    QueueRef,
    QueueStats,
)
from quarterdeck.queues.rules import Redactor, TextFilter

HOSTILE_NAMES = [
    "a/b",
    "50%",
    "100%41",
    'it\'s "quoted"',
    "back\\slash",
    "queue:queue",
    "📬 réservé",
    "x" * 200,
    "a:highest",
    "a*?[b]",
    "'; DROP TABLE jobs; --",
]

ODD_TEXTS = [
    'a "quoted" word',
    "back\\slash\nnew line\ttab",
    "Émile à la carte",
    "STRASSE and Straße",
    "📬 delivered 100%_of",
    "order 4711 at 3.50",
]


NEEDLES = [
    "QUOTED", '"', '\\"', "\\", "back\\\\slash", "\\nnew", "émile", "À", "é", "strasse", "straße",
    "ß", "📬", "%", "_", "100%_of", "4711", "3.5", "LINE", "text", "zzz", "\u212a",
]  # fmt: skip

UNKNOWN_NAMES = [
    "mail", "queue:", "queue:mail:", "QUEUE:mail", "queue:Mail", "queue:mail:HIGH", "",
    "queue:mail:normal", "queue:mai_", "queue:mai%", " queue:mail", "queue:mail ",
    "queue:mail\0", "queue:\ud800", "queue:" + "x" * 10_000, "queue:mail:high:low",
]  # fmt: skip

UNKNOWN_IDS = [
    "nope", "", "9" * 30, "-1", "0", "1e3", "\0", "\ud800", "x" * 10_000, "é", "' OR 1=1 --",
    "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a805",
]  # fmt: skip


def search(needle: str) -> TextFilter:
    return TextFilter(needle, Redactor([]))


async def test_all_four_states_come_from_real_work(harness: EngineHarness) -> None:
    refs = {
        JobState.COMPLETED: await harness.enqueue("mail"),
        JobState.FAILED: await harness.enqueue("mail", outcome=Outcome.FAIL),
        JobState.ACTIVE: await harness.enqueue("mail", outcome=Outcome.HOLD),
    }
    async with harness.workers("mail"):
        for state, ref in refs.items():
            await until_state(harness, state, [ref])
        refs[JobState.WAITING] = await harness.enqueue("later")
        stats = await stats_of(harness, "queue:mail")
        assert (stats.active, stats.failed, stats.waiting) == (1, 1, 0)
        assert (await stats_of(harness, "queue:later")).waiting == 1
        if not keeps_completed(harness):
            del refs[JobState.COMPLETED]
        for state, ref in refs.items():
            name = "queue:later" if state is JobState.WAITING else "queue:mail"
            queue = await find(harness, name)
            page = await harness.engine.list_jobs(queue, state, 10, 0)
            assert ([job.ref for job in page.items], page.total) == ([ref], 1), state
            assert [job.queue for job in page.items] == [name]


async def test_pages_hold_every_job_once_and_newest_first(harness: EngineHarness) -> None:
    refs = await harness.enqueue_many("mail", 40)
    queue = await find(harness, "queue:mail")
    for state in (None, JobState.WAITING):
        pages = [
            await harness.engine.list_jobs(queue, state, 7, start) for start in range(0, 42, 7)
        ]
        jobs = [job for page in pages for job in page.items]
        assert [len(page.items) for page in pages] == [7, 7, 7, 7, 7, 5]
        assert {(page.total, page.total_kind) for page in pages} == {(40, TotalKind.EXACT)}
        assert {job.ref for job in jobs} == set(refs)
        assert len(jobs) == 40
        created = [job.created_at for job in jobs if job.created_at]
        assert len(created) == 40
        assert created == sorted(created, reverse=True)


async def test_page_behind_the_end_is_empty_and_knows_the_total(harness: EngineHarness) -> None:
    await harness.enqueue_many("mail", 3)
    queue = await find(harness, "queue:mail")
    for text in (None, search("number")):
        for offset in (3, 4, 10**9, 2**63, 10**30):
            page = await harness.engine.list_jobs(queue, None, 50, offset, text)
            assert (list(page.items), page.total) == ([], 3)


async def test_bands_are_separate_queues(harness: EngineHarness) -> None:
    refs = {
        "queue:mail:high": await harness.enqueue("mail", priority=50),
        "queue:mail": await harness.enqueue("mail", priority=51),
        "queue:mail:low": await harness.enqueue("mail", priority=151),
    }
    snapshot = await harness.engine.snapshot()
    assert {queue.name: queue.priority for queue in snapshot} == {
        "queue:mail:high": Priority.HIGH,
        "queue:mail": Priority.NORMAL,
        "queue:mail:low": Priority.LOW,
    }
    for name, ref in refs.items():
        queue = await find(harness, name)
        assert snapshot[queue].waiting == 1
        page = await harness.engine.list_jobs(queue, None, 10, 0)
        assert [job.ref for job in page.items] == [ref]


async def test_a_band_without_jobs_can_be_found_but_is_not_listed(harness: EngineHarness) -> None:
    await harness.enqueue("mail")
    assert {queue.name for queue in await harness.engine.snapshot()} == {"queue:mail"}
    stats = await stats_of(harness, "queue:mail:low")
    assert (stats.waiting, stats.active, stats.failed, stats.paused) == (0, 0, 0, False)
    assert stats.oldest_waiting_at is None


async def test_oldest_waiting_is_the_job_that_waits_longest(harness: EngineHarness) -> None:
    first = await harness.enqueue("mail")
    await harness.enqueue_many("mail", 3)
    oldest = (await stats_of(harness, "queue:mail")).oldest_waiting_at
    job = await get_job(harness, first)
    assert oldest is not None
    assert oldest == (job.run_at or job.created_at)


async def test_hostile_names_are_names_like_any_other(harness: EngineHarness) -> None:
    refs = {}
    for name in HOSTILE_NAMES:
        with suppress(NameRefused):
            refs[name] = await harness.enqueue(name)
    assert len(refs) >= len(HOSTILE_NAMES) - 2
    snapshot = await harness.engine.snapshot()
    assert {queue.name for queue in snapshot} == {f"queue:{name}" for name in refs}
    for name, ref in refs.items():
        queue = await find(harness, f"queue:{name}")
        assert snapshot[queue].waiting == 1, name
        page = await harness.engine.list_jobs(queue, None, 10, 0)
        assert [job.ref for job in page.items] == [ref], name


async def test_only_exact_names_are_found(harness: EngineHarness) -> None:
    await harness.enqueue("mail")
    for name in UNKNOWN_NAMES:
        assert await harness.engine.find_queue(name) is None, name


async def test_unknown_job_is_none(harness: EngineHarness) -> None:
    known = await harness.enqueue("mail")
    for job_id in UNKNOWN_IDS:
        ref = JobRef(known.source, job_id, known.queue)
        assert await harness.engine.find_job(ref) is None, job_id


async def test_malformed_payload_spoils_no_page(harness: EngineHarness) -> None:
    refs = await harness.enqueue_many("mail", 3)
    raw = await harness.spoil_payload(refs[1])
    queue = await find(harness, "queue:mail")
    page = await harness.engine.list_jobs(queue, None, 10, 0)
    jobs = {job.ref: job for job in page.items}
    assert set(jobs) == set(refs)
    spoiled = jobs[refs[1]]
    assert spoiled.payload == raw
    assert spoiled.payload_error
    assert (await get_job(harness, refs[1])).payload_error == spoiled.payload_error
    good = jobs[refs[2]]
    assert (good.payload["number"], good.payload_error) == (2, None)
    found = await harness.engine.list_jobs(queue, None, 10, 0, search("number"))
    assert {job.ref for job in found.items} == {refs[0], refs[2]}


async def test_text_search_finds_what_is_shown_and_nothing_else(harness: EngineHarness) -> None:
    for odd in ODD_TEXTS:
        await harness.enqueue("mail", {"text": odd})
    queue = await find(harness, "queue:mail")
    shown = (await harness.engine.list_jobs(queue, None, 50, 0)).items
    if harness.engine.capabilities(queue).payload is PayloadSupport.JSON:
        assert {job.payload["text"] for job in shown} == set(ODD_TEXTS)
    for needle in NEEDLES:
        text = search(needle)
        expected = {job.ref for job in shown if text.accepts(job.payload, None)}
        page = await harness.engine.list_jobs(queue, None, 50, 0, text)
        assert {job.ref for job in page.items} == expected, needle
        assert (page.total, page.total_kind) == (len(expected), TotalKind.EXACT), needle


async def test_text_search_pages_through_its_matches(harness: EngineHarness) -> None:
    await harness.enqueue_many("mail", 25)
    queue = await find(harness, "queue:mail")
    text = search('"number": 1')
    pages = [await harness.engine.list_jobs(queue, None, 4, start, text) for start in (0, 4, 8)]
    numbers = [job.payload["number"] for page in pages for job in page.items]
    assert sorted(numbers) == [1, *range(10, 20)]
    assert {page.total for page in pages} == {11}


async def test_text_search_looks_at_errors(harness: EngineHarness) -> None:
    failed = await harness.enqueue("mail", outcome=Outcome.FAIL)
    await harness.enqueue("mail")
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [failed])
    queue = await find(harness, "queue:mail")
    page = await harness.engine.list_jobs(queue, None, 10, 0, search("MX1.example.com: too"))
    keeps_errors = harness.engine.capabilities(queue).error is not ErrorSupport.NONE
    assert [job.ref for job in page.items] == ([failed] if keeps_errors else [])


async def test_failures_are_sampled_newest_first(harness: EngineHarness) -> None:
    refs = [await harness.enqueue("mail", outcome=Outcome.FAIL) for _ in range(5)]
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, refs)
    queue = await find(harness, "queue:mail")
    some = await harness.engine.sample_failures(queue, 3)
    assert [failure.ref for failure in some.failures] == refs[:1:-1]
    assert not some.is_complete
    every = await harness.engine.sample_failures(queue, 5)
    assert (len(every.failures), every.is_complete) == (5, True)
    keeps_errors = harness.engine.capabilities(queue).error is not ErrorSupport.NONE
    assert {failure.message for failure in every.failures} == {
        "421 4.7.0 mx1.example.com: too many connections" if keeps_errors else ""
    }
    assert None not in {failure.failed_at for failure in every.failures}


def without_minutes(stats: QueueStats) -> QueueStats:
    """What does not change when the clock's minute does."""
    return replace(stats, completed_last_minute=None, failed_last_minute=None)


async def test_source_gone_is_unavailable_and_recovers(harness: EngineHarness) -> None:
    failed = await harness.enqueue("mail", outcome=Outcome.FAIL)
    async with harness.workers("mail"):
        await until_state(harness, JobState.FAILED, [failed])
    queue = QueueRef(failed.source, "queue:mail")
    engine = harness.engine
    before = without_minutes(await stats_of(harness, "queue:mail"))
    pauses = [engine.pause, engine.resume] if await can_pause(harness, "queue:mail") else []
    async with harness.source_gone():
        calls: list[Callable[[], Awaitable[object]]] = [
            engine.snapshot,
            lambda: engine.find_queue("queue:mail"),
            lambda: engine.list_jobs(queue, None, 10, 0),
            lambda: engine.find_job(failed),
            lambda: engine.sample_failures(queue, 10),
            lambda: engine.retry(failed),
            lambda: engine.delete(failed),
            *(partial(change, queue) for change in pauses),
        ]
        for call in calls:
            with pytest.raises(SourceUnavailable) as caught:
                await call()
            assert caught.value.source == failed.source
    assert without_minutes(await stats_of(harness, "queue:mail")) == before
    await engine.retry(failed)
    assert (await get_job(harness, failed)).state is JobState.WAITING


async def test_source_gone_before_its_first_use_recovers(harness: EngineHarness) -> None:
    await harness.enqueue("mail")
    async with harness.source_gone():
        with pytest.raises(SourceUnavailable):
            await harness.engine.snapshot()
    assert (await stats_of(harness, "queue:mail")).waiting == 1
