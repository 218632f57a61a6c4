"""``wamp.session.kill`` and its relatives (WAMP advanced profile, "Session Meta API"), in place of Crossbar's.

    kill(session, reason?, message?)               -> nothing, or no_such_session
    kill_by_authid(authid, reason?, message?)      -> the ids of the sessions that were ended
    kill_by_authrole(authrole, reason?, message?)  -> the same

Nobody ends its own session this way, as the specification says; Crossbar's end it with the others. What happens to a
session that is ended is :meth:`hopsack_router.routing.session.NodeSession.leave`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails, ComponentConfig, RegisterOptions
from twisted.internet.defer import Deferred, gatherResults

from hopsack_router.access.audit import facts_of
from hopsack_router.routing import uris

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

KILL = "wamp.session.kill"
KILLED = "wamp.close.normal"
"""The reason of a GOODBYE where the caller gives none; stock Crossbar's."""


class Kills(ApplicationSession):  # type: ignore[misc]
    """A session of the node's own that takes these procedures over."""

    def __init__(self, router: Router) -> None:
        super().__init__(ComponentConfig(router.realm))
        self._router = router

    def onJoin(self, details: Any) -> Deferred[Any]:
        served = {KILL: self.kill, f"{KILL}_by_authid": self.by_authid, f"{KILL}_by_authrole": self.by_authrole}
        options = RegisterOptions(details_arg="details", force_reregister=True)
        return gatherResults([self.register(procedure, uri, options) for uri, procedure in served.items()])

    def kill(
        self, session_id: int, reason: str | None = None, message: str | None = None, *, details: CallDetails
    ) -> None:
        session = self._router._session_id_to_session.get(session_id)
        if not self._end([session] if session is not None else [], reason, message, details):
            raise ApplicationError(ApplicationError.NO_SUCH_SESSION, f"there is no session {session_id} to end")

    def by_authid(
        self, authid: str, reason: str | None = None, message: str | None = None, *, details: CallDetails
    ) -> list[int]:
        return self._end(self._router._authid_to_sessions.get(authid, ()), reason, message, details)

    def by_authrole(
        self, authrole: str, reason: str | None = None, message: str | None = None, *, details: CallDetails
    ) -> list[int]:
        return self._end(self._router._authrole_to_sessions.get(authrole, ()), reason, message, details)

    def _end(self, sessions: Iterable[Any], reason: str | None, message: str | None, details: CallDetails) -> list[int]:
        """End those of the sessions that are clients' and not the caller's own."""
        if reason is not None and uris.check(reason, restricted=False, where="reason") is not None:
            raise ApplicationError(ApplicationError.INVALID_ARGUMENT, f"the reason {reason!r} is not a URI")
        ended = []
        for session in list(sessions):
            session_id = session._session_id
            if session._authrole not in (None, "trusted") and session_id != details.caller:
                facts = facts_of(session) | {"reason": reason or KILLED, "message": message}
                session.leave(reason, message)
                ended.append(session_id)
                self._router.audit.note("ended", **facts, by=details.caller_authid)
        return ended
