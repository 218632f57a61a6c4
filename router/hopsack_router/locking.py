"""``hopsack.locks.*``: the fabric's locks (:mod:`hopsack_router.locks`) as procedures.

Waiting is a call in flight: it ends with its deadline, its cancellation or its caller, and so does the place in the
queue. ``hopsack.locks.changed`` tells who watches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred

from hopsack.errors import BadRequest, Canceled, Denied, RemoteError, StoreFailed, Unavailable
from hopsack_router.locks import Grants, Held, Locks, Standing, Waiting
from hopsack_router.reading_back import refused

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

CHANGED = "hopsack.locks.changed"

Request = dict[str, Any]


class Locking:
    """The locks of one realm, for its callers.

    :param tell: publishes an event of the node's.
    """

    def __init__(self, router: Router, locks: Locks, tell: Callable[[str, Any], None]) -> None:
        self._router, self._locks, self._tell = router, locks, tell
        self._asked: dict[Waiting, Deferred[Any]] = {}

    def acquire(self, request: Request, details: CallDetails) -> Any:
        """Serve one call.

        :param request: as the contract of ``hopsack.locks.acquire`` has it.
        """
        try:
            return self._acquire(request, self._owner(details))
        except RemoteError as error:
            raise refused(error) from error
        except OSError as error:
            raise refused(_no_token(request["name"])) from error

    def _acquire(self, request: Request, owner: int) -> Any:
        name, attempt = request["name"], request.get("attempt")
        slots, wait = request.get("slots", 1), request.get("wait", True)
        got = self._locks.acquire(name, owner, slots, attempt, wait=wait)
        if not isinstance(got, Waiting):
            if got is not None:
                self._changed(name)
            return {"token": None if got is None else got.token}
        if got in self._asked:
            raise refused(BadRequest("this attempt waits already", where=name, path="/attempt"))
        answer: Deferred[Any] = Deferred(lambda deferred: self._withdraw(got, deferred))
        self._asked[got] = answer
        self._changed(name)
        return answer

    def _withdraw(self, waiting: Waiting, answer: Deferred[Any]) -> None:
        """Its call is cancelled. What the call comes to is told here: else it is logged as a fault of the node's."""
        if self._asked.pop(waiting, None) is not None:
            self._locks.withdraw(waiting)
            self._changed(waiting.name)
        answer.errback(refused(Canceled("the caller waits no more", where=waiting.name)))

    def release(self, request: Request, details: CallDetails) -> None:
        """Serve one call.

        :param request: as the contract of ``hopsack.locks.release`` has it.
        """
        name, owner = request["name"], self._owner(details)
        try:
            if "token" in request:
                grants = self._locks.release(name, owner, request["token"])
            elif "attempt" in request:
                waited, grants = self._locks.abandon(name, owner, request["attempt"])
                if waited is not None:
                    self._asked.pop(waited).cancel()
            else:
                raise BadRequest("nothing says what is released", where=name, advice="give its token, or its attempt")
        except RemoteError as error:
            raise refused(error) from error
        self._grant(grants)
        self._changed(name)

    def turn_away(self, hint: Callable[[], float]) -> None:
        """The node stops: nobody waits any more. Else who waits would be granted what a session held that was told to
        go, and does not know it yet.

        :param hint: seconds that a client should stay away.
        """
        for waiting, answer in list(self._asked.items()):
            del self._asked[waiting]
            self._locks.withdraw(waiting)
            advice, data = "connect again after the time given", {"retry_after": hint(), "ran": "no"}
            answer.errback(refused(Unavailable("the node stops", where=waiting.name, advice=advice, data=data)))

    def listed(self, *_: Any) -> list[dict[str, Any]]:
        """Serve ``hopsack.locks.list``."""
        return [self._facts(one) for one in self._locks.all()]

    def left(self, session: int) -> None:
        """A session has ended."""
        left = self._locks.left(session)
        for waiting in left.waited:
            self._asked.pop(waiting).cancel()
        self._grant(left.grants)
        for name in left.names:
            self._changed(name)

    def _grant(self, grants: Grants) -> None:
        for waiting, held in grants:
            answer = self._asked.pop(waiting)
            if held is None:
                answer.errback(refused(_no_token(waiting.name)))
            else:
                answer.callback({"token": held.token})

    def _owner(self, details: CallDetails) -> int:
        if details.caller not in self._router._session_id_to_session:
            raise refused(Denied("the caller has left"))
        owner: int = details.caller
        return owner

    def _changed(self, name: str) -> None:
        if self._router.is_read(CHANGED):
            self._tell(CHANGED, self._facts(self._locks.standing(name)))

    def _facts(self, standing: Standing) -> dict[str, Any]:
        return {
            "name": standing.name,
            "slots": standing.slots,
            "waiting": standing.waiting,
            "holders": [self._holder(one) for one in standing.holders],
        }

    def _holder(self, held: Held) -> dict[str, Any]:
        session = self._router._session_id_to_session.get(held.owner)
        authid = getattr(session, "_authid", None) or ""
        return {"session": held.owner, "authid": authid, "token": held.token, "since": held.since}


def _no_token(name: str) -> StoreFailed:
    return StoreFailed("no fencing token can be reserved on disk", where=name)
