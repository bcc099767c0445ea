"""The AMQP connection of one source, made when it is needed, and again after it broke."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiormq import Connection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.on_rabbitmq.place import Place

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0
HEARTBEAT_S = 10
BROKEN = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What the driver raises when the connection breaks, or RabbitMQ refuses something."""
GRANTS = "'^(celeryev$|quarterdeck\\.)' '.*' '.*'"
"""What a user of ours needs, as `rabbitmqctl set_permissions` has it."""

# What fails is told by us, once and with the source's name; the driver would at each try.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class Link:
    """Opens channels, one for each purpose: an error closes the channel that it happened on."""

    def __init__(self, source: str, place: Place) -> None:
        self._source = source
        self._place = place
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> Connection:
        """The open connection.

        Raises:
            SourceUnavailable: it cannot be had.
        """
        async with self._connecting, self.explained():
            if self._connection is None or not self._connection.is_opened:
                await self._disconnect()
                url = URL(self._place.amqp_url).update_query(heartbeat=HEARTBEAT_S)
                context = self._place.context if url.scheme == "amqps" else None
                connection = Connection(url, context=context)
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await connection.connect({"product": "quarterdeck"})
                self._connection = connection
            return self._connection

    @asynccontextmanager
    async def channel(self, *, confirms: bool = False) -> AsyncIterator[AbstractChannel]:
        """A channel of its own; what the driver raises inside becomes `SourceUnavailable`."""
        connection = await self.connect()
        async with self.explained():
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                channel = await connection.channel(publisher_confirms=confirms)
            try:
                yield channel
            finally:
                if not channel.is_closed:
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        await channel.close()

    @asynccontextmanager
    async def explained(self) -> AsyncIterator[None]:
        """What the driver raises inside becomes `SourceUnavailable`."""
        try:
            yield
        except BROKEN as error:
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> SourceUnavailable:
        """What to tell the operator of an error of the driver."""
        return SourceUnavailable(self._source, self._sentence(error))

    async def close(self) -> None:
        """Give the connection back."""
        async with self._connecting:
            await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await connection.close()
            except BROKEN:
                pass

    def _sentence(self, error: Exception) -> str:
        server = f"The RabbitMQ of the source '{self._source}'"
        if isinstance(error, AuthenticationError | ProbableAuthenticationError):
            return f"{server} refuses the user name or password in its `url`."
        if isinstance(error, InvalidFrameError) and "OpenOk" in str(error):
            # It closed the connection instead of opening the virtual host.
            return f"{server} does not let this user into the virtual host '{self._place.vhost}'."
        if isinstance(error, ChannelAccessRefused):
            return (
                f"{server} does not let this user do that: {_reason(error)}. Run `rabbitmqctl "
                f"set_permissions -p '{self._place.vhost}' USER {GRANTS}`."
            )
        return f"{server} does not answer: {_reason(error)}."


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
