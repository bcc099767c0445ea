"""What workers say they run, for those that send no events, and for those that died."""

from collections.abc import Iterator, Mapping
from typing import Any

from quarterdeck.queues.adapters.celery import scripts
from quarterdeck.queues.adapters.celery.access import Access
from quarterdeck.queues.adapters.celery.broker import Broker, Delivery
from quarterdeck.queues.adapters.celery.feed import Feed
from quarterdeck.queues.adapters.celery.index import Index, Record
from quarterdeck.queues.adapters.celery.notes import Note
from quarterdeck.queues.adapters.celery.presence import Presence

KINDS = {"active": "active", "reserved": "active", "scheduled": "scheduled"}
"""What can be asked of workers, and what those tasks are to us."""
GRACE_S = 60.0
"""A task that was fetched longer ago than this, and that no worker knows, is taken to be lost."""
LOOKED_AT = 10_000


class RunningTasks:
    """Compares the index with what all workers answer to `active` and `reserved`."""

    def __init__(
        self,
        access: Access,
        broker: Broker,
        presence: Presence,
        feed: Feed,
        index: Index,
    ) -> None:
        self._access = access
        self._broker = broker
        self._presence = presence
        self._feed = feed
        self._index = index
        self._empty_since: dict[str, float] = {}
        """Queues that every check since then found empty."""

    async def check(self, now: float) -> None:
        """Note what was not known; forget what is gone."""
        # Before workers are asked: what they fetch from now on is none of the dead ones'.
        deliveries = await self._broker.unacknowledged(LOOKED_AT)
        replies = {method: await self._broker.control.ask(method) for method in KINDS}
        told = [each for method, reply in replies.items() for each in _told(method, reply, now)]
        running = {note["id"] for note in told}
        await self._feed.record(told)
        silent = self._presence.workers() - set(replies["active"])
        if not silent:
            orphans = [each for each in deliveries if each.message.id not in running]
            await self._feed.record([_orphan(each, now - GRACE_S) for each in orphans])
        held = {each.message.id for each in deliveries}
        await self._forget_lost(running | held, silent, now - GRACE_S)
        await self._access.run(scripts.DOUBT, [], f"{now - GRACE_S:.6f}")
        if not self._broker.is_readable and not silent:
            await self._forget_purged(now)

    async def _forget_purged(self, now: float) -> None:
        """What waited in a queue before it was empty has been fetched, purged, or has expired.

        Had it been fetched, its worker or its result would have told by the next checks.
        """
        queues = await self._index.queues()
        for queue, counted in zip(queues, await self._broker.counted(queues), strict=True):
            if counted.messages != 0:
                self._empty_since.pop(queue, None)
                continue
            empty_since = self._empty_since.setdefault(queue, now)
            if not counted.listed or now - empty_since < GRACE_S:
                continue
            ids = await self._index.ids(queue, ["waiting"], 0, LOOKED_AT)
            for record in await self._index.records(ids):
                if _has_waited_since(record, empty_since):
                    seen = record.phase, record.fields.get("active_at", "")
                    await self._access.run(scripts.LOSE, [], record.id, *seen)

    async def _forget_lost(self, known: set[str], silent: set[str], before: float) -> None:
        """A worker that dies takes its tasks along, unless they are acknowledged late."""
        for queue in await self._index.queues():
            ids = await self._index.ids(queue, ["active", "scheduled"], 0, LOOKED_AT)
            for record in await self._index.records([each for each in ids if each not in known]):
                if _is_older(record, before) and record.fields.get("worker") not in silent:
                    await self._access.run(
                        scripts.LOSE, [], record.id, record.phase, record.fields["active_at"]
                    )


def _is_older(record: Record, before: float) -> bool:
    active_at = record.time("active_at")
    return active_at is not None and active_at.timestamp() < before


def _has_waited_since(record: Record, before: float) -> bool:
    """Whether it waits since then, and not for a time of its own (with delayed delivery)."""
    waiting_at, eta = record.time("waiting_at"), record.time("eta")
    is_due = eta is None or eta.timestamp() < before
    return is_due and waiting_at is not None and waiting_at.timestamp() < before


def _orphan(delivery: Delivery, at: float) -> Note:
    """A task that a dead worker never acknowledged: the broker will deliver it again, in an hour
    as is default. So old a note changes nothing that has been told of it since."""
    fields = {"name": delivery.message.name} if delivery.message.name else {}
    return {
        "id": delivery.message.id,
        "kind": "scheduled",
        "at": f"{at:.6f}",
        "fields": fields,
        "queue": delivery.routing_key,
    }


def _told(method: str, reply: Mapping[str, Any], now: float) -> Iterator[Note]:
    for worker, tasks in reply.items():
        for entry in tasks if isinstance(tasks, list) else ():
            # `scheduled` wraps its tasks, with their times beside them.
            task = entry.get("request", entry) if isinstance(entry, dict) else None
            if isinstance(task, dict) and isinstance(task.get("id"), str):
                yield _note(KINDS[method], task, worker, now)


def _note(kind: str, task: Mapping[str, Any], worker: str, now: float) -> Note:
    delivery, started_at = task.get("delivery_info"), task.get("time_start")
    has_started = isinstance(started_at, int | float)
    # When a task was fetched nobody tells. Clocks differ, and it may just have ended: an old note
    # changes nothing that is newer.
    at = started_at if has_started else now - GRACE_S
    note: Note = {
        "id": task["id"],
        "kind": kind,
        "at": f"{at:.6f}",
        "fields": {"worker": worker, "name": str(task.get("name") or "")},
    }
    if has_started:
        note["fields"]["started_at"] = repr(started_at)
    if isinstance(delivery, dict) and isinstance(delivery.get("routing_key"), str):
        note["queue"] = delivery["routing_key"]
    return note
