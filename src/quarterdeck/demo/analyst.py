"""`python -m quarterdeck.demo.analyst PLAN`: a worker for reports and warm-ups."""

from quarterdeck.demo.child import Platform, run_child
from quarterdeck.demo.scenario import REPORTS, WARMUP
from quarterdeck.demo.workers import run_worker

CONCURRENCY = 3


async def analyse(platform: Platform) -> None:
    """Work on `analytics:daily-aggregate` and `warmup:process`."""
    await run_worker(platform, "demo-analyst", (REPORTS, WARMUP), CONCURRENCY)


if __name__ == "__main__":
    run_child(analyse, "analyst")
