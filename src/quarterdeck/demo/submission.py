"""How the mailer hands its messages to the platform's mail server: by SMTP, and with patience.

While the server is away nothing can be sent. A mailer that failed its jobs then would burn all
their attempts in a minute; this one waits, and its queue fills up behind it.
"""

import asyncio
import contextlib
from email.message import EmailMessage
from typing import Any

import aiosmtplib

from quarterdeck.demo.logs import log

TIMEOUT_S = 5.0
PATIENCE_S = 300.0
AGAIN_S = 2.0


async def submit(port: int, payload: dict[str, Any], stop: asyncio.Event) -> None:
    """Send a sample message; waits for a server that is away, as long as the platform runs.

    Raises:
        aiosmtplib.SMTPException, OSError: the server is away for too long, or refuses.
    """
    message = EmailMessage()
    message["From"], message["To"] = payload["from"], "sample@example.org"
    message["Subject"] = payload.get("subject") or payload.get("template", "sample")
    message.set_content("A sample message, thrown away by a sample server.")
    clock = asyncio.get_running_loop().time
    end, is_told = clock() + PATIENCE_S, False
    while True:
        try:
            await aiosmtplib.send(
                message, hostname="127.0.0.1", port=port, timeout=TIMEOUT_S, start_tls=False,
                local_hostname="mailer.quarterdeck.example",
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError) as error:
            if clock() > end or stop.is_set():
                raise
            if not is_told:
                log.warning("the mail server is away, the message waits: %s", error)
            is_told = True
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), AGAIN_S)
