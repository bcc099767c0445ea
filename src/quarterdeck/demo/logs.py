"""Where the sample platform's processes send their logs: to the server beside them.

They do what any program of a user's would: attach our handler, and say which request and customer
a line belongs to.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from quarterdeck.contrib.logging import QuarterdeckHandler

LOGGER = "quarterdeck.demo.platform"

_about: ContextVar[Mapping[str, object]] = ContextVar("about", default={})  # noqa: B039 - never changed

log = logging.getLogger(LOGGER)


@contextmanager
def about(**known: object) -> Iterator[None]:
    """Say of every line that is logged inside what it is about."""
    token = _about.set({**_about.get(), **known})
    try:
        yield
    finally:
        _about.reset(token)


def write_address(file: Path, url: str, token: str) -> None:
    """Leave the server's address and a token for the processes, readable by nobody else."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(json.dumps({"url": url, "token": token}))


@contextmanager
def sending(file: Path | None, service: str) -> Iterator[None]:
    """Send what this process logs, if it was told where to."""
    if file is None:
        yield
        return
    told = json.loads(file.read_text())
    handler = QuarterdeckHandler(
        told["url"], told["token"], service=service, context=_about.get, batch_age_s=0.5
    )
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
