"""What jobs of RQ call in the contract tests. A worker sets `script` before it starts."""

import asyncio
from typing import Any

from rq import get_current_job
from rq.results import Result

from workers.script import Script

script: Script | None = None


def act(*_: Any, **payload: Any) -> None:
    """Do what the payload says; the attempt is one more than there are results."""
    job = get_current_job()
    assert job is not None
    assert script is not None
    asyncio.run(script.act(job.id, Result.count(job) + 1, payload))
