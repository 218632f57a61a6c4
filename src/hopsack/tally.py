"""How often a handler was asked, how it ended, how long it took: a few additions for each call, and no more room."""

from __future__ import annotations

from hopsack.errors import RemoteError

__all__ = ["LONGEST", "Tally"]

LONGEST = 500
"""Characters of the last error that are kept."""


class Tally:
    """
    :ivar requests: calls that were answered. :ivar errors: of these, with an error, declared or not.
    :ivar seconds: that they took, all together.
    """

    __slots__ = ("_last", "errors", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.seconds = 0.0
        self._last: tuple[str, str] | None = None

    def failed(self, error: RemoteError) -> None:
        """The call that was just counted was answered with this."""
        self.errors += 1
        self._last = error.code, error.message  # not the error: it holds its traceback, and all that stands there

    @property
    def last_error(self) -> str:
        """Code and message; empty if there was none."""
        return "" if self._last is None else ": ".join(self._last)[:LONGEST]
