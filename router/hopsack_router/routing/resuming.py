"""What a subscription begins with: the snapshot, what was missed, or what comes now. Decided without I/O.

    a topic that is a stream     after its position: all that was missed, if it is still there
                                 else the newest values of a ``latest`` topic; else the oldest events there are
    a ``latest`` topic           the newest values
    a pattern                    each topic that it covers, the same way
    anything else                what comes now

A reader of a pattern that resumes has not heard of a topic whose position it does not give: that began while it was
away, and is read from its first event. But for a reader that says it has forgotten some (:data:`FORGETFUL`), or where
the pattern covers more than :data:`~hopsack_router.routing.asked.MAX_POSITIONS` streams: what is not named then begins
with what comes now, and nothing is said to be recovered. What that costs the node is bounded by the number of topics
that are named, resumed or shown, and not by that of the topics there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hopsack.contracts import TopicContract
from hopsack.errors import BadRequest
from hopsack_router.routing.asked import MAX_POSITIONS, Granted
from hopsack_router.routing.covering import Topics
from hopsack_router.routing.followers import Follower
from hopsack_router.routing.following import Answer, Following, State
from hopsack_router.routing.retained import matcher
from hopsack_router.routing.showing import Showing
from hopsack_router.streams import Found, Position, Stored, parse

FORGETFUL = "*"
"""A name among the positions of a pattern: there are topics that are not named."""

After = str | Mapping[str, str] | None


class Library(Protocol):
    """What is kept."""

    def contract(self, topic: str) -> TopicContract | None: ...

    def is_stream(self, topic: str) -> bool: ...

    def head(self, topic: str) -> Position: ...

    def where(self, topic: str, after: Position | None) -> Found: ...

    def newest(self, topic: str) -> Sequence[Stored]: ...

    def shows_newest(self, pattern: str, match: str) -> bool: ...


@dataclass(slots=True)
class Beginning:
    """
    :ivar granted: what the reader is told.
    :ivar followers: who reads which topics for it, before they are live; topics without one are live at once.
    """

    granted: Granted
    followers: list[tuple[Sequence[str], Follower]] = field(default_factory=list)


def begin(library: Library, topics: Topics, topic: str, match: str, after: After, shows_newest: bool) -> Beginning:
    """
    :param topics: finds those that a pattern covers.
    :param after: where the reader stands. :param shows_newest: it wants the newest values of ``latest`` topics.
    :raises BadRequest: ``after`` is no position, or is one where the topic wants several or the other way round.
    """
    if match == "exact":
        if after is not None and not isinstance(after, str):
            raise BadRequest("a topic resumes from one position", where=topic, path="/after")
        return _one(library, topic, None if after is None else _read(after, topic), shows_newest)
    if isinstance(after, str):
        raise BadRequest("a pattern resumes from positions by topic", where=topic, path="/after")
    return _Several(library, topics, topic, match, shows_newest).begin(after)


def _read(text: str, topic: str) -> Position:
    place = parse(text)
    if place is None:
        raise BadRequest(f"{text[:60]!r} is no position", where=topic, path="/after", advice="such as abcdefgh:41")
    return place


def _one(library: Library, topic: str, after: Position | None, shows_newest: bool) -> Beginning:
    contract = library.contract(topic)
    if contract is None:
        return Beginning(Granted())
    shows_newest = shows_newest and contract.keeps_latest
    if contract.stream is None:
        newest = library.newest(topic) if shows_newest else ()
        granted = Granted(snapshot=len(newest) if shows_newest else None)
        return Beginning(granted, [((topic,), Showing(newest))] if newest else [])
    answer, following = _stream(library, topic, after, shows_newest)
    granted = Granted(str(answer.position), None, answer.recovered, answer.reason, answer.snapshot)
    return Beginning(granted, [((topic,), following)] if following.state is not State.LIVE else [])


def _stream(library: Library, topic: str, after: Position | None, shows_newest: bool) -> tuple[Answer, Following]:
    following = Following(library.head(topic))
    found = None if after is None else library.where(topic, after)
    answer, *_ = following.asked(after, found, library.newest(topic) if shows_newest else None)
    assert isinstance(answer, Answer)
    return answer, following


class _Several:
    """The topics of a pattern."""

    def __init__(self, library: Library, topics: Topics, pattern: str, match: str, shows_newest: bool) -> None:
        self._topics = topics
        self._library, self._pattern, self._shows_newest = library, pattern, shows_newest
        self._covers: Callable[[str], object] = matcher(pattern, match)
        self._followers: list[tuple[Sequence[str], Follower]] = []
        self._positions: dict[str, str] = {}
        self._reasons: set[str] = set()
        self._snapshot: int | None = None
        self._match = match

    def begin(self, after: Mapping[str, str] | None) -> Beginning:
        named = self._named(after or {})
        streams = self._unnamed(named)
        has_too_many = streams is None
        reads_all = after is not None and FORGETFUL not in after and not has_too_many
        if after is not None and not reads_all:
            self._reasons.add("trimmed")
        elif after is None and self._shows_newest and self._library.shows_newest(self._pattern, self._match):
            self._snapshot = 0
        for topic, place in named.items():
            self._begin(topic, place)
        for topic in self._shown_streams(named) if streams is None else streams:
            head = self._library.head(topic)
            self._begin(topic, Position(head.epoch, 0) if reads_all else None)
        if self._shows_newest:
            self._show([topic for topic in self._showing() if not self._library.is_stream(topic)])
        is_recovered = after is not None and not self._reasons
        positions = None if has_too_many else self._positions
        reason = min(self._reasons, default=None)
        return Beginning(Granted(None, positions, is_recovered, reason, self._snapshot), self._followers)

    def _unnamed(self, named: Mapping[str, Position]) -> list[str] | None:
        """The streams that the reader does not name; ``None``: they are too many."""
        covered = self._topics.streams(self._pattern, self._match)
        streams = None if covered is None else [topic for topic in covered if topic not in named]
        return None if streams is None or len(named) + len(streams) > MAX_POSITIONS else streams

    def _shown_streams(self, named: Mapping[str, Position]) -> list[str]:
        """Of too many streams those that begin with more than what comes now."""
        if not self._shows_newest:
            return []
        return [topic for topic in self._showing() if topic not in named and self._library.is_stream(topic)]

    def _showing(self) -> list[str]:
        showing = self._topics.showing(self._pattern, self._match)
        contracts = ((topic, self._library.contract(topic)) for topic in showing)
        return [topic for topic, contract in contracts if contract is not None and contract.keeps_latest]

    def _named(self, after: Mapping[str, str]) -> dict[str, Position]:
        named: dict[str, Position] = {}
        for topic, text in after.items():
            if topic == FORGETFUL:
                continue
            if not self._covers(topic):
                raise BadRequest(f"the pattern does not cover {topic[:100]}", where=self._pattern, path="/after")
            place = _read(text, topic)
            if self._library.is_stream(topic):
                named[topic] = place
            else:  # it was one when the reader read it
                self._reasons.add("epoch")
        return named

    def _begin(self, topic: str, after: Position | None) -> None:
        contract = self._library.contract(topic)
        shows_newest = self._shows_newest and contract is not None and contract.keeps_latest
        answer, following = _stream(self._library, topic, after, shows_newest)
        self._positions[topic] = str(answer.position)
        if answer.reason is not None:
            self._reasons.add(answer.reason)
        if answer.snapshot is not None:
            self._snapshot = (self._snapshot or 0) + answer.snapshot
        if following.state is not State.LIVE:
            self._followers.append(((topic,), following))

    def _show(self, topics: Sequence[str]) -> None:
        if not topics:
            return
        newest = [event for topic in topics for event in self._library.newest(topic)]
        self._snapshot = (self._snapshot or 0) + len(newest)
        if newest:
            self._followers.append((list(dict.fromkeys(event.topic for event in newest)), Showing(newest)))
