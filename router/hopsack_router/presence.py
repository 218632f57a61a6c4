"""Who is connected: the node's record of sessions, told as it changes.

    joined(facts) -> publish presence.joined, then presence.count
    left(facts)   -> publish presence.left, then presence.count
    list()        -> everybody, in the order they joined

A core without I/O: what it publishes goes through the function that :meth:`Presence.open` was given. The count is
told at most once per :data:`SETTLE` seconds, so a storm of joins costs readers a few events, not thousands. One-shot
sessions of the HTTP door come and go with their request and are nobody's presence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

SETTLE = 0.1
"""Seconds within which changes of the count are told together."""

UNSEEN_DOORS = frozenset(("http", "node"))


class Presence:
    """The members of one realm."""

    def __init__(self) -> None:
        self._members: dict[int, dict[str, Any]] = {}
        self._roles: Counter[str] = Counter()
        self._publish: Callable[[str, Any], None] | None = None
        self._later: Callable[[float, Callable[[], None]], object] | None = None
        self._due = False

    def open(self, publish: Callable[[str, Any], None], later: Callable[[float, Callable[[], None]], object]) -> None:
        """Start telling.

        :param publish: takes a topic and a payload.
        :param later: takes seconds and a function.
        """
        self._publish, self._later = publish, later

    def joined(self, member: dict[str, Any]) -> None:
        if member["door"] in UNSEEN_DOORS:
            return
        self._members[member["session"]] = member
        self._roles[member["role"]] += 1
        self._tell("presence.joined", member)

    def left(self, member: dict[str, Any]) -> None:
        known = self._members.pop(member["session"], None)
        if known is None:
            return
        self._roles[known["role"]] -= 1
        self._tell("presence.left", known)

    def count(self) -> dict[str, Any]:
        return {"count": len(self._members), "roles": {role: n for role, n in sorted(self._roles.items()) if n}}

    def list(self) -> dict[str, Any]:
        return self.count() | {"members": list(self._members.values())}

    def _tell(self, topic: str, member: dict[str, Any]) -> None:
        if self._publish is None or self._later is None:
            return
        self._publish(topic, member)
        if not self._due:
            self._due = True
            self._later(SETTLE, self._tell_count)

    def _tell_count(self) -> None:
        self._due = False
        if self._publish is not None:
            self._publish("presence.count", self.count())
