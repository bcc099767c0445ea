"""Celery on RabbitMQ that tests take apart: an empty virtual host, with results in Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any

from celery import Celery

import servers
from celery_world import CeleryWorld
from rabbit_server import RabbitServer


def wait_for_confirmations(app: Celery) -> None:
    """Let a producer wait until RabbitMQ has what was sent.

    Not workers: one that waits for a confirmation while its loop delivers tasks may hang for ever.
    """
    app.conf.broker_transport_options = {"confirm_publish": True}


class RabbitWorld(CeleryWorld):
    """See `CeleryWorld`."""

    def __init__(
        self, redis: servers.RedisServer, rabbit: RabbitServer, directory: Path, url: str
    ) -> None:
        options = {
            "url": url, "result_url": redis.url, "management_url": rabbit.management_url,
        }  # fmt: skip
        super().__init__(redis, directory, options, {"result_backend": redis.url})
        self.rabbit = rabbit

    def configure(self, **settings: Any) -> None:
        """See `CeleryWorld`."""
        super().configure(**settings)
        wait_for_confirmations(self.app)

    async def are_online(self) -> bool:
        """See `CeleryWorld`."""
        count = await asyncio.to_thread(self.rabbit.listening_workers, self.url)
        return count == self.running

    def through(self, passage: "Passage") -> str:
        """The broker's URL by this way."""
        return self.url.replace(f":{self.rabbit.port}/", f":{passage.port}/")


@asynccontextmanager
async def open_rabbit_world(
    redis: servers.RedisServer, rabbit: RabbitServer, directory: Path
) -> AsyncIterator[RabbitWorld]:
    """An empty virtual host, and an engine that listens already."""
    world = RabbitWorld(redis, rabbit, directory, rabbit.create_vhost())
    await world.redis.flushall()
    await world.engine.snapshot()
    yield world
    await world.engine.close()
    await world.redis.aclose()
    await asyncio.to_thread(world.app.close)
    rabbit.drop_vhost(world.url)


@asynccontextmanager
async def restarted(server: RabbitServer) -> AsyncIterator[None]:
    """RabbitMQ is down while the block runs; then it is back with what it held."""
    await asyncio.to_thread(server.control, "stop_app")
    try:
        yield
    finally:
        await asyncio.to_thread(server.control, "start_app")


@dataclass
class Passage:
    """A way to RabbitMQ on which things get lost."""

    port: int = 0
    loses_after: bytes = b""
    """With the first message that has this in it the losses begin."""
    loses_answers: bool = False
    """What RabbitMQ says is lost; else what it is told, that message included."""
    is_losing: bool = False
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def lets_through(self, data: bytes, is_answer: bool) -> bool:
        """Whether this arrives."""
        self.is_losing |= bool(self.loses_after) and self.loses_after in data
        return not self.is_losing or is_answer is not self.loses_answers

    def mend(self) -> None:
        """Break off all that is open; who comes again loses nothing."""
        for writer in self.connections:
            writer.transport.abort()
        self.loses_after, self.is_losing = b"", False


@asynccontextmanager
async def passage(to: int, tls: SSLContext | None = None) -> AsyncIterator[Passage]:
    """A way to this port on loopback, through TLS if there is a context for it."""
    way = Passage()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if way.lets_through(data, is_answer):
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", to)
        way.connections |= {writer, back}
        await asyncio.gather(pump(reader, back, False), pump(there, writer, True))

    tasks: set[asyncio.Task[None]] = set()

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio complains of its own tasks when they are cancelled.
        tasks.add(asyncio.create_task(forward(reader, writer)))

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, ssl=tls)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        way.mend()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
