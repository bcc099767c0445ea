"""Which queues there are. BullMQ keeps no list of them: each has a `meta` key, and no more."""

import asyncio
import logging
import re
import time
from collections.abc import Collection

from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.queues.adapters.bullmq.access import Access
from quarterdeck.queues.adapters.bullmq.options import Options

log = logging.getLogger("quarterdeck.queues")

SUFFIX = ":meta"
_INNER = (":repeat", ":dn")
"""A job scheduler or a deduplicated job that is called `meta` has a key like a queue's."""


class Catalogue:
    """The queues of one source: those of the settings, or all that the keys tell of.

    Looking through a million keys takes Redis half a second in small steps, so it is done in the
    background; only the first answer waits for it.
    """

    def __init__(self, access: Access, options: Options) -> None:
        self._access = access
        self._prefix = options.prefix
        self._configured = options.queues
        self._every_s = options.discover_every_s
        self._found: set[str] = set()
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None

    def meta_key(self, native: str) -> str:
        """The key of a queue that all scripts are given."""
        return f"{self._prefix}:{native}{SUFFIX}"

    def job_key(self, native: str, job_id: str) -> str:
        """The hash of a job; also the key of a list, by its name."""
        return f"{self._prefix}:{native}:{job_id}"

    def shows(self, native: str) -> bool:
        """Whether a queue of this name would be shown."""
        return not self._configured or native in self._configured

    def is_configured(self, native: str) -> bool:
        """Whether a queue is shown even if it has had no jobs."""
        return native in self._configured

    async def list_names(self) -> Collection[str]:
        """All queues known now.

        Raises:
            SourceUnavailable: they were never looked for, and cannot be now.
        """
        if self._configured:
            return self._configured
        if self._looked_at is None or not self._every_s:
            await asyncio.shield(self._look_soon())
        elif time.monotonic() - self._looked_at > self._every_s:
            self._look_soon()
        return list(self._found)

    def add(self, native: str) -> None:
        """Note a queue that was found by its name."""
        self._found.add(native)

    def forget(self, natives: Collection[str]) -> None:
        """Drop queues that are gone."""
        self._found.difference_update(natives)

    async def close(self) -> None:
        """Give up a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _look_soon(self) -> "asyncio.Task[None]":
        """The look that is under way, or a new one."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(_note_failure)
        return self._looking

    async def _look(self) -> None:
        begin = f"{self._prefix}:"
        keys = await self._access.find_keys(f"{_escaped(begin)}*{SUFFIX}")
        names = set()
        for key in keys:
            try:
                name = key.decode().removeprefix(begin).removesuffix(SUFFIX)
            except UnicodeDecodeError:
                continue
            if name and not name.endswith(_INNER):
                names.add(name)
        self._found = names
        self._looked_at = time.monotonic()


def _escaped(text: str) -> str:
    """The text as a Redis pattern that means just that."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _note_failure(look: "asyncio.Task[None]") -> None:
    if not look.cancelled() and (error := look.exception()) is not None:
        # Whoever waits for it is told; the next answer asks again.
        level = logging.DEBUG if isinstance(error, SourceUnavailable) else logging.ERROR
        log.log(level, "queues cannot be looked for: %s", error)
