"""A `logging.Handler` that sends a program's log lines to Quarterdeck.

    import logging
    from quarterdeck.contrib.logging import QuarterdeckHandler

    handler = QuarterdeckHandler("https://ops.example:8080", token, service="api")
    logging.getLogger().addHandler(handler)

Logging never waits for the network and never raises. Lines wait in a bounded queue, are sent in
batches by a thread, and again until the server has them: at least once. What does not fit into the
queue is counted, and the count is sent as a line of its own.
"""

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from quarterdeck.contrib.backoff import Backoff
from quarterdeck.contrib.lines import Context, dumped, encoded, timestamp
from quarterdeck.contrib.outbox import Drop, Limits, Outbox
from quarterdeck.contrib.sender import Endpoint, Sender

OWN_NAME = "quarterdeck.contrib.logging"


class QuarterdeckHandler(logging.Handler):
    """Sends log records to `url` with a token of the role `ingest`.

    `extra=` becomes metadata; `request_id`, `user_id` and `tenant_id` have fields of their own, and
    may also come from `context`, which is called for each record in the thread that logs. A
    formatter, if there is one, writes the stack traces only.
    """

    def __init__(  # noqa: PLR0913 - one argument for each setting, as dictConfig gives them
        self,
        url: str,
        token: str,
        *,
        service: str,
        level: int | str = logging.NOTSET,
        context: Context | None = None,
        compress: bool = True,
        drop: Drop = "newest",
        batch_lines: int = 500,
        batch_bytes: int = 512 * 1024,
        batch_age_s: float = 1.0,
        queue_lines: int = 10_000,
        queue_bytes: int = 16 * 1024 * 1024,
        retry_s: float = 0.5,
        longest_retry_s: float = 30.0,
        close_timeout_s: float = 5.0,
    ) -> None:
        if drop not in {"newest", "oldest"}:
            raise ValueError("drop: say newest or oldest")
        if min(batch_lines, batch_bytes, queue_lines, queue_bytes) < 1:
            raise ValueError("batch_*, queue_*: at least 1")
        if not service:
            raise ValueError("service: name the program whose lines these are")
        super().__init__(level)
        self.service = service
        self._context = context
        self._endpoint = Endpoint(url, token, compress=compress)
        self._limits = Limits(batch_lines, batch_bytes, batch_age_s, queue_lines, queue_bytes, drop)
        self._retries = (retry_s, longest_retry_s)
        self._close_timeout_s = close_timeout_s
        self._gave_up_at = float("-inf")
        self._renew()
        _handlers.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoint!r} ({logging.getLevelName(self.level)})>"

    @property
    def dropped(self) -> int:
        """Lines that were dropped, and whose number the server has not been told yet."""
        return self._outbox.dropped

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """None: the queue has its own, and `flush` must not hold up those who log meanwhile."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit, without the lock that logging's own would take."""
        passed = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # from Python 3.12 on a filter may replace it
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record. Never waits, never raises."""
        if threading.get_ident() == self._sender.thread_id:
            return  # what sending logs would be sent, and logged, and sent
        if getattr(self._here, "is_busy", False):
            self._outbox.count_dropped()  # logged by `context`, or by a value's `__str__`
            return
        self._here.is_busy = True
        try:
            self._queue(record)
        except Exception as error:  # noqa: BLE001 - a log call must not break the program
            self._outbox.count_dropped()
            self._sender.say_once("failed", f"a record could not be read: {type(error).__name__}.")
        finally:
            self._here.is_busy = False

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override] # says more
        """Send what is there and wait for it; False when some is left after `timeout` seconds."""
        outbox = self._outbox
        if not outbox.left and not outbox.dropped:
            return True
        if outbox.is_closed:
            return False
        if not self._sender.start():
            self._sender.run_here()
            return not outbox.left
        patience_s = self._close_timeout_s if timeout is None else timeout
        is_done = outbox.flush(time.monotonic() + patience_s)
        if not is_done:
            self._gave_up_at = time.monotonic()
        return is_done

    def close(self) -> None:
        """Deliver what is there, for `close_timeout_s` at most, and take no more."""
        # logging.shutdown flushes first: what failed a moment ago is not waited for again.
        if time.monotonic() - self._gave_up_at > 1.0:
            self.flush()
        left = self._outbox.left
        self._outbox.close()
        if left:
            self._sender.say_once("left", f"lines that were not delivered: {left}.")
        super().close()

    def _queue(self, record: logging.LogRecord) -> None:
        line = encoded(record, self.service, self._asked_context(), self.formatter)
        if not self._outbox.put(line):
            self._sender.say_once("closed", "what is logged after close() is not sent.")
        elif not self._is_started:
            self._start()

    def _asked_context(self) -> Mapping[str, Any]:
        if self._context is None:
            return {}
        try:
            return dict(self._context())
        except Exception as error:  # noqa: BLE001 - the user's own code; the line matters more
            return {"context_error": f"{type(error).__name__}: {error}"}

    def _start(self) -> None:
        self._is_started = self._sender.start()
        util = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if util and process and process.parent_process() is not None:
            # Children of multiprocessing end without running what `atexit` has.
            util.Finalize(None, _flush, args=(weakref.ref(self),), exitpriority=10)

    def _report(self, dropped: int) -> bytes:
        return dumped(
            {
                "timestamp": timestamp(time.time()),
                "level": "warning",
                "service": self.service,
                "message": f"dropped {dropped} lines: the queue was full, or they were refused",
                "metadata": {"logger": OWN_NAME, "dropped": dropped},
            }
        )

    def _renew(self) -> None:
        """Begin with an empty queue and no thread: at first, and in the child of a fork."""
        self._endpoint.close()
        self._outbox = Outbox(self._limits)
        backoff = Backoff(*self._retries)
        self._sender = Sender(self._outbox, self._endpoint, backoff, self._report)
        self._here = threading.local()
        self._is_started = False


_handlers: "weakref.WeakSet[QuarterdeckHandler]" = weakref.WeakSet()


def _flush(handler: "weakref.ref[QuarterdeckHandler]") -> None:
    alive = handler()
    if alive is not None:
        alive.flush()


def _renew_all() -> None:
    """The parent delivers what it has queued; locks that its threads held are nobody's here."""
    for handler in list(_handlers):
        handler._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
