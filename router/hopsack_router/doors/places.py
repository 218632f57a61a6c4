"""Where a reader stands in its streams, as the doors write it: what it gives back to resume, and what it is told.

    one topic           abcdefgh:41
    several, patterns   demo.hall.told=abcdefgh:7,demo.kitchen.told=qrstuvwx:2
                        *,demo.hall.told=abcdefgh:7          there were more topics than one line names

The second form is what SSE's ``id:`` says to a reader of several topics, because a browser gives back one id for all,
and what ``after=`` takes in a URL. Topics in it are percent-encoded (RFC 3986): they may have commas and umlauts.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from autobahn.wamp import message

from hopsack.errors import BadRequest, Invalid, RemoteError
from hopsack_router.doors.patterns import Match, Pattern
from hopsack_router.routing.asked import MAX_POSITIONS, Granted, Subscribed
from hopsack_router.routing.resuming import FORGETFUL
from hopsack_router.routing.retained import matcher
from hopsack_router.streams.position import Position, parse

MAX_NAMED: Final = 100
"""Topics that an ``id:`` names: every event carries them all, and a browser sends them back in one header."""

MAX_LENGTH: Final = 4096
"""Characters of an ``id:``: many proxies take 8 KiB for a header field."""

ELSEWHERE: Final = Position("unknown", 0)
"""A position of a journal that nobody has: an epoch is longer. What a browser gives back may be another server's."""

_ADVICE = "give back a position as an event brought it, such as abcdefgh:41"


def check(after: str | Mapping[str, str] | None, match: Match, where: str) -> RemoteError | None:
    """What is wrong with the ``after`` of a subscription; ``None``: nothing."""
    match after:
        case None:
            return None
        case str() if match == "exact":
            return None if parse(after) else _no_position(after, "/after", where)
        case str():
            advice = 'for example {"demo.hall.told": "abcdefgh:41"}'
            return Invalid("a pattern resumes from an object", where=where, path="/after", advice=advice)
        case _ if match == "exact":
            return Invalid("a topic resumes from a string", where=where, path="/after", advice=_ADVICE)
    wrong = next(((topic, text) for topic, text in after.items() if topic != FORGETFUL and not parse(text)), None)
    return _no_position(wrong[1], f"/after/{wrong[0]}", where) if wrong else None


def _no_position(text: str, path: str, where: str) -> Invalid:
    return Invalid(f"{text[:60]!r} is no position", where=where, path=path, advice=_ADVICE)


def granted_by(msg: message.Subscribed) -> Granted:
    """What a subscription begins with; a router that keeps nothing answers plain SUBSCRIBED."""
    return msg.granted if isinstance(msg, Subscribed) else Granted()


def facts(granted: Granted) -> dict[str, Any]:
    """What a reader is told of a subscription; members without a value are left out."""
    told = {
        "position": granted.position,
        "positions": granted.positions,
        "recovered": granted.recovered,
        "reason": granted.reason,
        "snapshot": granted.snapshot,
    }
    return {name: value for name, value in told.items() if value is not None}


# ---- what a reader without a protocol gives back -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class After:
    """Where each of a reader's subscriptions resumes.

    :ivar places: for an exact topic its position, for a pattern the positions of its topics.
    :ivar is_forgetful: there were more topics than could be named.
    """

    places: Mapping[Pattern, str | Mapping[str, str]] = field(default_factory=dict)
    is_forgetful: bool = False


def read(text: str, patterns: Sequence[Pattern]) -> After:
    """Read what :class:`Places` writes, or a single position.

    A topic that several patterns cover is the first one's.

    :raises BadRequest: it is neither, or names what the reader does not read.
    """
    entries = [entry for entry in text.split(",") if entry]
    is_forgetful = FORGETFUL in entries
    named = [entry for entry in entries if entry != FORGETFUL]
    if len(named) > MAX_POSITIONS:
        raise BadRequest(f"{len(named)} positions; a reader may name {MAX_POSITIONS}", path="after")
    places = _forgotten(patterns) if is_forgetful else {}
    for entry in named:
        topic, equals, position = entry.rpartition("=")
        if not equals and (len(patterns) > 1 or patterns[0].match != "exact"):
            raise BadRequest(f"{entry[:60]!r} does not say of which topic", path="after", advice="topic=position,…")
        topic = unquote(topic)
        pattern = patterns[0] if not equals else _reading(topic, patterns)
        if parse(position) is None or pattern is None:
            raise BadRequest(f"{entry[:60]!r} is no position of what is read", path="after", advice=_ADVICE)
        if pattern.match == "exact":
            places[pattern] = position
        else:
            places.setdefault(pattern, {})[topic] = position
    return After(places, is_forgetful)


