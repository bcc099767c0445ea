"""`logs --follow`: the last page, then every new line once, across lost connections."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from quarterdeck.cli.client import ApiClient
from quarterdeck.cli.events import Event, read_events
from quarterdeck.cli.failure import CommandFailed, is_passing, retry_after_of
from quarterdeck.cli.render import say
from quarterdeck.contrib.backoff import Backoff

TAIL = ("logs", "tail")
REMEMBERED = 20_000
"""Ids of shown lines: what a page and the tail both have is shown once."""

Log = Mapping[str, Any]


class LogTail:
    """Follows a search; `show` is given each line once, in the order of arrival."""

    def __init__(
        self, client: ApiClient, filters: Mapping[str, object], show: Callable[[Log], None]
    ) -> None:
        self._client = client
        self._filters = filters
        self._show = show
        self._shown: dict[str, None] = {}
        self._last_id: str | None = None
        self._backoff = Backoff()
        self._was_open = False

    def run(self, page: Callable[[], Iterable[Log]]) -> None:
        """Show the page (newest first), then what comes, until interrupted.

        The tail is opened before the page is asked for: what arrives in between is in both.

        Raises:
            CommandFailed: the first connection failed, or trying again would not help.
        """
        while True:
            asked_s = None
            try:
                self._follow(page)
            except CommandFailed as failure:
                if not self._was_open or not is_passing(failure):
                    raise
                asked_s = retry_after_of(failure)
                self._tell(failure)
            time.sleep(self._backoff.next_s(asked_s))

    def _follow(self, page: Callable[[], Iterable[Log]]) -> None:
        resume = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        with self._client.stream(TAIL, self._filters, resume) as lines:
            if self._last_id is None:
                self._show_page(list(page()))
            self._was_open = True
            self._backoff.reset()
            for event in read_events(lines):
                self._take(event)

    def _tell(self, failure: CommandFailed) -> None:
        if self._backoff.failures == 0:
            say(f"quarterdeck: {failure.message} Trying again.")

    def _show_page(self, newest_first: list[Log]) -> None:
        for log in reversed(newest_first):
            self._show_once(log)
        if newest_first:
            self._last_id = str(newest_first[0].get("id"))

    def _take(self, event: Event) -> None:
        if event.id:
            self._last_id = event.id
        if not event.data:
            return
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            say("quarterdeck: the server sent an event that is not JSON; passed over.")
        elif event.name == "log":
            self._show_once(data)
        elif event.name == "error":
            error = data.get("error", data)
            message = error.get("message") if isinstance(error, dict) else None
            say(f"quarterdeck: {message or 'the server ended the tail'}")

    def _show_once(self, log: Log) -> None:
        identity = str(log.get("id"))
        if identity in self._shown:
            return
        self._show(log)
        self._shown[identity] = None
        if len(self._shown) > REMEMBERED:
            del self._shown[next(iter(self._shown))]
