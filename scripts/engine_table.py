#!/usr/bin/env python3
"""Write the README's table of engines anew, from what the engines' classes say of themselves."""

import re
from pathlib import Path

from quarterdeck.queues.adapters import ENGINES, engine_factory
from quarterdeck.queues.model import Capabilities, JobState

README = Path(__file__).parents[1] / "README.md"
BETWEEN = re.compile(r"(?<=<!-- engines -->\n).*?(?=<!-- /engines -->)", re.DOTALL)
COLUMNS = (
    "engine",
    "pause",
    "lasts",
    "retry",
    "attempts",
    "delete running",
    "lists",
    "errors",
    "last hour",
)


def row(kind: str, can: Capabilities) -> tuple[str, ...]:
    """One engine's cells, in the words of the API's `capabilities`."""
    no_pause = can.pause.value == "none"
    listed = [state.value for state in JobState if can.list_jobs[state].value != "no"]
    return (
        f"`{kind}`",
        "none" if no_pause else f"{can.pause.value}, {can.pause_scope.value}",
        "-" if no_pause else "yes" if can.pause_durable else "no",
        can.retry.value,
        {"native": "reset", "patched": "reset", "no": "kept"}[can.attempts_reset.value],
        can.delete[JobState.ACTIVE].value,
        "all" if len(listed) == len(JobState) else ", ".join(listed),
        can.error.value,
        can.completed_last_hour.value,
    )


def table() -> str:
    """The whole table, as Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [row(kind, engine_factory(kind).documented) for kind in ENGINES]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


if __name__ == "__main__":
    README.write_text(BETWEEN.sub(lambda _: table(), README.read_text()))
