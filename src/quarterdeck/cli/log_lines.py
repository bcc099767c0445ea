"""Log lines for eyes: one line each, metadata dimmed behind it, stack traces indented below."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from quarterdeck.cli.render import known, safe

LEVELS = {"error": "bold red", "warning": "yellow", "info": "green", "debug": "blue"}
DIM = "dim"
INDENT = "    "
BESIDE = ("request_id", "user_id", "tenant_id")


class LogPrinter:
    """Prints log lines on standard output, for eyes or as NDJSON for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = _Console(highlight=False)

    def show(self, log: Mapping[str, Any]) -> None:
        """Print one line at once: who reads from a pipe waits for it.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if self._as_json:
            print(json.dumps(log), flush=True)  # noqa: T201 - the command line's own output
        else:
            self._console.print(rendered(log), soft_wrap=True)


def rendered(log: Mapping[str, Any]) -> Text:
    """A line of the API's form; text with line feeds stands below it."""
    level = known(log.get("level"))
    pairs: list[tuple[str, str]] = []
    blocks: list[tuple[str, str]] = []
    first, *rest = str(log.get("message") or "").split("\n")
    for name, value in _flat(log):
        (blocks if "\n" in value else pairs).append((name, value))
    text = Text.assemble(
        (known(log.get("timestamp")), DIM), "  ",
        (f"{level.upper():<7}", LEVELS.get(level, "")), "  ",
        (known(log.get("service")), "cyan"), "  ", safe(first),
    )  # fmt: skip
    if pairs:
        text.append("  " + "  ".join(f"{safe(name)}={_word(value)}" for name, value in pairs), DIM)
    for line in rest:
        text.append(f"\n{INDENT}{_expanded(line)}")
    for name, value in blocks:
        text.append(f"\n{INDENT}{safe(name)}:", DIM)
        for line in value.rstrip("\n").split("\n"):
            text.append(f"\n{INDENT}{INDENT}{_expanded(line)}", DIM)
    return text


def leave_quietly() -> None:
    """After a broken pipe: what is still buffered goes nowhere, and nobody is told."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _flat(log: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in BESIDE:
        if log.get(name):
            yield name, str(log[name])
    metadata = log.get("metadata")
    for name, value in metadata.items() if isinstance(metadata, dict) else ():
        if isinstance(value, dict) and value:
            for inner, held in value.items():
                yield f"{name}.{inner}", _shown(held)
        else:
            yield name, _shown(value)
    if marks := log.get("marks"):
        yield "marks", ",".join(map(str, marks)) if isinstance(marks, list) else str(marks)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _word(value: str) -> str:
    """In quotes where its end would be unclear."""
    plain = value and " " not in value and '"' not in value
    return safe(value if plain else json.dumps(value, ensure_ascii=False))


def _expanded(line: str) -> str:
    return safe(line.rstrip("\r").expandtabs(4))


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Let the command decide."""
        raise BrokenPipeError
