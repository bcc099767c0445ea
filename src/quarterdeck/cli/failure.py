"""How a command ends when it cannot do what it was told, and what scripts may rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; `--help` lists them."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_SIGNED_IN = 4


EXIT_CODES = (
    "Exit codes: 0 done · 1 the server refused, or there is no such thing · "
    "2 wrong usage or settings · 3 the server or its database cannot be reached · "
    "4 not signed in."
)


class CommandFailed(Exception):
    """A command that ends with `exit_code`; `message` is a sentence for the user."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class Refused(CommandFailed):
    """The server understood and said no; `status` is HTTP's, and so is when to try again."""

    def __init__(self, message: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, ExitCode.REFUSED)
        self.status = status
        self.retry_after_s = retry_after_s


def is_passing(failure: CommandFailed) -> bool:
    """Whether the same request may succeed later, without anybody changing it."""
    if isinstance(failure, Refused):
        return failure.status in {408, 429} or failure.status >= 500
    return failure.exit_code is ExitCode.UNREACHABLE


def retry_after_of(failure: CommandFailed) -> float | None:
    """The seconds that the server asked for, if it did."""
    return failure.retry_after_s if isinstance(failure, Refused) else None
