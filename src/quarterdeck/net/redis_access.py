"""A Redis database that belongs to others, with errors that say what to do.

For adapters whose engine is one such database: each knows its keys, none how to reach it. Only they
import this, and have the driver among the extras of their kind.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from quarterdeck.core.errors import SourceUnavailable

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0

_REASONS: Sequence[tuple[type[Exception], str]] = [
    (AuthenticationError, "refuses the user name or password in this source's `url`"),
    (NoPermissionError, "lets this account do too little; {keys} need all commands on them"),
    (ReadOnlyError, "is a read-only replica; give the primary's address in this source's `url`"),
    (OutOfMemoryError, "is out of memory and takes no changes"),
]


def redis_client(url: str) -> Redis:
    """A client that gives up after a few seconds, and tries each command once more.

    A pooled connection may have died while it was idle. So only what may run twice may be sent.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


class RedisAccess:
    """One Redis database. Every method raises `SourceUnavailable`.

    `keys` is what an account must be let at, as the operator knows it: "RQ's keys".
    """

    def __init__(self, source: str, url: str, keys: str) -> None:
        self._source = source
        self._keys = keys
        self._client = redis_client(url)  # a script that is run twice finds its change made

    def script(self, text: str) -> AsyncScript:
        """A script that is sent once and then called by its hash."""
        return self._client.register_script(text)

    async def run(
        self, script: AsyncScript, key: str, arguments: Sequence[str | bytes | int]
    ) -> Any:
        """What the script gives. `key` tells a cluster where to run it."""
        async with self._answering():
            return await script([key], list(arguments))

    def pipeline(self, *, atomic: bool = False) -> Pipeline:
        """Commands that `answers` sends together; `atomic`: nothing else runs between them."""
        return self._client.pipeline(transaction=atomic)

    async def answers(self, pipeline: Pipeline) -> list[Any]:
        """What the commands of a pipeline give. What met a key of another type gives an error."""
        async with self._answering():
            found = await pipeline.execute(raise_on_error=False)
            for answer in found:
                if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                    raise answer
        return found

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            raise SourceUnavailable(
                self._source,
                f"The Redis server of the source '{self._source}' {self._reason(error)}.",
            ) from error

    def _reason(self, error: Exception) -> str:
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason.format(keys=self._keys)
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        answers = "answers with an error" if isinstance(error, ResponseError) else "does not answer"
        return f"{answers}: {text.rstrip('.')}"
