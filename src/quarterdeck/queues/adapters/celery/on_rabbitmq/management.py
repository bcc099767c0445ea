"""RabbitMQ's management API: which queues there are, how much waits in them, what leads to them."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.net.http import HttpClient
from quarterdeck.queues.adapters.celery.on_rabbitmq.place import Place

TIMEOUT_S = 5.0
LIMIT = 8 * 2**20
"""Bytes of one answer: some 80,000 queues."""
_COUNTS = (
    # Without this the counts come from statistics that are gathered every five seconds.
    "disable_stats=true&enable_queue_totals=true&columns=name,messages_ready,exclusive,auto_delete"
)
_BINDINGS = "columns=source,destination,destination_type,routing_key"


T = TypeVar("T")


class Queue(Struct):
    """One queue, of anybody."""

    name: str
    messages_ready: int | None = None
    """None: its node does not answer."""
    exclusive: bool | None = None
    """None: quorum queues never are."""
    auto_delete: bool = False


class Binding(Struct):
    """What leads to a queue or to another exchange; `source` is empty for the default one."""

    source: str
    destination: str
    destination_type: str
    routing_key: str


class Login(Struct):
    """As whom we came."""

    name: str


class Management:
    """The management API of one virtual host."""

    def __init__(self, source: str, place: Place) -> None:
        self._source = source
        self._place = place
        self._http = HttpClient(place.context)

    async def enter(self) -> None:
        """Return when the user is let in.

        Raises:
            SourceUnavailable: it is not, or there is no answer.
        """
        await self._get("whoami", Login)

    async def queues(self) -> Sequence[Queue]:
        """All queues with their counts, in one answer.

        Raises:
            SourceUnavailable: there is none.
        """
        return await self._get(f"queues/{self._place.vhost_in_path}?{_COUNTS}", list[Queue])

    async def bindings(self) -> Sequence[Binding]:
        """All bindings of the virtual host."""
        return await self._get(f"bindings/{self._place.vhost_in_path}?{_BINDINGS}", list[Binding])

    async def listeners(self, exchange: str) -> int:
        """How many queues an exchange leads to; 0: there is no such exchange."""
        path = f"exchanges/{self._place.vhost_in_path}/{exchange}/bindings/source?{_BINDINGS}"
        return len(await self._get(path, list[Binding], if_missing=b"[]"))

    async def close(self) -> None:
        """Give the connection back."""
        await self._http.close()

    async def _get(self, path: str, form: type[T], if_missing: bytes | None = None) -> T:
        url = f"{self._place.management_url}/api/{path}"
        try:
            status, body = await self._http.get(
                url,
                {"Authorization": self._place.authorization},
                timeout_s=TIMEOUT_S,
                limit=LIMIT,
            )
        except SourceUnavailable as error:
            raise self._unavailable(f"does not answer. {error.message}") from None
        if status == 404 and if_missing is not None:
            status, body = 200, if_missing
        if status != 200:
            raise self._unavailable(_refusal(status, self._place.vhost))
        try:
            found: T = msgspec.json.decode(body, type=form)
        except msgspec.DecodeError:  # a ValidationError is one
            raise self._unavailable("answers with something that is not RabbitMQ's.") from None
        return found

    def _unavailable(self, what: str) -> SourceUnavailable:
        return SourceUnavailable(
            self._source,
            f"The management API of the source '{self._source}' (`management_url`) {what}",
        )


def _refusal(status: int, vhost: str) -> str:
    if status == 401:
        return (
            "refuses the user name or password, or its user has no tag: run `rabbitmqctl "
            "set_user_tags USER management`."
        )
    if status == 404:
        return f"knows no virtual host '{vhost}' that this user may look at."
    return f"answers {status}, where 200 was expected."
