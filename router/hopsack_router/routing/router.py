"""The realm's router: admission in front of Crossbar's dispatch.

``process`` is the one path of every message of every door. What admission refuses is answered here, in the shape of
the request; what passes goes to broker or dealer. ``authorize``, which Crossbar's broker and dealer still ask, then
has nothing left to decide.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError, ProtocolError
from crossbar.router.router import Router as CrossbarRouter
from crossbar.router.router import RouterFactory as CrossbarRouterFactory
from crossbar.router.session import RouterApplicationSession
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from hopsack.contracts import PERMISSIVE, Catalogue
from hopsack.errors import BrokenResult, RemoteError, to_wamp
from hopsack_router import metrics
from hopsack_router.presence import Presence
from hopsack_router.routing.admission import Admission
from hopsack_router.routing.broker import Broker
from hopsack_router.routing.dealer import Dealer

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

LOG = Logger()
"""Ours; ``self.log`` is Crossbar's, with levels of its own."""

_ALLOWED = {"allow": True, "cache": False, "disclose": True}
_UNDISCLOSED = {"allow": True, "cache": False, "disclose": False}

YIELD_REPORTS_TO = "hopsack-"
"""Sessions whose agent starts so understand an ERROR for their YIELD; stock clients would close the connection."""


class Router(CrossbarRouter):  # type: ignore[misc]
    """Routes one realm."""

    broker = Broker
    dealer = Dealer

    def __init__(self, factory: RouterFactory, *args: Any, **kwargs: Any) -> None:
        self.admission = Admission(factory.catalogue)
        self.presence = Presence()
        super().__init__(factory, *args, **kwargs)

    # ---- sessions ------------------------------------------------------------------------------------------------

    def attach(self, session: NodeSession) -> dict[str, Any]:
        if session._session_id in self._session_id_to_session:
            raise ProtocolError(f"session {session._session_id} is already attached")
        self._session_id_to_session[session._session_id] = session
        self._broker.attach(session)
        self._dealer.attach(session)
        self._attached += 1
        return {"broker": self._broker._role_features, "dealer": self._dealer._role_features}

    def detach(self, session: NodeSession | None = None) -> list[int]:
        sessions = list(self._session_id_to_session.values()) if session is None else [session]
        return [self._detach(one) for one in sessions]

    def say_goodbye(self) -> None:
        """Tell every client that the node ends (WAMP basic profile, section 4.2.3)."""
        for session in list(self._session_id_to_session.values()):
            if getattr(session, "door", None) and session._transport is not None:
                session.leave("wamp.close.system_shutdown", "the node is stopping")

    def authorize(
        self, session: NodeSession, uri: str, action: str, options: dict[str, Any]
    ) -> Deferred[dict[str, Any]]:
        """Admission has decided in :meth:`process`. What is left is disclosure: callees learn who calls."""
        return succeed(_ALLOWED if action != "publish" or session._authrole == "trusted" else _UNDISCLOSED)

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Admission has checked the payload."""

    # ---- messages ------------------------------------------------------------------------------------------------

    def send(self, session: NodeSession, msg: message.Message) -> None:
        transport = session._transport
        if transport is None or (type(msg) is message.Interrupt and isinstance(transport, RouterApplicationSession)):
            return  # gone, or a component of the node: Crossbar's cannot be interrupted
        transport.send(msg)

    def process(self, session: NodeSession, msg: message.Message) -> None:
        kind = type(msg)
        metrics.messages.labels(kind.__name__.lower()).inc()
        if session._authrole != "trusted":
            msg = self._admit(session, msg, kind)
            if msg is None:
                return
        self._dispatch(session, msg, kind if type(msg) is kind else type(msg))

    def _dispatch(self, session: NodeSession, msg: message.Message, kind: type) -> None:
        route = _ROUTES.get(kind)
        if route is None:
            raise ProtocolError(f"unexpected message {kind.__name__}")
        owner, method = route
        try:
            getattr(getattr(self, owner), method)(session, msg)
        except ProtocolError:
            raise
        except PayloadExceededError:
            metrics.oversized.labels(session.door).inc()
            LOG.warn("a message to session {session} is larger than it takes", session=session._session_id)
        except Exception:
            LOG.failure("the router failed on a message", kind=kind.__name__)
            self.refuse(session, msg, RemoteError("the node failed on this message; its log has the details"))

    def _admit(self, session: NodeSession, msg: message.Message, kind: type) -> message.Message | None:
        gate, refusal = self.admission, None
        if kind is message.Publish:
            if msg.payload is None:
                refusal = gate.publish(session, msg.topic, msg.args, msg.kwargs)
            else:
                refusal = gate.publish_opaque(session, msg.topic)
        elif kind is message.Call:
            refusal = gate.call(session, msg.procedure, msg.args, msg.kwargs)
        elif kind is message.Yield:
            return self._admit_result(session, msg)
        elif kind is message.Error:
            return self._admit_error(session, msg)
        elif kind is message.Subscribe:
            refusal = gate.subscribe(session, msg.topic, msg.match or "exact")
        elif kind is message.Register:
            refusal = gate.register(session, msg.procedure, msg.match or "exact")
        if refusal is None:
            return msg
        self.refuse(session, msg, refusal)
        return None

    def refuse(self, session: NodeSession, msg: message.Message, refusal: RemoteError) -> None:
        """Answer a request with an error, where WAMP has a place for one."""
        metrics.refusals.labels(refusal.code).inc()
        kind = type(msg)
        if kind not in _ANSWERABLE or (kind is message.Publish and not msg.acknowledge):
            LOG.info("refused from {authid}: {refusal}", authid=session._authid, refusal=refusal)
            return
        uri, args, kwargs = to_wamp(refusal)
        if kind in _ABOUT_TOPICS and uri == ApplicationError.NO_SUCH_PROCEDURE:
            uri = refusal.code  # WAMP has no URI of its own for a topic that does not exist
        self.send(session, message.Error(kind.MESSAGE_TYPE, msg.request, uri, args=args, kwargs=kwargs))

    # ---- answers of callees ---------------------------------------------------------------------------------------

    def _admit_result(self, session: NodeSession, msg: message.Yield) -> message.Message:
        invocation = self._dealer.invocation(msg.request)
        if invocation is None or msg.payload is not None or invocation.callee is not session:
            return msg
        procedure = invocation.call.procedure
        violation = self.admission.result(procedure, msg.args, msg.kwargs)
        if violation is None:
            return msg
        broken = BrokenResult(violation.message, where=procedure, path=violation.path)
        self._report(session, message.Yield.MESSAGE_TYPE, msg.request, broken)
        return _error_instead(
            msg.request, BrokenResult(where=procedure, advice="its service's log says what was wrong")
        )

    def _admit_error(self, session: NodeSession, msg: message.Error) -> message.Message:
        invocation = self._dealer.invocation(msg.request)
        if invocation is None or msg.payload is not None or invocation.callee is not session:
            return msg
        incident = secrets.token_hex(4)
        answer = self.admission.error(invocation.call.procedure, msg.error, msg.args, msg.kwargs, incident)
        if answer.report is not None:
            LOG.warn("incident {incident}: {args!r}", incident=incident, args=(msg.args or [])[:1])
            self._report(session, message.Invocation.MESSAGE_TYPE, msg.request, answer.report)
        return msg if answer.error is None else _error_instead(msg.request, answer.error)

    def _report(self, session: NodeSession, request_type: int, request: int, report: RemoteError) -> None:
        """Tell a callee that its answer broke the contract: in the log, and on the wire if it can take it."""
        metrics.refusals.labels(report.code).inc()
        LOG.warn("from {authid}: {report}", authid=session._authid, report=report)
        if session.agent and session.agent.startswith(YIELD_REPORTS_TO) and request_type == message.Yield.MESSAGE_TYPE:
            uri, args, kwargs = to_wamp(report)
            self.send(session, YieldError(request, uri, args, kwargs))


class YieldError(message.Error):  # type: ignore[misc]
    """An ERROR in answer to a YIELD, which WAMP does not have: sent only to clients of ours."""

    def __init__(self, request: int, uri: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        super().__init__(message.Invocation.MESSAGE_TYPE, request, uri, args=args, kwargs=kwargs)
        self._request_type = message.Yield.MESSAGE_TYPE

    def marshal(self) -> list[Any]:
        marshalled: list[Any] = super().marshal()
        marshalled[1] = message.Yield.MESSAGE_TYPE
        return marshalled


def _error_instead(request: int, error: RemoteError) -> message.Error:
    uri, args, kwargs = to_wamp(error)
    return message.Error(message.Invocation.MESSAGE_TYPE, request, uri, args=args, kwargs=kwargs)


_ANSWERABLE = frozenset(
    (message.Publish, message.Call, message.Subscribe, message.Unsubscribe, message.Register, message.Unregister)
)

_ABOUT_TOPICS = frozenset((message.Publish, message.Subscribe, message.Unsubscribe))

_ROUTES = {
    message.Publish: ("_broker", "processPublish"),
    message.Subscribe: ("_broker", "processSubscribe"),
    message.Unsubscribe: ("_broker", "processUnsubscribe"),
    message.Register: ("_dealer", "processRegister"),
    message.Unregister: ("_dealer", "processUnregister"),
    message.Call: ("_dealer", "processCall"),
    message.Cancel: ("_dealer", "processCancel"),
    message.Yield: ("_dealer", "processYield"),
    message.Error: ("_dealer", "processInvocationError"),
}


class RouterFactory(CrossbarRouterFactory):  # type: ignore[misc]
    """Makes routers for realms; set ``catalogue`` before a realm starts."""

    router = Router
    catalogue: Catalogue = PERMISSIVE
