"""Queues in the browser: each action end to end, its effect seen by the API."""

import json
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from acceptance.seeding import insert_job, seed, stamp
from acceptance.server_process import wait_until
from browser.console import QUEUES, Console
from quarterdeck.core.clock import utc_now
from quarterdeck.core.ids import uuid7

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
HOSTILE = f"{MARKUP} \u202egnp.exe \U0001f9e8&amp;\x1b[31m"


def queue_of(console: Console, name: str) -> Any:
    return console.api(f"/queues/queue%3A{name}")


def row(console: Console, name: str) -> Locator:
    return console.page.get_by_role("row").filter(has_text=name)


async def test_pausing_names_the_consequence_and_is_done(console: Console) -> None:
    seed(console.demo, "halted", waiting=3, active=1)
    await console.go(f"{QUEUES}?q=halted")
    await console.page.get_by_role("button", name="Pause queue:halted").click()
    dialog = console.page.get_by_role("dialog", name="Pause queue:halted?")
    await expect(dialog).to_contain_text("No job of it is started until somebody resumes it.")
    await expect(dialog).to_contain_text("3 wait now. What runs now (1 job) is not stopped.")
    await expect(dialog).to_contain_text("It stays paused when the engine or its workers restart.")
    assert queue_of(console, "halted")["paused"] is False
    await dialog.get_by_role("button", name="Pause the queue").click()
    await expect(console.page.get_by_text("queue:halted is paused.")).to_be_visible()
    assert queue_of(console, "halted")["paused"] is True
    await expect(row(console, "queue:halted")).to_contain_text("paused")
    await console.page.get_by_role("button", name="Resume queue:halted").click()
    await console.page.get_by_role("button", name="Resume the queue").click()
    await expect(console.page.get_by_text("queue:halted runs again.")).to_be_visible()
    assert queue_of(console, "halted")["paused"] is False
    done = console.api("/audit?limit=2&action=queue.resume")["entries"][0]
    assert done["outcome"] == "ok"
    assert done["resource"] == "queue_name=queue:halted source=quarterdeck scope=band"


async def test_cancelled_pausing_changes_nothing(console: Console) -> None:
    seed(console.demo, "spared", waiting=1)
    await console.go(f"{QUEUES}?q=spared")
    await console.page.get_by_role("button", name="Pause queue:spared").click()
    # The safe button has the focus: a stray Enter changes nothing.
    await expect(console.page.get_by_role("button", name="Cancel")).to_be_focused()
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_role("dialog")).to_have_count(0)
    assert queue_of(console, "spared")["paused"] is False


async def test_failed_job_is_retried(console: Console) -> None:
    [job] = seed(console.demo, "one-more-try", failed=1)
    await console.open_queue("queue:one-more-try", status="failed")
    await console.page.locator("tbody [data-row]").click()
    drawer = console.page.get_by_role("complementary", name="Job")
    await expect(drawer).to_contain_text("SMTP connection timeout")
    await drawer.get_by_role("button", name="Retry").click()
    await expect(console.page.get_by_text("The job is queued.")).to_be_visible()
    assert console.api(f"/jobs/{job}")["status"] == "waiting"
    await console.page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)


async def test_job_is_deleted_from_its_own_page(console: Console) -> None:
    [job] = seed(console.demo, "to-go", waiting=1)
    await console.go(f"/dashboard/system/jobs/{job}")
    await console.page.get_by_role("button", name="Delete…").click()
    dialog = console.page.get_by_role("dialog", name="Delete this job?")
    await expect(dialog).to_contain_text("removed from queue:to-go for good")
    await dialog.get_by_role("button", name="Delete the job").click()
    await expect(console.page.get_by_text("The job is deleted.")).to_be_visible()
    assert console.demo.get(f"/jobs/{job}").status == 404
    await expect(console.page.get_by_role("heading", level=1)).to_have_text("Queues")


@pytest.mark.parametrize(
    ("button", "verb", "told", "left"),
    [
        ("Retry failed…", "Retry 120 jobs", "Retrying failed jobs: 120 of 120", (120, 0)),
        ("Clear failed…", "Delete 120 jobs", "Clearing failed jobs: 120 of 120", (0, 0)),
    ],
)
async def test_bulk_work_is_followed_to_its_end(
    console: Console, button: str, verb: str, told: str, left: tuple[int, int]
) -> None:
    name = verb.split(maxsplit=1)[0].lower() + "-in-bulk"
    seed(console.demo, name, failed=120)
    await console.open_queue(f"queue:{name}")
    await console.page.get_by_role("button", name=button).click()
    await console.page.get_by_role("button", name=verb).click()
    await expect(console.page.get_by_text(f"{told} · completed")).to_be_visible()
    after = queue_of(console, name)
    assert (after["waiting_jobs"], after["failed_jobs"]) == left


