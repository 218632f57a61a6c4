"""Who attends a topic: one member per authid, however many tabs, and a short drop does not show.

    entered     first session of an authid            -> Announce(joined)
                one more, or back within the grace    -> nothing; Announce(changed), if its metadata is other
    left        not the last session of its authid    -> nothing
                the last one                          -> WakeAt the end of its grace
    tick        the grace is over                     -> Announce(left), Announce(joined) of who waits for the place;
                                                         WakeAt the next one's end
    known       it was a member before the restart    -> WakeAt the end of its grace, as if it had just left
    snapshot    -> everybody whose coming was announced and whose going was not, in the order they came

Announcements are numbered without a gap. A snapshot carries the number of the last one before it, and is exactly what
those up to it add up to: a reader that takes a snapshot and then the announcements with greater numbers is right,
however the two crossed on their way. A member's metadata is that of the session that entered last; that this session
leaves does not change it. How many sessions a member has is shown in snapshots and is not announced.

A core without I/O; time is passed in. Bound: :data:`MAX_MEMBERS` members are listed. Further ones are only counted
(``unlisted``); they join in the order they came, each when a member leaves. So memory is bounded by the open sessions,
and what readers get by the members.

Who calls: presence, for each topic whose contract asks for it.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from hopsack import backoff

GRACE = 5.0
"""Seconds within which who comes back has never been away."""
GRACE_AT_START = GRACE + backoff.CAP
"""The same for who was there before the node was started: until then it may be waiting for its next attempt."""
MAX_MEMBERS = 10_000


class Change(enum.Enum):
    JOINED = "joined"
    CHANGED = "changed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Member:
    """:ivar metadata: what the contract lets others see. :ivar since: when it joined. :ivar sessions: open now."""

    authid: str
    metadata: Any
    since: float
    sessions: int = 1


@dataclass(frozen=True, slots=True)
class Announce:
    """Publish a change. :ivar number: one more than that of the last."""

    number: int
    change: Change
    member: Member


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call :meth:`Attendance.tick` at this time. Only ever given when no earlier one stands."""

    when: float


Effect = Announce | WakeAt


@dataclass(frozen=True, slots=True)
class Snapshot:
    """:ivar number: of the last announcement that is in it. :ivar unlisted: members beyond the bound."""

    number: int
    members: tuple[Member, ...]
    unlisted: int


class Attendance:
    """The members of one topic.

    :param grace: seconds.
    """

    def __init__(self, grace: float = GRACE, max_members: int = MAX_MEMBERS) -> None:
        self._grace, self._max_members = grace, max_members
        self._members: dict[str, Member] = {}
        self._sessions: dict[int, str] = {}
        # When who has no session is gone, the next one first. A plain dict would look at every hole at its front.
        self._leaving: OrderedDict[str, float] = OrderedDict()
        self._unlisted: OrderedDict[str, Member] = OrderedDict()
        self._number = 0
        self._wakes_at: float | None = None

    def __len__(self) -> int:
        return len(self._members)

    # ---- inputs --------------------------------------------------------------------------------------------------

    def entered(self, session: int, authid: str, metadata: Any, now: float, since: float | None = None) -> list[Effect]:
        """A session attends, once.

        :param since: what time it is for people, who are told it; ``None``: ``now``.
        """
        self._sessions[session] = authid
        member = self._members.get(authid) or self._unlisted.get(authid)
        if member is None:
            return self._come(Member(authid, metadata, now if since is None else since))
        entered = replace(member, metadata=metadata, sessions=member.sessions + 1)
        if authid in self._unlisted:
            self._unlisted[authid] = entered
            return []
        self._leaving.pop(authid, None)
        self._members[authid] = entered
        return [] if metadata == member.metadata else [self._announce(Change.CHANGED, entered)]

    def left(self, session: int, now: float) -> list[Effect]:
        """A session attends no more; one that never did is no error."""
        authid = self._sessions.pop(session, None)
        if authid is None:
            return []
        listed = authid in self._members
        members = self._members if listed else self._unlisted
        remaining = replace(members[authid], sessions=members[authid].sessions - 1)
        members[authid] = remaining
        if remaining.sessions:
            return []
        if not listed:
            del self._unlisted[authid]
            return []
        self._expect(authid, now + self._grace)
        return self._go_on(now)

    def known(self, authid: str, metadata: Any, since: float, now: float, grace: float) -> list[Effect]:
        """Somebody was a member when the node ended, and everybody has been told so: it has not left yet.

        To be called before anybody enters.
        """
        self._members[authid] = Member(authid, metadata, since, sessions=0)
        self._expect(authid, now + grace)
        return self._go_on(now)

    def tick(self, now: float) -> list[Effect]:
        """The time of the last :class:`WakeAt` has come."""
        self._wakes_at = None
        return self._go_on(now)

    def snapshot(self) -> Snapshot:
        return Snapshot(self._number, tuple(self._members.values()), len(self._unlisted))

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _come(self, member: Member) -> list[Effect]:
        if len(self._members) >= self._max_members:
            self._unlisted[member.authid] = member
            return []
        self._members[member.authid] = member
        return [self._announce(Change.JOINED, member)]

    def _expect(self, authid: str, end: float) -> None:
        """Nobody's grace ends before that of who left earlier, though after a start that one's is longer."""
        latest = next(reversed(self._leaving.values()), end)
        self._leaving[authid] = max(end, latest)

    def _go_on(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._leaving:
            authid, end = next(iter(self._leaving.items()))
            if end > now:
                if self._wakes_at is None:
                    self._wakes_at = end
                    effects.append(WakeAt(end))
                break
            del self._leaving[authid]
            effects.append(self._announce(Change.LEFT, self._members.pop(authid)))
            if self._unlisted:
                effects.extend(self._come(self._unlisted.popitem(last=False)[1]))
        return effects

    def _announce(self, change: Change, member: Member) -> Announce:
        self._number += 1
        return Announce(self._number, change, member)
