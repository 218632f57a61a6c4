"""What a node that stops says to its clients: messages of WAMP's that tell when to come back.

``retry_after`` in their details is an attribute of ours (WAMP basic profile, section 3.1: what a peer does not know it
ignores). Doors that do not speak WAMP read it from the message and say it in their own way.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message

from hopsack.backoff import hint_of
from hopsack.errors import RemoteError, wamp_uri

SHUTDOWN = "wamp.close.system_shutdown"
STOPPING = "the node is stopping"


class Farewell(message.Goodbye):  # type: ignore[misc]
    """GOODBYE to a client of a node that stops.

    :param retry_after: seconds that it should stay away.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(SHUTDOWN, STOPPING)
        self.retry_after = retry_after

    def marshal(self) -> list[Any]:
        return _with_hint(super().marshal(), self.retry_after)


class Dismissal(message.Goodbye):  # type: ignore[misc]
    """GOODBYE to a client that goes on where it was told to wait.

    :param error: says when it may come back, if it may.
    """

    def __init__(self, error: RemoteError) -> None:
        super().__init__(wamp_uri(error), error.message)
        self.error = error

    def marshal(self) -> list[Any]:
        wait = hint_of(self.error.data)
        return super().marshal() if wait is None else _with_hint(super().marshal(), wait)


class NotNow(message.Abort):  # type: ignore[misc]
    """ABORT for a client that comes while the node stops.

    :param retry_after: seconds that it should stay away.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(SHUTDOWN, STOPPING)
        self.retry_after = retry_after

    def marshal(self) -> list[Any]:
        return _with_hint(super().marshal(), self.retry_after)


def _with_hint(marshalled: list[Any], seconds: float) -> list[Any]:
    number, details, reason = marshalled
    return [number, {**details, "retry_after": seconds}, reason]
