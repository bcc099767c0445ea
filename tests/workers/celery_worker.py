"""A real Celery worker for tests: URL, directory, queue names.

`celery.json` in the directory may hold settings of the application, for tests that need others.
"""

import json
import os
import sys
from pathlib import Path

# Run as a program, a script finds its neighbours only; these are named as tests name them.
sys.path.insert(0, str(Path(__file__).parents[1]))

from workers.celery_app import add_task, build_app

url, directory, *queues = sys.argv[1:]
settings = Path(directory, "celery.json")
app = build_app(url, **(json.loads(settings.read_text()) if settings.exists() else {}))
add_task(app, Path(directory))
app.worker_main(
    [
        "worker", "--pool=threads", "--concurrency=4", "--loglevel=WARNING",
        "--without-mingle", "--without-gossip",
        f"--queues={','.join(queues)}", f"--hostname=w{os.getpid()}@test",
    ]
)  # fmt: skip