def _forgotten(patterns: Sequence[Pattern]) -> dict[Pattern, Any]:
    """What says to each pattern that it may have had topics that are not named."""
    return {pattern: {FORGETFUL: ""} for pattern in patterns if pattern.match != "exact"}


def read_id(text: str, patterns: Sequence[Pattern]) -> After:
    """The same for ``Last-Event-ID``: whatever cannot be read is a place in no journal of ours.

    To refuse it would end an ``EventSource`` for good, and its page cannot change what it sends.
    """
    try:
        return read(text, patterns)
    except BadRequest:
        lost = {one: str(ELSEWHERE) for one in patterns if one.match == "exact"}
        return After(_forgotten(patterns) | lost)


def _reading(topic: str, patterns: Sequence[Pattern]) -> Pattern | None:
    return next((one for one in patterns if one.topic == topic or _covers(one, topic)), None)


def _covers(pattern: Pattern, topic: str) -> bool:
    return pattern.match != "exact" and bool(matcher(pattern.topic, pattern.match)(topic))


# ---- what it is told ---------------------------------------------------------------------------------------------


class Places:
    """The newest events that one reader of several topics was given.

    Bound: :data:`MAX_NAMED` topics are named, in :data:`MAX_LENGTH` characters; beyond that those that were silent for
    longest are not, and ``*`` says so.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, str] = OrderedDict()
        self._is_forgetful = False
        self._snapshots: list[_Snapshot] = []
        self._line: str | None = None

    def granted(self, pattern: Pattern, granted: Granted) -> None:
        """A subscription begins, before any event. Of two that cover a topic the first counts.

        While its snapshot has not come, its streams are to be read from their beginning.
        """
        heads = {pattern.topic: granted.position} if granted.position else dict(granted.positions or {})
        heads = {topic: head for topic, head in heads.items() if topic not in self._newest}
        if granted.snapshot:
            self._snapshots.append(_Snapshot(heads, granted.snapshot))
        for topic, head in heads.items():
            self._note(topic, f"{head.partition(':')[0]}:0" if granted.snapshot else head)
        if granted.positions is None and pattern.match != "exact":
            self._is_forgetful = True

    def given(self, topic: str, position: str) -> None:
        """An event leaves for the reader."""
        self._note(topic, position)
        for snapshot in tuple(self._snapshots):
            if not snapshot.has(topic, position):
                continue
            snapshot.left -= 1
            if not snapshot.left:
                self._snapshots.remove(snapshot)
                for other, head in snapshot.heads.items():
                    if snapshot.has(other, self._newest.get(other, "")):
                        self._note(other, head)
            break

    def _note(self, topic: str, position: str) -> None:
        self._newest[topic] = position
        self._newest.move_to_end(topic)
        self._line = None
        if len(self._newest) > MAX_NAMED:
            self._newest.popitem(last=False)
            self._is_forgetful = True

    @property
    def line(self) -> str:
        """What gives all of it back; empty: there is nothing to give back."""
        if self._line is None:
            self._line = self._written()
        return self._line

    def _written(self) -> str:
        named: deque[str] = deque()
        length = 0
        for topic, position in reversed(self._newest.items()):
            entry = f"{quote(topic)}={position}"
            length += len(entry) + 1
            if length > MAX_LENGTH:
                break
            named.appendleft(entry)
        if self._newest and (self._is_forgetful or len(named) < len(self._newest)):
            named.appendleft(FORGETFUL)
        return ",".join(named)


@dataclass(slots=True)
class _Snapshot:
    heads: Mapping[str, str]
    left: int

    def has(self, topic: str, position: str) -> bool:
        """Whether this event is one of the newest values that were announced, not one that came after them."""
        head, place = parse(self.heads.get(topic, "")), parse(position)
        return head is not None and place is not None and head.epoch == place.epoch and place.offset <= head.offset