async def test_filter_and_order_are_in_the_address(console: Console) -> None:
    for name, waiting in (("sorted-a", 1), ("sorted-b", 3), ("sorted-c", 2)):
        seed(console.demo, name, waiting=waiting)
    await console.go(QUEUES)
    await console.page.keyboard.press("/")
    await console.page.keyboard.type("sorted-")
    await console.page.get_by_role("button", name="Waiting").click()
    names = console.page.locator("tbody [data-row]")
    expected = ["queue:sorted-b", "queue:sorted-c", "queue:sorted-a"]
    await expect(names).to_have_text(expected)
    assert console.page.url.endswith("?q=sorted-&sort=waiting")
    await console.page.reload()
    await expect(names).to_have_text(expected)
    await console.page.go_back()
    await expect(names).to_have_text(sorted(expected))


async def test_numbers_change_under_the_eye_and_nothing_jumps(console: Console) -> None:
    seed(console.demo, "watched", waiting=1)
    await console.go(f"{QUEUES}?q=watched")
    link = console.page.get_by_role("link", name="queue:watched")
    await link.focus()
    before = await link.bounding_box()
    seed(console.demo, "watched", waiting=4)
    await expect(
        row(console, "queue:watched").get_by_role("cell", name="5", exact=True)
    ).to_be_visible()
    await expect(link).to_be_focused()
    assert await link.bounding_box() == before


async def test_ten_thousand_jobs_are_paged(console: Console) -> None:
    seed(console.demo, "crowd", waiting=10_000)
    await console.open_queue("queue:crowd", status="waiting")
    rows = console.page.locator("tbody [data-row]")
    await expect(rows).to_have_count(50)
    first = await rows.first.inner_text()
    await console.page.get_by_role("link", name="Older").click()
    await expect(console.page.get_by_text("51\u2013100 of")).to_be_visible()
    await expect(rows.first).not_to_have_text(first)
    assert "offset=50" in console.page.url


async def test_dead_source_is_named_and_the_others_stay(console: Console) -> None:
    await console.go("/")
    await expect(console.page.get_by_role("link", name="Source dead")).to_contain_text(
        "unavailable"
    )
    await console.go(QUEUES)
    said = console.page.get_by_role("status").filter(has_text="Source dead (sql) is unavailable")
    await expect(said).to_be_visible()
    await expect(row(console, "queue:email-sending:high")).to_be_visible()


async def test_hostile_text_is_only_text(console: Console) -> None:
    now = stamp(utc_now())
    job = insert_job(
        console.demo, id=uuid7(), queue_name=HOSTILE, priority=100, status="failed",
        payload=json.dumps({"<b>key</b>": "<i>value</i>", "long": "x" * 100_000}),
        attempt_count=1, run_at=now, created_at=now, updated_at=now, failed_at=now,
        last_error_message=HOSTILE, last_error_trace=MARKUP,
    )  # fmt: skip
    wait_until(lambda: any(MARKUP in each["name"] for each in console.api("/queues")["queues"]))
    await console.go(f"{QUEUES}?q=onerror")
    await console.page.locator("tbody [data-row]").click()
    await expect(console.page.get_by_role("heading", level=1)).to_contain_text(MARKUP)
    await console.go(f"/dashboard/system/jobs/{job}")
    await expect(console.page.get_by_text("<i>value</i>")).to_be_visible()
    await expect(console.page.get_by_label("Stack trace")).to_have_text(MARKUP)
    await expect(console.page.get_by_role("button", name="98000 more characters")).to_be_visible()
    await console.go("/")
    assert await console.page.title() == "Overview · Quarterdeck"
    assert await console.page.locator("img[src=x]").count() == 0


async def test_unknown_job_says_so(console: Console) -> None:
    await console.go("/dashboard/system/jobs/job_no-such-job")
    await expect(console.page.get_by_role("alert")).to_contain_text("Not found")
    console.forgive("404")


async def test_queue_in_a_second_window_is_the_same(console: Console) -> None:
    """What a colleague changes is seen without asking."""
    seed(console.demo, "shared", waiting=1)
    await console.go(f"{QUEUES}?q=shared")
    await expect(row(console, "queue:shared")).not_to_contain_text("paused")
    assert console.demo.post("/queues/queue%3Ashared/pause").status == 200
    wait_until(lambda: queue_of(console, "shared")["paused"] is True)
    await expect(row(console, "queue:shared")).to_contain_text("paused")
    assert console.demo.post("/queues/queue%3Ashared/resume").status == 200
