"""Who is connected: the node's record of sessions, told as it changes.

    joined(member) -> publish presence.joined, then presence.count
    left(session)  -> publish presence.left, then presence.count
    list()         -> everybody, in the order they joined

A core without I/O: what it publishes goes through the function that :meth:`Presence.open` was given. The count is
told at most once per :data:`SETTLE` seconds, so a storm of joins costs readers a few events, not thousands. What
nobody reads is neither written nor counted out. One-shot sessions of the HTTP door come and go with their request and
are nobody's presence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

SETTLE = 0.1
"""Seconds within which changes of the count are told together."""

UNSEEN_DOORS = frozenset(("http", "node"))


class Member(msgspec.Struct, frozen=True, gc=False):
    """What everybody may know of a session.

    :ivar since: when it joined, in seconds since the epoch.
    """

    session: int
    authid: str
    role: str
    door: str
    since: float

    def facts(self) -> dict[str, Any]:
        """As the session list, presence and the meta events show it."""
        return msgspec.structs.asdict(self)


class Presence:
    """The members of one realm."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._roles: Counter[str] = Counter()
        self._publish: Callable[[str, Any], None] | None = None
        self._later: Callable[[float, Callable[[], None]], object]
        self._is_read: Callable[[str], bool]
        self._due = False

    def open(
        self,
        publish: Callable[[str, Any], None],
        later: Callable[[float, Callable[[], None]], object],
        is_read: Callable[[str], bool],
    ) -> None:
        """Start telling.

        :param publish: takes a topic and a payload.
        :param later: takes seconds and a function.
        :param is_read: whether anybody would get an event of a topic.
        """
        self._publish, self._later, self._is_read = publish, later, is_read
        self._tell_count()  # what is kept of it may be from before the node was started

    def joined(self, member: Member) -> None:
        if member.door in UNSEEN_DOORS:
            return
        self._members[member.session] = member
        self._roles[member.role] += 1
        self._tell("presence.joined", member)

    def left(self, session: int) -> None:
        known = self._members.pop(session, None)
        if known is None:
            return
        self._roles[known.role] -= 1
        self._tell("presence.left", known)

    def count(self) -> dict[str, Any]:
        return {"count": len(self._members), "roles": {role: n for role, n in sorted(self._roles.items()) if n}}

    def list(self) -> dict[str, Any]:
        return self.count() | {"members": [member.facts() for member in self._members.values()]}

    def _tell(self, topic: str, member: Member) -> None:
        if self._publish is None:
            return
        if self._is_read(topic):
            self._publish(topic, member.facts())
        if not self._due:
            self._due = True
            self._later(SETTLE, self._tell_count)

    def _tell_count(self) -> None:
        self._due = False
        if self._publish is not None and self._is_read("presence.count"):
            self._publish("presence.count", self.count())
