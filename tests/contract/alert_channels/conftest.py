"""Every contract test runs once over every channel in `HARNESSES`."""

from collections.abc import AsyncIterator

import pytest

from contract.alert_channels.harness import HARNESSES, ChannelHarness
from quarterdeck.alerts.ports import Channel


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[ChannelHarness]:
    """A channel's settings, and the receiver that they name."""
    async with HARNESSES[request.param]() as opened:
        yield opened


@pytest.fixture
async def channel(harness: ChannelHarness) -> AsyncIterator[Channel]:
    """The channel of the harness."""
    made = harness.channel()
    yield made
    await made.close()
