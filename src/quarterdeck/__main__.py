"""`python -m quarterdeck`."""

from quarterdeck.cli.main import run

run()
