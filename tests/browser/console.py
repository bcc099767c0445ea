"""The console in a real browser, used as people use it: by roles and names."""

import re
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
)

from acceptance.demo_process import DemoProcess
from acceptance.server_process import PREFIX

WIDE = ViewportSize(width=1280, height=800)
NARROW = ViewportSize(width=360, height=740)
QUEUES = "/dashboard/system/queues"


@dataclass
class Console:
    """One browser of one person. Whatever the browser complains of is kept."""

    demo: DemoProcess
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.demo.port}"

    def listen(self) -> None:
        """Keep errors, violations of the policy, and requests to anybody else."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)

    async def sign_in(self, role: str = "ops", token: str | None = None) -> None:
        """A session without the form."""
        bearer = token or self.demo.token(role)
        answer = await self.context.request.post(
            f"{self.origin}{PREFIX}/session", headers={"Authorization": f"Bearer {bearer}"}
        )
        assert answer.ok, await answer.text()

    async def go(self, address: str) -> None:
        """Open an address and wait until what it shows has come."""
        await self.page.goto(self.origin + address)
        await self.settled()

    async def settled(self) -> None:
        """Wait until there is a heading, and nothing is being loaded."""
        await expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(self.page.locator(".bones")).to_have_count(0)

    async def open_queue(self, queue: str, **query: str) -> None:
        """A queue's page, of the server's own source."""
        more = "".join(f"&{name}={value}" for name, value in query.items())
        await self.go(f"{QUEUES}/{queue.replace(':', '%3A')}?source=quarterdeck{more}")

    def api(self, path: str) -> Any:
        """What the API says, as a script would ask."""
        return self.demo.get(path).data

    def forgive(self, pattern: str) -> None:
        """Drop the complaints that a test provoked; there must be some."""
        left = [each for each in self.complaints if not re.search(pattern, each)]
        assert len(left) < len(self.complaints), self.complaints
        self.complaints[:] = left

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.complaints.append(f"request to another host: {request.url}")
