"""Response times of a program, sent to Quarterdeck: what the middlewares share.

    from quarterdeck.contrib.metrics import Meter

    meter = Meter("SMTP relay", "https://ops.example:8080", token)
    meter.record(0.025, 200)

Recording counts into a histogram and never waits for the network. A thread sends one slice each ten
seconds, as OTLP in JSON; while the server is away, slices wait for as long as its window is. What
is then dropped is counted, and standard error says so once.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Sequence

from quarterdeck.contrib.backoff import Backoff
from quarterdeck.contrib.sender import PATH, Endpoint, Reply
from quarterdeck.contrib.slices import Ledger, Slice, encoded

METRICS_PATH = "/v1/metrics"
LONGEST_S = 1e6
SHORTEST_S = 1e-9
FINAL = {400, 413, 415, 422}
"""Answers after which sending the same again would change nothing."""


class MetricsEndpoint(Endpoint):
    """Where metrics are sent to. It shows its token nowhere."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token, compress=True)
        self._target = self._target.removesuffix(PATH) + METRICS_PATH
        self._headers |= {
            "Content-Type": "application/json",
            "User-Agent": "quarterdeck-metrics",
        }


class Meter:
    """Records response times of `service` and sends them to `url`, with a token of role `ingest`.

    `window_s` is the server's; `interval_s` the length of a slice. Nothing it does raises.
    """

    _thread: threading.Thread | None
    _is_started: bool
    _is_closed: bool

    def __init__(
        self,
        service: str,
        url: str,
        token: str,
        *,
        interval_s: float = 10.0,
        window_s: float = 300.0,
        close_timeout_s: float = 3.0,
    ) -> None:
        if not service:
            raise ValueError("service: name the service whose response times these are")
        if not 0.0 < interval_s <= window_s:
            raise ValueError("interval_s: more than 0, and no longer than window_s")
        self.service = service
        self._endpoint = MetricsEndpoint(url, token)
        self._interval_s = interval_s
        self._window_s = window_s
        self._close_timeout_s = close_timeout_s
        self._renew()
        _meters.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.service!r} to {self._endpoint!r}>"

    @property
    def dropped(self) -> int:
        """Requests that were measured and that the server never counted."""
        return self._ledger.dropped

    def record(self, seconds: float, status: int) -> None:
        """Count a request that took so long and was answered so. Never waits, never raises."""
        try:
            if not self._is_started:
                self._start()
            if not SHORTEST_S <= seconds <= LONGEST_S:
                seconds = LONGEST_S if seconds > LONGEST_S else 0.0
            self._ledger.record(seconds, status)
        except Exception as error:  # noqa: BLE001 - measuring must not break what is measured
            self._say_once("failed", f"a request was not counted: {type(error).__name__}.")

    def flush(self, timeout: float | None = None) -> bool:
        """Send what is there now, once; False if some is left, or `timeout` seconds are over."""
        if not self._is_started:
            return True
        patience_s = self._close_timeout_s if timeout is None else timeout
        deadline = time.monotonic() + patience_s
        with self._changed:
            self._asked += 1
            ticket = self._asked
            self._changed.notify_all()
            while self._answered < ticket:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                self._changed.wait(min(left_s, 1.0))
        return not self._ledger.waiting()

    def close(self) -> None:
        """Send what is there, for `close_timeout_s` at most, and end the thread.

        What is recorded afterwards is not sent.
        """
        if not self._is_closed:
            self.flush()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        left = self._ledger.left
        if left:
            self._say_once("left", f"requests that were measured and not delivered: {left}.")

    def _start(self) -> None:
        with self._changed:
            if self._is_started:
                return
            thread = threading.Thread(target=self._run, name="quarterdeck-metrics", daemon=True)
            thread.start()
            self._thread, self._is_started = thread, True
        util = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if util and process and process.parent_process() is not None:
            # Children of multiprocessing end without running what `atexit` has.
            util.Finalize(None, _close, args=(weakref.ref(self),), exitpriority=10)

    def _run(self) -> None:
        due = again = time.monotonic() + self._interval_s
        try:
            while (asked := self._wait(min(due, again))) is not None:
                is_asked, now = asked > self._answered, time.monotonic()
                if is_asked or now >= due:
                    self._ledger.close_slice()
                    due = now + self._interval_s
                if is_asked or now >= again:
                    retry_s = self._send()
                    again = due if retry_s is None else time.monotonic() + retry_s
                self._answer(asked)
        finally:
            self._endpoint.close()

    def _wait(self, until: float) -> int | None:
        """Until then, or until somebody asks; the number of askers, or None: it is closed."""
        with self._changed:
            while not self._is_closed and self._asked == self._answered:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return None if self._is_closed else self._asked

    def _answer(self, asked: int) -> None:
        with self._changed:
            self._answered = asked
            self._changed.notify_all()

    def _send(self) -> float | None:
        """Send all slices that wait; the seconds after which to try again, None: it is done."""
        slices = self._ledger.waiting()
        if self._ledger.dropped:
            self._say_once("dropped", "requests were not counted: the server was away too long.")
        if not slices:
            return None
        try:
            reply = self._endpoint.post(encoded(self.service, slices))
        except Exception as error:  # noqa: BLE001 - whatever it is, the counts are still here
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._say_once("failing", f"{self._endpoint!r}: {why}. Trying again.")
            return self._backoff.next_s()
        if reply.status != 200 and reply.status not in FINAL:
            answered = f"{self._endpoint!r} answered {reply.status}{reply.words}"
            self._say_once("failing", f"{answered}. Trying again.")
            return self._backoff.next_s(reply.retry_after_s)
        self._settle(slices, reply)
        return None

    def _settle(self, slices: Sequence[Slice], reply: Reply) -> None:
        partial = reply.body.get("partialSuccess")
        refused = 0
        if reply.status != 200:
            refused = sum(each.count for each in slices)
            self._say_once("refused", f"the server refused metrics{reply.words}.")
        elif isinstance(partial, dict) and partial.get("rejectedDataPoints"):
            # It counts points, not requests: how many these were is not known.
            self._say_once("partial", f"the server refused some: {partial.get('errorMessage')}.")
        self._ledger.settle(slices, refused)
        self._backoff.reset()
        self._said.discard("failing")

    def _say_once(self, what: str, sentence: str) -> None:
        """Tell people on standard error, once for each `what`."""
        if what in self._said:
            return
        self._said.add(what)
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # a closed one: nobody to tell
                print(f"quarterdeck metrics: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

    def _renew(self) -> None:
        """Begin with nothing and no thread: at first, and in the child of a fork."""
        self._endpoint.close()
        self._ledger = Ledger(self._window_s)
        self._backoff = Backoff()
        self._changed = threading.Condition(threading.RLock())
        self._thread = None
        self._asked = self._answered = 0
        self._is_started = self._is_closed = False
        self._said: set[str] = set()


_meters: "weakref.WeakSet[Meter]" = weakref.WeakSet()


def _close(meter: "weakref.ref[Meter]") -> None:
    alive = meter()
    if alive is not None:
        alive.close()


def _close_all() -> None:
    for meter in list(_meters):
        meter.close()


def _renew_all() -> None:
    """The parent sends what it has counted; locks that its threads held are nobody's here."""
    for meter in list(_meters):
        meter._renew()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
