"""Who reads the topics that tell it (contract key ``presence``), told on the topic ``….members`` of each.

    SUBSCRIBE, exact          -> Attendance.entered: a newest value of the members, if somebody has come
    the subscription ends     -> Attendance.left; when the grace is over, the value is deleted
    open                      -> the members of the run before are members still; who is not back when its grace is
                                 over has left

A snapshot of the members and then their changes, without a race and on every door, is what a topic with newest values
gives anyway. The shell of :mod:`~hopsack_router.routing.attendance`, one machine for each topic that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from hopsack.contracts import TopicContract
from hopsack_router.routing.attendance import GRACE_AT_START, Announce, Attendance, Change, Effect, Member, WakeAt
from hopsack_router.routing.keeping import Keeping

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

Tell = Callable[[str, Any, bool], object]
"""Takes a topic, a member, and whether it is gone."""

SUFFIX = ".members"


class Attending:
    """The readers of one realm's topics."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._attendances: dict[str, Attendance] = {}
        self._tell: Tell | None = None
        self._clock: Any = None
        self._wall: Callable[[], float]

    @classmethod
    def of(cls, keeping: Keeping | None) -> Attending | None:
        """``None``: no contract wants it."""
        wanted = keeping is not None and any(one.presence is not None for one in keeping.catalogue.topics.values())
        return cls(keeping) if keeping is not None and wanted else None

    def open(self, tell: Tell, clock: Any, wall: Callable[[], float]) -> None:
        """Start telling.

        :param clock: ``IReactorTime``, which counts from anywhere. :param wall: tells Unix time.
        """
        self._tell, self._clock, self._wall = tell, clock, wall
        now = clock.seconds()
        for told in self._keeping.topics():
            contract = self._keeping.contract(told)
            if contract is None or contract.members_of is None:
                continue
            topic = told.removesuffix(SUFFIX)
            for event in self._keeping.newest(told):
                facts = msgspec.json.decode(event.data)
                authid, since = facts.pop("authid"), facts.pop("since")
                attendance = self._attendances.setdefault(topic, Attendance())
                self._obey(topic, attendance, attendance.known(authid, facts, since, now, GRACE_AT_START))

    def entered(self, subscription: Any, session: NodeSession) -> None:
        contract = self._contract(subscription)
        if contract is None or session.member is None:
            return
        attendance = self._attendances.setdefault(subscription.uri, Attendance())
        facts = {name: _fact(session, name) for name in contract.presence or ()}
        who, now = session.member, self._clock.seconds()
        effects = attendance.entered(who.session, who.authid, facts, now, self._wall())
        self._obey(subscription.uri, attendance, effects)

    def left(self, subscription: Any, session: NodeSession) -> None:
        attendance = self._attendances.get(subscription.uri)
        if attendance is None or subscription.match != "exact" or session._session_id is None:
            return
        self._obey(subscription.uri, attendance, attendance.left(session._session_id, self._clock.seconds()))

    def _contract(self, subscription: Any) -> TopicContract | None:
        if subscription.match != "exact" or self._tell is None:
            return None
        contract = self._keeping.catalogue.topic(subscription.uri)
        return contract if contract is not None and contract.presence is not None else None

    def _obey(self, topic: str, attendance: Attendance, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Announce(_, change, member):
                    assert self._tell is not None
                    self._tell(topic + SUFFIX, _payload(member), change is Change.LEFT)
                case WakeAt(when):
                    wait = max(when - self._clock.seconds(), 0.0)
                    self._clock.callLater(wait, partial(self._tick, topic, attendance))
                case _:
                    assert_never(effect)
        if not attendance and self._attendances.get(topic) is attendance:
            del self._attendances[topic]

    def _tick(self, topic: str, attendance: Attendance) -> None:
        self._obey(topic, attendance, attendance.tick(self._clock.seconds()))


def _fact(session: NodeSession, name: str) -> Any:
    if name == "role":
        return session._authrole
    return session.door if name == "door" else session.agent


def _payload(member: Member) -> dict[str, Any]:
    return {"authid": member.authid, "since": member.since, **member.metadata}
