"""Log lines for the browser's tests, each test with services of its own."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from browser.console import Console
from quarterdeck.core.clock import utc_now

LOGS = "/dashboard/system/logs"
BATCH = 20_000


def line(service: str, message: str, *, ago_s: float = 0, **more: Any) -> dict[str, Any]:
    """One line, `ago_s` seconds old."""
    at: datetime = utc_now() - timedelta(seconds=ago_s)
    given = {"timestamp": at.isoformat(), "level": "info", "service": service, "message": message}
    return given | more


def send(console: Console, lines: Iterable[Mapping[str, Any]]) -> None:
    """Have lines stored; they can be found when this returns."""
    left = list(lines)
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        body = "\n".join(json.dumps(each) for each in batch).encode()
        answer = console.demo.post(
            "/logs", role="ingest", body=body, headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.data["accepted"] == len(batch), answer.raw


def many(service: str, size: int) -> Iterable[dict[str, Any]]:
    """Lines 0..size-1, half a second apart; the first is the newest."""
    return (line(service, f"line number {n}", ago_s=n / 2 + 1) for n in range(size))
