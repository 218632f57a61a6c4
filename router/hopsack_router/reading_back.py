"""``hopsack.stream.read``: a stream read back, a page at a time, by whoever may subscribe to it.

    {topic}               the oldest events there are
    {topic, after}        those behind a position, or behind the event with a publication id
    {topic, last}         so many of the newest
    {topic, since}        those of that time and later

It is how stock WAMP clients resume, and how history is read for its own sake. Bounds: :data:`MAX_EVENTS` events and
:data:`MAX_BYTES` bytes, about, to a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import inlineCallbacks

from hopsack.errors import BadRequest, Denied, RemoteError, to_wamp
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
            uri, args, kwargs = to_wamp(error)
            raise ApplicationError(uri, *args, **kwargs) from error
        return _told(page, reason, recovered="after" in request and reason is None)

    def _checked(self, request: Request, details: CallDetails) -> Journal:
        topic, keeping = request["topic"], self._router.keeping
        caller = self._router._session_id_to_session.get(details.caller)
        if caller is None:
            raise Denied("the caller has left", where=topic)
        refusal = self._router.admission.subscribe(caller, topic, "exact") if self._router.admits else None
        if refusal is not None:
            raise refusal
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
