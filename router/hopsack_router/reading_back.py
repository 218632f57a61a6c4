"""``hopsack.stream.read``: a stream read back, a page at a time, by whoever may subscribe to it.

    {topic}               the oldest events there are
    {topic, after}        those behind a position, or behind the event with a publication id
    {topic, last}         so many of the newest
    {topic, since}        those of that time and later

It is how stock WAMP clients resume, and how history is read for its own sake. Bounds: :data:`MAX_EVENTS` events and
:data:`MAX_BYTES` bytes, about, to a page.

``hopsack.stream.behind``: which streams stand elsewhere than the caller has read.

    {positions}           of the topics that are named there
    {…, patterns}         and of all that these cover and nobody has named

So a reader whose last event was lost on the way learns of it, though none comes after it. A caller that still has
events waiting for it here is not told: they are on their way. Nothing is read for an answer; it holds
:data:`~hopsack_router.routing.asked.MAX_POSITIONS` topics at most. What patterns cover is found as when they were
subscribed to (:mod:`~hopsack_router.routing.covering`), never by a look at all topics: libraries ask every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import inlineCallbacks

from hopsack.errors import BadRequest, Denied, Overloaded, RemoteError, to_wamp
from hopsack_router.routing.asked import MAX_POSITIONS
from hopsack_router.routing.retained import matcher
from hopsack_router.streams import Gone, Journal, Page, Position, Stored, parse

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

MAX_EVENTS = 1000
MAX_BYTES = 512 << 10
USUAL = 500

Request: TypeAlias = dict[str, Any]


class ReadingBack:
    """The streams of one realm, for its callers."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @inlineCallbacks
    def read(self, request: Request, details: CallDetails) -> Any:
        """Serve one call.

        :param request: as the contract of ``hopsack.stream.read`` has it.
        """
        try:
            journal = self._checked(request, details)
            page, reason = yield self._page(journal, request)
        except RemoteError as error:
            raise refused(error) from error
        return _told(page, reason, recovered="after" in request and reason is None)

    def behind(self, request: Request, details: CallDetails) -> dict[str, str]:
        """Serve one call.

        :param request: as the contract of ``hopsack.stream.behind`` has it.
        """
        try:
            return self._behind(request, self._caller(details))
        except RemoteError as error:
            raise refused(error) from error

    def _behind(self, request: Request, caller: Any) -> dict[str, str]:
        positions, patterns, keeping = request["positions"], request.get("patterns", []), self._router.keeping
        for topic in positions:
            self._admit(caller, topic, "exact")
        for one in patterns:
            self._admit(caller, one["topic"], one["match"])
        if keeping is None:
            return {}
        if _is_behind_by_itself(caller):
            raise Overloaded("events still wait to be sent to this session", advice="read them, and ask again later")
        told = {topic: str(keeping.head(topic)) for topic in positions if keeping.is_stream(topic)}
        told = {topic: head for topic, head in told.items() if head != positions[topic]}
        for topic in self._covered(patterns):
            if len(told) >= MAX_POSITIONS:
                break
            if topic not in positions and keeping.is_stream(topic):
                told[topic] = str(keeping.head(topic))
        return told

    def _covered(self, patterns: list[dict[str, Any]]) -> Iterator[str]:
        """What patterns cover. An exact one may have no events yet; of what is too wide, the last to change."""
        keeping, topics = self._router.keeping, self._router._broker.topics
        assert keeping is not None
        too_wide: list[Callable[[str], object]] = []
        for topic, match in dict.fromkeys((one["topic"], one["match"]) for one in patterns):
            streams = [topic] if match == "exact" else topics.streams(topic, match)
            if streams is None:
                too_wide.append(matcher(topic, match))
            else:
                yield from streams
        if too_wide:
            changed = keeping.last_changed(MAX_POSITIONS)
            yield from (topic for topic in changed if any(covers(topic) for covers in too_wide))

    def _caller(self, details: CallDetails) -> Any:
        caller = self._router._session_id_to_session.get(details.caller)
        if caller is None:
            raise Denied("the caller has left")
        return caller

    def _admit(self, caller: Any, topic: str, match: Any) -> None:
        refusal = self._router.admission.subscribe(caller, topic, match) if self._router.admits else None
        if refusal is not None:
            raise refusal

    def _checked(self, request: Request, details: CallDetails) -> Journal:
        topic, keeping = request["topic"], self._router.keeping
        self._admit(self._caller(details), topic, "exact")
        if keeping is None or not keeping.is_stream(topic):
            raise BadRequest("this topic is not a stream: nothing of it can be read back", where=topic)
        given = sorted({"after", "last", "since"} & request.keys())
        if len(given) > 1:
            raise BadRequest(f"{given[0]} and {given[1]} exclude each other", where=topic, path=f"/{given[1]}")
        return keeping.journal

    @inlineCallbacks
    def _page(self, journal: Journal, request: Request) -> Any:
        """:returns: the page, and why it does not begin where it should."""
        topic, limit = request["topic"], min(request.get("limit", USUAL), MAX_EVENTS)
        after = yield self._after(journal, topic, request.get("after"))
        if "last" in request or "since" in request:
            last, since = request.get("last"), request.get("since")
            page = yield journal.read_back(topic, last=last, since=since, limit=limit, max_bytes=MAX_BYTES)
        else:
            page = yield journal.read(topic, after, limit, MAX_BYTES)
        if isinstance(page, Page):
            return page, "trimmed" if after is None and "after" in request else None
        rest = yield journal.read(topic, None, limit, MAX_BYTES)
        return rest, page.reason

    @inlineCallbacks
    def _after(self, journal: Journal, topic: str, after: str | int | None) -> Any:
        """:returns: the position; ``None``: there is none, or none any more."""
        if after is None:
            return None
        if isinstance(after, int):
            return (yield journal.position_of(topic, after))
        position = parse(after)
        if position is None:
            raise BadRequest(f"{after[:60]!r} is no position", where=topic, path="/after", advice="such as abcdefgh:41")
        return position


def refused(error: RemoteError) -> ApplicationError:
    uri, args, kwargs = to_wamp(error)
    return ApplicationError(uri, *args, **kwargs)


def _is_behind_by_itself(caller: Any) -> bool:
    """Whether it is known to be behind, and will be given what it lacks."""
    lagging = getattr(caller._transport, "lagging", None)
    return lagging is not None and not (lagging.backlog.since is None and not lagging.followers)


def _told(page: Page | Gone, reason: str | None, recovered: bool) -> dict[str, Any]:
    assert isinstance(page, Page), "reading from the oldest event on is always possible"
    told = {
        "events": [_event(event) for event in page.events],
        "position": str(page.last),
        "recovered": recovered,
        "end": page.end,
    }
    return told if reason is None else told | {"reason": reason}


def _event(event: Stored) -> dict[str, Any]:
    position: Position | None = event.position
    told = {
        "position": str(position),
        "publication": event.publication,
        "time": event.time,
        "data": msgspec.json.decode(event.data),
    }
    return told | {"deleted": True} if event.deleted else told
