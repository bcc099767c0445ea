"""`python -m quarterdeck.demo.mailer PLAN`: a worker process that sends the mail."""

from quarterdeck.demo.child import Platform, run_child
from quarterdeck.demo.scenario import MAIL
from quarterdeck.demo.workers import run_worker

CONCURRENCY = 5


async def send_mail(platform: Platform) -> None:
    """Work on `email-sending`, the `:high` band first."""
    await run_worker(platform, "demo-mailer", (MAIL,), CONCURRENCY)


if __name__ == "__main__":
    run_child(send_mail, "mailer")
