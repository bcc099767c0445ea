"""Looks at all signals every now and then, and when it is poked."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.alerts.advance import Look
from quarterdeck.alerts.model import Rule
from quarterdeck.alerts.rules import observe
from quarterdeck.alerts.store import AlertStore
from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import SourceUnavailable
from quarterdeck.core.signals import Signal, Signals

log = logging.getLogger("quarterdeck.alerts")

PROVIDER_TIMEOUT_S = 10.0
"""A source that takes longer has not answered; the others are not kept waiting."""

NOT_SOONER_S = 0.25
"""Pokes within this time are one."""


@dataclass(slots=True)
class Evaluation:
    """How the last evaluation went."""

    at: datetime | None = None
    """When it ended well; None: not yet."""
    took_s: float = 0.0
    failed: Sequence[str] = ()
    """Sources that did not answer."""


class Evaluator:
    """Asks the providers, which are named as the source of their signals is."""

    def __init__(
        self,
        store: AlertStore,
        rules: Sequence[Rule],
        providers: Mapping[str, Signals],
        interval_s: float,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._rules = rules
        self._providers = providers
        self._interval_s = interval_s
        self._clock = clock
        self._poked = asyncio.Event()
        self.last = Evaluation()

    def poke(self) -> None:
        """Evaluate at once: something has changed."""
        self._poked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Evaluate until `stop` is set."""
        ending = asyncio.create_task(stop.wait())
        ending.add_done_callback(lambda _: self._poked.set())
        try:
            while not stop.is_set():
                self._poked.clear()
                try:
                    await self.evaluate()
                except SourceUnavailable as error:
                    log.warning("alerts cannot be evaluated: %s", error.message)
                except Exception:  # one look that fails must not be the last
                    log.exception("alerts cannot be evaluated")
                await self._rest(stop)
        finally:
            ending.cancel()

    async def evaluate(self) -> None:
        """Look once, and store what follows.

        Raises:
            SourceUnavailable: the alerts cannot be had. Sources that cannot leave theirs alone.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        names = list(self._providers)
        answers = await asyncio.gather(*(self._ask(name) for name in names))
        found = {name: each for name, each in zip(names, answers, strict=True) if each is not None}
        signals = [signal for each in found.values() for signal in each]
        observations = observe(self._rules, signals)
        await self._store.advance(Look(observations, frozenset(found)), self._clock())
        failed = [name for name in names if name not in found]
        self.last = Evaluation(self._clock(), loop.time() - started, failed)

    async def _ask(self, name: str) -> Sequence[Signal] | None:
        """The signals of a source; None: it cannot tell."""
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                found = await self._providers[name]()
        except SourceUnavailable as error:
            log.warning("the alerts of '%s' stay as they are: %s", name, error.message)
            return None
        except TimeoutError:
            log.warning("the alerts of '%s' stay as they are: it does not answer", name)
            return None
        except Exception:  # its room is at fault: the others' alerts must go on
            log.exception("the alerts of '%s' stay as they are", name)
            return None
        stray = next((signal.source for signal in found if signal.source != name), None)
        if stray is not None:
            log.error("the provider '%s' gives signals of '%s'; they are passed over", name, stray)
            return None
        return found

    async def _rest(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._poked.wait()
        except TimeoutError:
            return
        if not stop.is_set():
            await asyncio.sleep(min(NOT_SOONER_S, self._interval_s))
