"""The Redis server or cluster of one source."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from quarterdeck.core.errors import ConfigError, SourceUnavailable
from quarterdeck.queues.adapters.bullmq.explaining import sentence
from quarterdeck.queues.adapters.bullmq.options import Options

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0
GROUP = 25
"""Queues that one script counts: about half a millisecond in which Redis does nothing else."""

Argument = str | int | float


class Script:
    """A Lua script, known to Redis by the SHA-1 of its text once it was sent there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Access:
    """Runs scripts and reads hashes. Every method raises `SourceUnavailable`."""

    def __init__(self, source: str, options: Options) -> None:
        if options.url.startswith(("postgresql:", "postgres:")):
            raise ConfigError(
                f"{source}: `url` leads to PostgreSQL. For BullMQ on PostgreSQL set `kind` to "
                "'bullmq-postgres'."
            )
        self._source = source
        self._prefix = options.prefix
        self._is_cluster = options.cluster
        # A connection that died while it was idle is worth one more try; a slow server is not. So
        # a script may run twice: those that change jobs know the state that they were seen in.
        given: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_timeout": ANSWER_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
        }
        client: Any = RedisCluster if options.cluster else Redis
        try:
            self._client = client.from_url(options.url, **given)
        except ValueError as error:
            raise ConfigError(f"{source}: `url` is no URL of a Redis server: {error}") from error

    async def run(self, script: Script, key: str, *arguments: Argument) -> Any:
        """What a script answers for one queue."""
        async with self._explained(script.text):
            return await self._run(script, [key], *arguments)

    async def run_over(
        self, script: Script, keys: Sequence[str], *arguments: Argument
    ) -> list[Any]:
        """What a script answers for groups of these queues, in their order and one round trip.

        In a cluster a group is one queue, and a round trip goes to each node that holds some.
        """
        if not keys:
            return []
        size = 1 if self._is_cluster else GROUP
        groups = [keys[start : start + size] for start in range(0, len(keys), size)]
        async with self._explained(script.text):
            pipeline = self._client.pipeline(transaction=False)
            for group in groups:
                # Its method for this is closed in a cluster, for scripts with keys of many slots.
                pipeline.execute_command("EVALSHA", script.sha, len(group), *group, *arguments)
            found = await pipeline.execute(raise_on_error=False)
            for place, answer in enumerate(found):
                if isinstance(answer, NoScriptError):  # a new server, or one that forgot
                    found[place] = await self._run(script, groups[place], *arguments)
                elif isinstance(answer, Exception):
                    raise answer
            return list(found)

    async def read_hashes(self, keys: Sequence[str], fields: Sequence[str]) -> list[Any]:
        """Fields of many hashes, in one round trip; None for a key that holds something else."""
        if not keys:
            return []
        async with self._explained():
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.hmget(key, list(fields))
            answers = await pipeline.execute(raise_on_error=False)
            return [_unless_foreign(answer) for answer in answers]

    async def read_range(
        self, key: str, start: int, stop: int, *, is_list: bool
    ) -> list[tuple[bytes, float | None]]:
        """Ids from the newest on, with their scores where it is a sorted set."""
        async with self._explained():
            if is_list:
                return [(each, None) for each in await self._client.lrange(key, start, stop)]
            return list(await self._client.zrange(key, start, stop, desc=True, withscores=True))

    async def read_scores(
        self, key: str, between: tuple[int, int], start: int, count: int
    ) -> list[tuple[bytes, float]]:
        """Members of a sorted set between two scores, both included, the lowest first."""
        async with self._explained():
            return list(
                await self._client.zrangebyscore(
                    key, *between, start=start, num=count, withscores=True
                )
            )

    async def find_keys(self, pattern: str) -> list[bytes]:
        """Hashes whose keys match. O(keys of the database), in steps of a thousand."""
        async with self._explained():
            found = self._client.scan_iter(match=pattern, count=1000, _type="hash")
            return [key async for key in found]

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
        if self._is_cluster:  # it forgets those to a first node that turned out to be none
            await self._client.nodes_manager.aclose("startup_nodes")

    async def _run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        try:
            return await self._client.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.eval(script.text, len(keys), *keys, *arguments)

    @asynccontextmanager
    async def _explained(self, script: str = "") -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            message = sentence(self._source, self._prefix, error, script)
            raise SourceUnavailable(self._source, message) from error


def _unless_foreign(answer: Any) -> Any:
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer
