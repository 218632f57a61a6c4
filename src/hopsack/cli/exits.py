"""The exit codes, and which of them an exception is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from hopsack.errors import Disconnected, LocalError, RemoteError, UsageError
from hopsack.settings import ConfigError


class Exit(IntEnum):
    """See ``docs/reference/cli.md``."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    DENIED = 5
    DEADLINE = 6
    CONTRACT = 7


class Unreachable(LocalError):
    """No connection to the node."""

    def __init__(self, message: str, advice: str | None = None) -> None:
        self.message = message
        self.advice = advice
        super().__init__(message)


class DeadlinePassed(LocalError):
    """What was waited for did not come in time."""


class Ended(LocalError):
    """A program of ours ended with an exit code that becomes ours.

    :param lines: the last it said.
    """

    def __init__(self, message: str, exit_code: int, advice: str | None = None, *, lines: Sequence[str] = ()) -> None:
        self.message = "\n".join([message, *lines])
        self.exit_code = exit_code
        self.advice = advice
        super().__init__(message)


_CODES = {
    "hopsack.login_required": Exit.DENIED,
    "hopsack.denied": Exit.DENIED,
    "hopsack.deadline": Exit.DEADLINE,
    "hopsack.invalid": Exit.CONTRACT,
    "hopsack.undeclared": Exit.CONTRACT,
    "hopsack.invalid_uri": Exit.CONTRACT,
    "hopsack.broken_result": Exit.CONTRACT,
}


def exit_of(error: BaseException) -> int:
    """The exit code of an exception that reached the top."""
    match error:
        case Ended():
            return error.exit_code
        case ConfigError():
            return Exit.CONFIGURATION
        case _ if hasattr(error, "problems"):  # ContractsInvalid, whose module is not loaded for this
            return Exit.CONFIGURATION
        case UsageError():
            return Exit.USAGE
        case Unreachable() | Disconnected():
            return Exit.UNREACHABLE
        case DeadlinePassed() | TimeoutError():
            return Exit.DEADLINE
        case RemoteError():
            return _CODES.get(error.code, Exit.FAILURE)
        case _:
            return Exit.FAILURE


def describe(error: Exception) -> dict[str, Any]:
    """The facts of an error: ``message``, and what is known of ``code``, ``where``, ``path``, ``advice``, ``data``."""
    if isinstance(error, RemoteError):
        return error.details()
    facts: dict[str, Any] = {"message": getattr(error, "message", None) or str(error) or type(error).__name__}
    if advice := getattr(error, "advice", None):
        facts["advice"] = advice
    return facts
