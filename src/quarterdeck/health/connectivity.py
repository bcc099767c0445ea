"""Whether this monitor itself still has a network.

Only where the settings name addresses that answer as long as it has one, and only when at least
half of all checks fail at the same time: then these are asked, and if not one can be connected
to, the monitor is offline. Without such addresses nothing is claimed: a platform that is down as
a whole looks the same from here.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Hashable, Sequence

from quarterdeck.core.errors import ConfigError
from quarterdeck.health.model import Outcome

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""Such as `net.guard.Guard.connect`."""

PATIENCE_S = 3.0
ASK_AGAIN_S = 5.0
"""Between two questions, while there is reason to ask."""

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s:\[\]/@]+)):(?P<port>[0-9]{1,5})"
)


class Connectivity:
    """Asks the configured addresses."""

    def __init__(self, addresses: Sequence[str], connect: Connect) -> None:
        """`addresses`: `health.connectivity`, each `host:port`.

        Raises:
            ConfigError: one of them is none.
        """
        self._targets = [_target(text, index) for index, text in enumerate(addresses)]
        self._connect = connect

    @property
    def is_configured(self) -> bool:
        """Whether it can tell anything at all."""
        return bool(self._targets)

    async def is_reachable(self) -> bool:
        """Whether any of the addresses accepts a connection within 3 s."""
        asked = [asyncio.ensure_future(self._accepts(*target)) for target in self._targets]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer:
                    return True
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return False

    def offline_reason(self, failing: int, checks: int) -> str:
        """The sentence for `Snapshot.monitor_reason`."""
        shown = [_shown(*target) for target in self._targets]
        named = f"neither {shown[0]} nor {shown[1]}" if len(shown) == 2 else (
            shown[0] if len(shown) == 1 else f"none of {', '.join(shown)}"
        )  # fmt: skip
        verb = "cannot" if len(shown) == 1 else "can"
        return (
            f"This monitor seems to have lost its network: {named} {verb} be reached, and "
            f"{failing} of {checks} checks fail. What is shown is what was known before."
        )

    async def _accepts(self, host: str, port: int) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                (await self._connect(host, port)).close()
        except OSError:  # a timeout is one, too
            return False
        return True


class Network:
    """How many checks fail, and whether this monitor is offline for that reason."""

    def __init__(self, connectivity: Connectivity) -> None:
        self._connectivity = connectivity
        self._failing: dict[Hashable, bool] = {}
        """By check, as last seen."""
        self.offline_reason: str | None = None
        """None: online, as far as anybody can tell."""

    def note(self, check: Hashable, outcome: Outcome) -> None:
        """Take what a check has come to, also while offline."""
        self._failing[check] = outcome is not Outcome.OK

    @property
    def is_offline(self) -> bool:
        """Whether what checks say now says nothing of their services."""
        return self.offline_reason is not None

    @property
    def is_suspect(self) -> bool:
        """Whether there is reason to ask."""
        failing = sum(self._failing.values())
        return self._connectivity.is_configured and failing * 2 >= len(self._failing) > 0

    async def look(self) -> bool:
        """Find out; whether that changed anything."""
        was_offline = self.is_offline
        reason = None
        if self.is_suspect and not await self._connectivity.is_reachable() and self.is_suspect:
            failing = sum(self._failing.values())
            reason = self._connectivity.offline_reason(failing, len(self._failing))
        self.offline_reason = reason
        return self.is_offline != was_offline


def _target(text: str, index: int) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ConfigError(
            f"health.connectivity[{index}]: expected host:port, such as 1.1.1.1:443 or [::1]:443."
        )
    return found["v6"] or found["host"], int(found["port"])


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
