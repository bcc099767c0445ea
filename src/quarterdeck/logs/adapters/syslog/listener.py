"""The listener: sockets, and a word in our own log about what could not be kept."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable

from quarterdeck.core.clock import Clock, utc_now
from quarterdeck.core.errors import ConfigError
from quarterdeck.logs.adapters.syslog.datagrams import Datagrams
from quarterdeck.logs.adapters.syslog.delivery import Deliver, Delivery
from quarterdeck.logs.adapters.syslog.options import (
    SyslogOptions,
    SyslogStats,
    split_address,
    tls_context,
)
from quarterdeck.logs.adapters.syslog.streams import Streams

log = logging.getLogger("quarterdeck.logs")

REPORT_EVERY_S = 10.0

Bind = Callable[[str, int], Awaitable[int]]

TOLD = {
    "dropped": "datagrams were dropped: they came faster than they could be stored",
    "rejected": "lines were older than the retention and not taken",
    "cut": "frames were too long, or did not come whole, and were cut",
    "refused": "connections were refused: there are as many as are allowed",
    "lost": "lines could not be stored before the listener stopped",
}


class SyslogListener:
    """Listens on the addresses of its options and delivers what arrives.

    Over TCP and TLS nothing is read while lines wait to be delivered, so senders wait too. UDP
    cannot wait: what has no room in the queue is dropped, counted in `stats` and reported.
    """

    def __init__(self, options: SyslogOptions, deliver: Deliver, clock: Clock = utc_now) -> None:
        self._options = options
        self._delivery = Delivery(options, deliver, clock)
        self._streams = Streams(self._delivery, options)
        self._datagrams = Datagrams(self._delivery, options.queue_bytes)
        self._transport: asyncio.DatagramTransport | None = None
        self._reporter: asyncio.Task[None] | None = None
        self._reported = SyslogStats()
        self.ports: dict[str, int] = {}
        """What is listened on: `udp`, `tcp`, `tls` -> port."""

    async def start(self) -> None:
        """Open the sockets.

        Raises:
            ConfigError: an address or the certificate cannot be used.
        """
        try:
            if self._options.udp:
                await self._bind("udp", self._options.udp, self._open_udp)
            if self._options.tcp:
                await self._bind("tcp", self._options.tcp, self._streams.listen)
            if self._options.tls:
                context = tls_context(self._options)
                await self._bind(
                    "tls",
                    self._options.tls,
                    lambda host, port: self._streams.listen(host, port, context),
                )
        except ConfigError:
            await self.close()
            raise
        self._reporter = asyncio.create_task(self._report_for_ever(), name="syslog-report")

    async def _bind(self, name: str, address: str, bind: Bind) -> None:
        host, port = split_address(name, address)
        try:
            self.ports[name] = await bind(host, port)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"logs.syslog_{name}: cannot listen on {address}: {reason}"
            ) from error
        log.info("listening for syslog by %s on %s", name.upper(), address)

    async def _open_udp(self, host: str, port: int) -> int:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self._datagrams, local_addr=(host, port)
        )
        bound: int = self._transport.get_extra_info("sockname")[1]
        return bound

    def stats(self) -> SyslogStats:
        """What arrived so far, and what became of it."""
        self._datagrams.count_system_drops()
        return dataclasses.replace(self._delivery.stats)

    async def close(self) -> None:
        """Close the sockets and deliver what was received; give up after the grace period."""
        self._datagrams.count_system_drops()
        if self._transport is not None:
            self._transport.close()
        await asyncio.gather(
            self._streams.close(self._options.grace_s),
            self._datagrams.drain(self._options.grace_s),
        )
        if self._reporter is not None:
            self._reporter.cancel()
            await asyncio.wait([self._reporter])
        self._report()

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            self._report()

    def _report(self) -> None:
        now, last = self.stats(), self._reported
        self._reported = now
        for name, text in TOLD.items():
            count = getattr(now, name) - getattr(last, name)
            if count:
                log.warning("syslog: %s %s", count, text)
