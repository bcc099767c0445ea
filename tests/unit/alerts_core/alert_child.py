"""A server's alerts room in a process of its own: `alert_child.py URL RECEIVER SUBJECTS START`.

It evaluates as fast as it can; at each look every subject that may change has its value turned
over. Notices are posted to RECEIVER. A line on stdout says that it has begun.
"""

import asyncio
import itertools
import sys
from collections.abc import Sequence

import aiohttp

from quarterdeck.alerts.dispatcher import Outlet
from quarterdeck.alerts.model import Notification, Operator, Rule, Severity
from quarterdeck.alerts.ports import DeliveryError
from quarterdeck.alerts.routing import Route
from quarterdeck.alerts.service import AlertOptions, AlertService
from quarterdeck.core.clock import utc_now
from quarterdeck.core.signals import Signal
from quarterdeck.state import open_database

RULE = Rule("depth", "queue", "waiting", Operator.ABOVE, 10, Severity.ERROR, "{value} wait")


class PostingChannel:
    """Posts the id of a notice."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def send(self, notification: Notification) -> None:
        said = {"id": notification.id, "transition": notification.transition.value}
        try:
            async with self._session.post(self._url, json=said) as answer:
                if answer.status != 200:
                    raise DeliveryError(f"it answered {answer.status}", retry_after_s=0.05)
        except aiohttp.ClientError as error:
            raise DeliveryError(type(error).__name__) from None

    async def close(self) -> None:
        await self._session.close()


async def main(url: str, receiver: str, subjects: str, start: str) -> None:
    looks = itertools.count(int(start))

    async def signals() -> Sequence[Signal]:
        look = next(looks)
        return [
            Signal("queue", f"{start}-{number}", utc_now(), {"waiting": 20 * ((look + number) % 2)})
            for number in range(int(subjects))
        ]

    database = open_database(url, "state")
    channel = PostingChannel(receiver, aiohttp.ClientSession())
    options = AlertOptions(
        [RULE], {"queue": signals}, [Route("hook")], {"hook": Outlet(channel, timeout_s=0.5)}
    )
    service = AlertService(database, options)
    stop = asyncio.Event()

    async def evaluate() -> None:
        while True:
            await service.evaluate()

    async with asyncio.TaskGroup() as group:
        group.create_task(service._dispatcher.run(stop))
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        if int(subjects):
            group.create_task(evaluate())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
