"""The Redis servers of one source, and what their errors mean to the operator."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.celery.names import Keys
from quarterdeck.queues.adapters.celery.options import Options

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0
GRANTS = "+@read +@write +@connection +@transaction +@scripting +@pubsub allkeys allchannels"
"""What a user of ours needs, as `ACL SETUSER` has it."""


class Access:
    """Where our index lies, and the results."""

    def __init__(self, source: str, options: Options) -> None:
        self._source = source
        self.options = options
        result_url = options.result_url or options.url
        store_url = result_url if is_rabbitmq(options.url) else options.url
        self.has_one_server = result_url == store_url
        self.store: Any = _open(store_url)
        """Our index: beside the messages where the broker is a Redis, else beside the results."""
        self.results: Any = self.store if self.has_one_server else _open(result_url)
        self._urls = {self.store: store_url, self.results: result_url}
        self._opened: list[Any] = list(self._urls)
        self.keys = Keys(
            broker=options.key_prefix,
            result=options.result_key_prefix,
            own=f"quarterdeck:{source}:",
            steps=options.priority_steps,
        )
        self._key = "result_url" if is_rabbitmq(options.url) else "url"
        self._scripts: dict[str, Any] = {}

    @property
    def database(self) -> int:
        """The number of the broker's database, which names its channels."""
        return int(self.store.connection_pool.connection_kwargs.get("db") or 0)

    def open_listener(self, client: Any) -> Any:
        """Another client of the same server, for subscriptions."""
        # One more try would connect again silently, and what was published meanwhile be missed.
        listener = _open(self._urls[client], tries=0)
        self._opened.append(listener)
        return listener

    async def run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        """What a script answers."""
        if script not in self._scripts:
            self._scripts[script] = self.store.register_script(script)
        async with self.explained():
            return await self._scripts[script]([self.keys.own, *keys], arguments)

    @asynccontextmanager
    async def explained(self) -> AsyncIterator[None]:
        """What the driver raises inside becomes `SourceUnavailable`."""
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            raise SourceUnavailable(self._source, self._sentence(error)) from error

    def reading(self) -> SourceUnavailable:
        """What is there is not known before all kept results have been read."""
        return SourceUnavailable(
            self._source,
            f"The results that Celery has kept in the source '{self._source}' are being read. Try "
            "again in a moment.",
        )

    def silent(self) -> SourceUnavailable:
        """The server answers, but what it publishes does not come through."""
        return SourceUnavailable(
            self._source,
            f"The Redis server of the source '{self._source}' does not deliver what is published "
            "there. Its user needs `+@pubsub` on all channels (`allchannels`).",
        )

    async def close(self) -> None:
        """Give the connections back."""
        for client in self._opened:
            await client.aclose()

    def _sentence(self, error: Exception) -> str:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        server = f"The Redis server of the source '{self._source}'"
        if isinstance(error, AuthenticationError) or "WRONGPASS" in reason or "NOAUTH" in reason:
            return f"{server} refuses the user name or password in its `{self._key}`: {reason}."
        if isinstance(error, NoPermissionError) or reason.startswith("NOPERM"):
            return f"{server} does not let this user do that: {reason}. Grant it `{GRANTS}`."
        return f"{server} does not answer: {reason}."


def is_rabbitmq(url: str) -> bool:
    """Whether a broker's URL names a RabbitMQ."""
    return url.startswith(("amqp://", "amqps://"))


def _open(url: str, tries: int = 1) -> Any:
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        # One more try, because a pooled connection may have died while it was idle.
        retry=Retry(NoBackoff(), tries),
    )
