"""A session's requests are carried out in the order they came, however long a decision about one of them takes.

    request that nobody has to be asked about -> carried out at once
    request whose authorizer answers later    -> waits, and with it everything the session sends
    the decision                              -> that request, then what waited, up to the next one without a decision
    the session leaves                        -> nothing of what waits is carried out

Answers of callees do not wait: an authorizer may be the very session whose request is being decided. A core without
I/O. Bound: :data:`MAX_HELD` messages of one session wait; its further requests are refused (``hopsack.overloaded``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

MAX_HELD = 1000
"""Messages that wait behind one that is being decided, per session."""

Step = Callable[[], object]


class Turns(dict[Any, "deque[Step]"]):
    """The sessions of one realm that wait for a decision, and what waits with them.

    Empty is the normal case, and every message asks: that is why it is a dictionary itself.
    """

    def wait(self, session: Any) -> None:
        """A decision about the session's request is not there yet: hold what it sends from now on."""
        self[session] = deque()

    def hold(self, session: Any, step: Step) -> bool:
        """Put a message of a session that waits at the end; ``False`` if there is no room."""
        held = self[session]
        if len(held) >= MAX_HELD:
            return False
        held.append(step)
        return True

    def resume(self, session: Any, first: Step) -> None:
        """The decision is there: ``first`` carries the request out, then comes what waited."""
        steps = self.pop(session, None)
        if steps is None:
            return
        steps.appendleft(first)
        while steps:
            steps.popleft()()
            if session in self:  # this one has to wait as well, and the others stay behind it
                self[session] = steps
                return

    def drop(self, session: Any) -> None:
        """The session is gone."""
        self.pop(session, None)
