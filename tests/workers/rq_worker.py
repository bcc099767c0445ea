"""A real worker of RQ for contract tests: URL, directory, queue names."""

import sys
from pathlib import Path
from types import FrameType

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.job import Job
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.worker.base import BaseWorker

from workers import rq_tasks
from workers.script import Script

PATIENCE_S = 0.1


class Patience(BaseWorker):
    """Looks at a signal between two jobs only, and often.

    RQ's own worker leaves at once while it is idle, also with a job that it popped a moment ago,
    which is then in no queue any more.
    """

    def dequeue_job_and_maintain_ttl(
        self, _timeout: int | None, _max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job; None: it is time to leave."""
        while not self._stop_requested:
            # Redis takes fractions of a second.
            found = super().dequeue_job_and_maintain_ttl(PATIENCE_S, PATIENCE_S)  # type: ignore[arg-type]
            if found:
                return found
        return None

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Leave before the next job."""
        self._stop_requested = True


class PatientWorker(Patience, SimpleWorker):
    """Runs jobs in its own process, which is quick."""


class ForkingWorker(Patience, Worker):
    """Runs each job in a process of its own, as most people's workers do."""


def main(url: str, directory: str, *queue_names: str) -> None:
    """Work until SIGTERM. Each queue has its bands, the high one first.

    `#json` after the URL chooses RQ's JSON serializer, `#fork` its usual worker and pickles.
    """
    rq_tasks.script = Script(Path(directory))
    bands = [f"{name}{band}" for band in (":high", "", ":low") for name in queue_names]
    address, _, kind = url.partition("#")
    serializer = JSONSerializer if kind == "json" else DefaultSerializer
    worker_class = ForkingWorker if kind == "fork" else PatientWorker
    connection = Redis.from_url(address)
    worker_class(bands, connection=connection, serializer=serializer).work(logging_level="WARNING")


main(*sys.argv[1:])
