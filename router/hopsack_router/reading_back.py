"""``hopsack.stream.read``: a stream read back, a page at a time, by whoever may subscribe to it.

    {topic}               the oldest events there are
    {topic, after}        those behind a position, or behind the event with a publication id
    {topic, last}         so many of the newest
    {topic, since}        those of that time and later

It is how stock WAMP clients resume, and how history is read for its own sake. Bounds: :data:`MAX_EVENTS` events and
:data:`MAX_BYTES` bytes, about, to a page; :data:`AT_ONCE` pages of one caller are looked up at once, so that nobody
keeps others from the disk, and :data:`MAX_WAITING` wait for their turn, beyond which they are refused
(``hopsack.overloaded``).

``hopsack.stream.behind``: which streams stand elsewhere than the caller has read.

    {positions}           of the topics that are named there
    {…, patterns}         and of all that these cover and nobody has named

So a reader whose last event was lost on the way learns of it, though none comes after it. A caller that still has
events waiting for it here is not told: they are on their way. Nothing is read for an answer; it holds
:data:`~hopsack_router.routing.asked.MAX_POSITIONS` topics at most. What patterns cover is found as when they were
subscribed to (:mod:`~hopsack_router.routing.covering`), never by a look at all topics: libraries ask every few seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

from hopsack.errors import BadRequest, Denied, Overloaded, RemoteError, to_wamp
from hopsack_router.routing.asked import MAX_POSITIONS
from hopsack_router.routing.retained import matcher
from hopsack_router.streams import Gone, Journal, Page, Position, Stored, parse
from hopsack_router.streams.ledger import RETRY_AFTER

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

MAX_EVENTS = 1000
MAX_BYTES = 512 << 10
USUAL = 500
AT_ONCE = 4
MAX_WAITING = 1000

Request: TypeAlias = dict[str, Any]


class ReadingBack:
    """The streams of one realm, for its callers."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._turns: dict[int, _Turns] = {}

    @inlineCallbacks
    def read(self, request: Request, details: CallDetails) -> Any:
        """Serve one call.

        :param request: as the contract of ``hopsack.stream.read`` has it.
        """
        try:
            journal = self._checked(request, details)
            page, reason = yield self._in_turn(journal, request, details)
        except RemoteError as error:
            raise refused(error) from error
        return _told(page, reason, recovered="after" in request and reason is None)

    def _in_turn(self, journal: Journal, request: Request, details: CallDetails) -> Deferred[Any]:
        """:raises Overloaded: too much of this caller waits."""
        caller = details.caller
        turns = self._turns.get(caller)
        if turns is None:
            turns = self._turns[caller] = _Turns(lambda: self._turns.pop(caller))

        def read() -> Any:
            self._caller(details)  # it may have left
            return self._page(journal, request)

        return turns.take(read, request["topic"])

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
            self._router.note_denial(caller, "read", refusal)
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


class _Turns:
    """The pages that one caller has asked for: some are looked up, the others wait.

    Who cancels its call does not stop the disk, so the turn goes on until the disk has answered.

    :param on_end: is called when there is nothing more.
    """

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self._waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._under_way = 0
        self._is_going_on = False

    def take(self, read: Callable[[], Any], topic: str) -> Deferred[Any]:
        """:raises Overloaded: too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            message = f"{MAX_WAITING:,} pages wait to be read for this session"
            raise Overloaded(message, where=topic, data={"retry_after": RETRY_AFTER})
        told: Deferred[Any] = Deferred()
        self._waiting.append((read, told))
        self._go_on()
        return told

    def _go_on(self) -> None:
        """A loop: what is in memory ends at once, and a thousand of them must not go a thousand calls deep."""
        if self._is_going_on:
            return
        self._is_going_on = True
        while self._waiting and self._under_way < AT_ONCE:
            read, told = self._waiting.popleft()
            if not told.called:  # else it was cancelled
                self._under_way += 1
                maybeDeferred(read).addBoth(self._ended).chainDeferred(told)
        self._is_going_on = False
        if not self._under_way:
            self._on_end()

    def _ended(self, outcome: Any) -> Any:
        self._under_way -= 1
        self._go_on()
        return outcome


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
