"""The realm's router: admission in front of Crossbar's dispatch.

``process`` is the one path of every message of every door. What admission refuses is answered here, in the shape of
the request; what passes goes to broker or dealer. ``authorize``, which Crossbar's broker and dealer still ask, then
has nothing left to decide.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError, ProtocolError, TransportLost
from crossbar.router.router import Router as CrossbarRouter
from crossbar.router.router import RouterFactory as CrossbarRouterFactory
from crossbar.router.session import RouterApplicationSession
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack.contracts import PERMISSIVE, Catalogue, Violation
from hopsack.errors import BadRequest, BrokenResult, Denied, Internal, Overloaded, RemoteError, to_wamp
from hopsack.wamp.codec import Malformed
from hopsack_router import metrics
from hopsack_router.access.audit import UNWRITTEN, Notes, facts_of
from hopsack_router.access.identity import Identity
from hopsack_router.access.logins import Logins
from hopsack_router.access.meters import Limits
from hopsack_router.access.publickeys import PublicKeys
from hopsack_router.access.revocations import Revocations
from hopsack_router.fences import in_memory
from hopsack_router.locking import Locking
from hopsack_router.locks import Locks
from hopsack_router.presence import Member, Presence
from hopsack_router.routing import asked, joining, limiting, sealing, unread
from hopsack_router.routing.admission import UNNAMED, Admission
from hopsack_router.routing.attending import Attending
from hopsack_router.routing.broker import Broker
from hopsack_router.routing.dealer import Dealer
from hopsack_router.routing.deciding import Guests
from hopsack_router.routing.flowing import broken
from hopsack_router.routing.keeping import Keeping
from hopsack_router.routing.links import BUDGETS, DEFAULT_BUDGET
from hopsack_router.routing.turns import Turns
from hopsack_router.runs import Runs
from hopsack_router.streams import Journal

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession
    from hopsack_router.session_life import SessionLife

LOG = Logger()
"""Ours; ``self.log`` is Crossbar's, with levels of its own."""

Go = Callable[[dict[str, Any]], object]
"""Carries out a request, given Crossbar's authorization of it."""

Action = Literal["subscribe", "register"]

_ALLOWED = {"allow": True, "cache": False, "disclose": True}
_UNDISCLOSED = {"allow": True, "cache": False, "disclose": False}
_NOBODY = {"allow": False, "cache": False, "disclose": False}

REPORTS_TO = "hopsack-"
"""WAMP sessions whose agent starts so understand an ERROR for their answer; stock clients would hang up over it."""


class Router(CrossbarRouter):  # type: ignore[misc]
    """Routes one realm.

    :ivar admission: the gate.
    :ivar admits: whether the gate decides; else Crossbar's own roles do.
    :ivar audit: where it is noted what somebody may have to answer for.
    :ivar keeping: what is kept of its events; ``None``: nothing is.
    :ivar life: how its sessions go on and end, from the node's own on.
    :ivar attending: who reads the topics that tell it; ``None``: none does.
    """

    broker = Broker
    dealer = Dealer

    def __init__(self, factory: RouterFactory, *args: Any, **kwargs: Any) -> None:
        self.admits = factory.catalogue is not None
        self.admission = Admission(factory.catalogue or PERMISSIVE, factory.explains, factory.guests)
        self.keeping = Keeping(factory.catalogue, factory.journal) if factory.catalogue and factory.journal else None
        self.attending = Attending.of(self.keeping)
        self.presence = Presence()
        self.audit = factory.audit
        self.locking: Locking | None = None
        self.life: SessionLife | None = None
        self.turns = Turns()
        self._announcements: list[tuple[Any, ...]] = []
        self._runs = Runs(monotonic)
        super().__init__(factory, *args, **kwargs)
        self._authid_to_sessions = Namesakes()
        self._routes = self._all_routes()
        self._role_features = {"broker": self._broker._role_features, "dealer": self._dealer._role_features}
        self.announced = joining.announced(self._role_features)

    # ---- sessions ------------------------------------------------------------------------------------------------

    def attach(self, session: NodeSession) -> dict[str, Any]:
        if session._session_id in self._session_id_to_session:
            raise ProtocolError(f"session {session._session_id} is already attached")
        self._session_id_to_session[session._session_id] = session
        self._broker.attach(session)
        self._dealer.attach(session)
        self._attached += 1
        return self._role_features

    def _session_joined(self, session: NodeSession, details: Any) -> None:
        self._authid_to_sessions.add(details.authid, session)
        self._authrole_to_sessions.setdefault(details.authrole, set()).add(session)
        if self._store:
            self._store.store_session_joined(session, details)

    def _session_left(self, session: NodeSession, member: Member, details: Any) -> None:
        self._authid_to_sessions.discard(member.authid, session)
        self._authrole_to_sessions[member.role].discard(session)
        if self._store:
            self._store.store_session_left(session, details)

    def new_locks(self, wall: Callable[[], float]) -> Locks:
        """Where fencing tokens are reserved on disk, they grow over restarts too."""
        return Locks(self._factory.fences or in_memory(wall), wall)

    def budget_of(self, role: str) -> int:
        """Bytes that may wait unsent for one connection of this role."""
        budgets: Mapping[str, int] = self._factory.budgets
        return budgets.get(role, budgets[""])

    def forbids(self, session: NodeSession, action: Action, uri: str, match: str) -> RemoteError | None:
        """What is against a subscription or registration that a session has got, or is about to get."""
        if not self.admits or session._authrole == "trusted":
            return None
        ask: Any = self.admission.subscribe if action == "subscribe" else self.admission.register
        refusal: RemoteError | None = ask(session, uri, match)
        return refusal

    def _session_renewed(self, session: NodeSession, was: Member, now: Member) -> None:
        """It has another role."""
        self._authrole_to_sessions[was.role].discard(session)
        self._authrole_to_sessions.setdefault(now.role, set()).add(session)
        self.presence.left(was.session)
        self.presence.joined(now)

    def has_role(self, uri: str) -> bool:
        return uri in self._roles

    def detach(self, session: NodeSession | None = None) -> list[int]:
        sessions = list(self._session_id_to_session.values()) if session is None else [session]
        for one in sessions:
            self.turns.drop(one)
        return [self._detach(one) for one in sessions]

    def serves(self, procedure: str) -> bool:
        return self._dealer._registration_map.get_observation(procedure) is not None

    def authorize(
        self, session: NodeSession, uri: str, action: str, options: dict[str, Any]
    ) -> Deferred[dict[str, Any]]:
        """Admission has decided in :meth:`process`. What is left is disclosure: callees learn who calls."""
        if not self.admits:
            return self._ask_role(session, uri, action, options)
        return succeed(_ALLOWED if action != "publish" or session._authrole == "trusted" else _UNDISCLOSED)

    def _ask_role(
        self, session: NodeSession, uri: str, action: str, options: dict[str, Any]
    ) -> Deferred[dict[str, Any]]:
        """What Crossbar's role says, asked each time whatever it says of ``cache``.

        Stock Crossbar keeps one answer for all users of a role, and gives one user's permission to the next.
        """
        role = self._roles.get(session._authrole)
        if role is None:
            return succeed(dict(_NOBODY))
        asked: Deferred[Any] = maybeDeferred(role.authorize, session, uri, action, options)
        return asked.addCallback(_whole, disclose=session._authrole == "trusted" and action in ("call", "publish"))

    def permit(
        self,
        session: NodeSession,
        msg: message.Message,
        uri: str,
        action: str,
        go: Go,
    ) -> None:
        """Carry out a request if its sender may: with ``go(authorization)``, now or when Crossbar's roles have decided.

        One of those roles may be a remote procedure. What the session sends meanwhile waits its turn.
        """

        options = {} if self.admits else msg.marshal_options()
        decided: list[Any] = []
        asked = self.authorize(session, uri, action, options)
        asked.addBoth(decided.append)
        if decided:
            self._decided(session, msg, uri, go, decided[0])
            return
        self.turns.wait(session)
        asked.addCallback(lambda _: self.turns.resume(session, lambda: self._late(session, msg, uri, go, decided[0])))

    def _decided(self, session: NodeSession, msg: message.Message, uri: str, go: Go, answer: Any) -> None:
        if isinstance(answer, Failure):
            LOG.failure("an authorizer failed", failure=answer)
            failed = ApplicationError.AUTHORIZATION_FAILED
            self.refuse(session, msg, RemoteError("the authorizer failed", code=failed, where=uri))
        elif answer["allow"]:
            go(answer)
        else:
            self.refuse(session, msg, Denied(where=uri))

    def _late(self, session: NodeSession, msg: message.Message, uri: str, go: Go, answer: Any) -> None:
        try:
            self._decided(session, msg, uri, go, answer)
        except Exception as error:
            self._failed(session, msg, error)

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Admission has checked the payload."""

    def is_read(self, topic: str) -> bool:
        """Whether anybody would get an event of the node's own: else there is no need to make it."""
        return bool(self._broker.is_read(topic))

    def tell(self, topic: str, fact: Callable[[], Any]) -> None:
        """Publish a meta event (WAMP advanced profile, section 16) now, if anybody would get it."""
        service = self._meta_service(topic)
        if service is not None:
            service.publish(topic, fact())

    def _meta_service(self, topic: str) -> Any:
        """The session that publishes meta events; ``None`` if nobody would get this one.

        It may show them outside the realm too (Crossbar's ``bridge_meta_api``), where nobody can be asked.
        """
        service = self._realm.session if self._realm else None
        if service is None:
            return None
        is_bridged = len(getattr(service, "_expose_on_sessions", ())) > 1
        return service if is_bridged or self._broker.is_read(topic) else None

    def announce(self, topic: str, *facts: Any) -> None:
        """The same for what happens in the middle of a message: when this turn is over."""
        if not self._announcements:
            self._factory._reactor.callLater(0, self._publish_announcements)
        self._announcements.append((topic, *facts))

    def _publish_announcements(self) -> None:
        announcements, self._announcements = self._announcements, []
        for topic, *facts in announcements:
            service = self._meta_service(topic)
            if service is not None:
                service.publish(topic, *facts)

    # ---- messages ------------------------------------------------------------------------------------------------

    def send(self, session: NodeSession, msg: message.Message) -> None:
        transport = session._transport
        if transport is None:
            return  # gone
        if type(msg) is message.Interrupt and isinstance(transport, RouterApplicationSession):
            session.onMessage(msg)  # a component of the node; Crossbar's way to it does not know INTERRUPT
            return
        with suppress(TransportLost):  # going
            transport.send(msg)

    def process(self, session: NodeSession, msg: message.Message) -> None:
        """Take one message of a session through admission to broker or dealer.

        :raises ProtocolError: no client may send this; the connection cannot go on.
        """
        route = self._routes.get(type(msg))
        if route is None:
            raise ProtocolError(f"unexpected message {type(msg).__name__}")
        route.received.n += 1
        if self.turns and route.waits and session in self.turns:
            self._hold(session, msg)
            return
        admitted: message.Message | None = msg
        try:
            if self.admits and session._authrole == "trusted":
                if type(msg) is message.Error:
                    admitted = self._admit_own_error(msg)
            elif self.admits:
                if session.meter is not None and limiting.exceeds(self, session, msg, route.kind):
                    return
                admitted = route.admit(session, msg)
            if admitted is not None:
                (route if admitted is msg else self._routes[type(admitted)]).carry_out(session, admitted)
        except ProtocolError:
            raise
        except Exception as error:
            self._failed(session, msg, error)

    def _hold(self, session: NodeSession, msg: message.Message) -> None:
        if not self.turns.hold(session, lambda: self.process(session, msg)):
            full = Overloaded("too many requests of this session wait for an authorizer", data={"retry_after": 1})
            self.refuse(session, msg, full)

    def after_held(self, session: NodeSession, step: Callable[[], object]) -> bool:
        """Take a step of the session's after what of it waits, if anything does and there is room."""
        return session in self.turns and self.turns.hold(session, step)

    def _failed(self, session: NodeSession, msg: message.Message, error: Exception) -> None:
        match error:
            case Malformed():
                self.refuse(session, msg, RemoteError(str(error), code="hopsack.malformed"))
            case PayloadExceededError():
                metrics.oversized.labels(session.door).inc()
                LOG.warn("for session {session}: {error}", session=session._session_id, error=error)
            case _:
                LOG.failure("the router failed on a message", Failure(error), kind=type(msg).__name__)
                self.refuse(session, msg, RemoteError("the node failed on this message; its log has the details"))

    def _all_routes(self) -> dict[type, _Route]:
        broker, dealer = self._broker, self._dealer
        routes = (
            _Route(message.Publish, self._admit_publish, broker.processPublish),
            _Route(message.Subscribe, self._admit_subscribe, broker.processSubscribe),
            _Route(message.Unsubscribe, self._admit_unread, broker.processUnsubscribe),
            _Route(message.Register, self._admit_register, dealer.processRegister),
            _Route(message.Unregister, self._admit_unread, dealer.processUnregister),
            _Route(message.Call, self._admit_call, dealer.processCall),
            _Route(message.Cancel, self._admit_unread, dealer.processCancel),
            _Route(message.Yield, self._admit_result, dealer.processYield),
            _Route(message.Error, self._admit_error, dealer.processInvocationError),
            _Route(asked.Rate, self._admit_unread, broker.processRate),
            _Route(asked.More, self._admit_unread, dealer.processMore),
        )
        by_kind: dict[type, _Route] = {route.kind: route for route in routes}
        keyed = _Route(message.Publish, self._admit_keyed_publish, broker.processPublish)
        ours = {
            asked.Subscribe: by_kind[message.Subscribe],
            asked.Publish: keyed,
            unread.KeyedPublish: keyed,
            asked.Call: by_kind[message.Call],
        }
        return by_kind | {kind: by_kind[read] for kind, read in unread.KINDS.items()} | ours

    def _admit_publish(self, session: NodeSession, msg: message.Publish) -> message.Message | None:
        _forget_routers(msg)
        if msg.payload is None:
            args, kwargs = unread.carried_by(msg).values()
            admitted = self._judged(session, msg, self.admission.publish(session, msg.topic, args, kwargs))
            is_clear = admitted is None or not self.admission.seals or not self.admission.is_sealed(msg.topic)
            return admitted if is_clear else sealing.opaque(msg)
        sealed = self.admission.publish_opaque(session, msg.topic, msg.enc_algo, msg.enc_serializer, msg.enc_key)
        return self._judged(session, msg, sealed)

    def _admit_keyed_publish(self, session: NodeSession, msg: message.Publish) -> message.Message | None:
        if not msg.delete:
            return self._admit_publish(session, msg)
        return self._judged(session, msg, self.admission.delete(session, msg.topic, msg.args, msg.kwargs))

    def _admit_call(self, session: NodeSession, msg: message.Call) -> message.Message | None:
        _forget_routers(msg)
        flowing = self._dealer.flowing
        if flowing.fed and (flow := flowing.fed_by(session, msg)) is not None:
            return self._admit_input(session, msg, flow.call)
        terms = getattr(msg, "terms", None)
        if terms is not None:
            refusal = terms if type(terms) is BadRequest else self.admission.inputs(msg.procedure, terms)
            if refusal is not None:
                return self._judged(session, msg, refusal)
        if msg.payload is None:
            args, kwargs = unread.carried_by(msg).values()
            refusal = self.admission.call(session, msg.procedure, args, kwargs)
            if refusal is None and session._authrole == "operator":
                self._note_operation(session, msg.procedure)
            return self._judged(session, msg, refusal)
        return self._judged(session, msg, self.admission.call_opaque(session, msg.procedure))

    def _admit_input(self, session: NodeSession, msg: message.Call, in_flight: Any) -> message.Message | None:
        """A further input of a call. One that breaks the contract ends the call; the last one may be empty."""
        if in_flight is None:
            return msg  # the call has ended meanwhile
        procedure, terms = in_flight.call.procedure, getattr(msg, "terms", None)
        if type(terms) is BadRequest:
            self._dealer.give_up(in_flight, terms)
            return None
        if msg.payload is not None:
            return msg  # the first input was opaque, too: there is no contract
        args, kwargs = unread.carried_by(msg).values()
        if not args and not kwargs and (terms is None or not terms.progress):
            return msg
        refusal = self.admission.further_input(procedure, args, kwargs)
        if refusal is None:
            return msg
        self._dealer.give_up(in_flight, refusal)
        return None

    def goes_on(self, session: NodeSession, call: message.Call) -> bool:
        """Whether this is a further input of a call."""
        fed = self._dealer.flowing.fed
        return bool(fed) and self._dealer.flowing.fed_by(session, call) is not None

    def is_asked(self, session: NodeSession, answer: message.Message) -> bool:
        """Whether a session answers what it was asked."""
        invocation = self._dealer.invocation(answer.request)
        return invocation is not None and invocation.callee is session

    def admit_calls(self, may: Callable[[NodeSession, message.Call], bool]) -> None:
        """From now on ask this first about every call of a client's; it answers what it does not let pass."""

        def admit(session: NodeSession, msg: message.Call) -> message.Message | None:
            goes_on = self._dealer.flowing.fed_by(session, msg) is not None
            return self._admit_call(session, msg) if goes_on or may(session, msg) else None

        self._routes[message.Call].admit = admit

    def _admit_subscribe(self, session: NodeSession, msg: message.Subscribe) -> message.Message | None:
        return self._judged(session, msg, self.admission.subscribe(session, msg.topic, msg.match or "exact"))

    def _admit_register(self, session: NodeSession, msg: message.Register) -> message.Message | None:
        return self._judged(session, msg, self.admission.register(session, msg.procedure, msg.match or "exact"))

    def _admit_unread(self, session: NodeSession, msg: message.Message) -> message.Message | None:
        """What only names something the session has already got."""
        return msg

    def _judged(
        self, session: NodeSession, msg: message.Message, refusal: RemoteError | None
    ) -> message.Message | None:
        if refusal is None:
            return msg
        self.refuse(session, msg, refusal)
        return None

    def refuse(self, session: NodeSession, msg: message.Message, refusal: RemoteError) -> None:
        """Answer a request with an error, where WAMP has a place for one."""
        metrics.refusals.labels(refusal.code).inc()
        kind: Any = self._routes[type(msg)].kind
        if refusal.code == Denied.CODE:
            self.note_denial(session, kind.__name__.lower(), refusal)
        if kind not in _ANSWERABLE or (kind is message.Publish and not msg.acknowledge):
            self._tell_of_unanswered(session, refusal)
            return
        if kind is message.Call:
            self._dealer.flowing.refused(session, msg)
        uri, args, kwargs = to_wamp(refusal)
        if kind in _ABOUT_TOPICS and uri == ApplicationError.NO_SUCH_PROCEDURE:
            uri = refusal.code  # WAMP has no URI of its own for a topic that does not exist
        self.send(session, message.Error(kind.MESSAGE_TYPE, msg.request, uri, args=args, kwargs=kwargs))

    def _tell_of_unanswered(self, session: NodeSession, refusal: RemoteError) -> None:
        """The log has what a client is not told, but not a thousand times a second."""
        count = self._runs.again((session._authid, refusal.code))
        if count:
            said = "refused from {authid}: {refusal} ({count}, this is the last one)"
            LOG.info(said, authid=session._authid, refusal=refusal, count=count)

    def note_denial(self, session: NodeSession, action: str, refusal: RemoteError) -> None:
        """What somebody wanted and may not, in the audit log."""
        rule = refusal.rule if isinstance(refusal, Denied) else None
        facts = facts_of(session) | {"action": action, "uri": refusal.where, "rule": rule}
        self.audit.note("denied", **facts)

    def _note_operation(self, session: NodeSession, procedure: str) -> None:
        """What only operators may call, in the audit log: that they did, not with what. Dashboards look all day long,
        and what takes no input is only looked at."""
        contract = self.admission.catalogue.procedure(procedure)
        if contract is not None:
            acts = contract.takes_input and set(contract.call.entries) <= _OPERATORS
        else:
            acts = procedure.startswith("wamp.") and not procedure.rpartition(".")[2].startswith(_LOOKS)
        if acts:
            self.audit.note("admin", **facts_of(session), procedure=procedure)

    # ---- answers of callees ---------------------------------------------------------------------------------------

    def _admit_result(self, session: NodeSession, msg: message.Yield) -> message.Message | None:
        invocation = self._dealer.invocation(msg.request)
        if invocation is None or invocation.callee is not session:
            return msg
        procedure = invocation.call.procedure
        if msg.payload is None:
            check = self.admission.progress if msg.progress else self.admission.result
            try:
                violation = check(procedure, *unread.carried_by(msg).values())
            except Malformed as malformed:  # its caller waits all the same
                violation = Violation("", str(malformed))
        else:
            violation = self.admission.answer_opaque(procedure)
        if violation is None:
            return msg
        if msg.progress:
            self._report(session, msg.request, _report_of(violation, procedure))
            self._dealer.give_up(invocation, broken(procedure))
            return None
        answer = BrokenResult(where=procedure, advice="its service's log says what was wrong")
        return self._withhold(session, msg.request, violation, answer)

    def _admit_error(self, session: NodeSession, msg: message.Error) -> message.Message:
        invocation = self._dealer.invocation(msg.request)
        if invocation is None or invocation.callee is not session:
            return msg
        procedure = invocation.call.procedure
        violation = None if msg.payload is None else self.admission.answer_opaque(procedure)
        if violation is not None:
            return self._withhold(session, msg.request, violation, BrokenResult(where=procedure))
        if msg.payload is not None:
            return msg
        incident = secrets.token_hex(4)
        answer = self.admission.error(procedure, msg.error, msg.args, msg.kwargs, incident)
        if answer.report is not None:
            LOG.warn("incident {incident}: {args!r}", incident=incident, args=(msg.args or [])[:1])
            self._report(session, msg.request, answer.report)
        return msg if answer.error is None else _error_instead(msg.request, answer.error)

    def _admit_own_error(self, msg: message.Error) -> message.Error:
        """A procedure of the node's own has failed: no exception's text leaves it either."""
        invocation = self._dealer.invocation(msg.request)
        if invocation is None or msg.error != UNNAMED or (msg.kwargs or {}).get("code"):
            return msg
        incident = secrets.token_hex(4)
        LOG.warn("incident {incident}: {args!r}", incident=incident, args=(msg.args or [])[:1])
        advice = "see that its arguments are those that it takes"
        answer = Internal(where=invocation.call.procedure, advice=advice, data={"incident": incident})
        return _error_instead(msg.request, answer)

    def _withhold(
        self, session: NodeSession, request: int, violation: Violation, answer: BrokenResult
    ) -> message.Error:
        """The callee is told what broke the contract; the caller gets ``answer`` in its place."""
        self._report(session, request, _report_of(violation, answer.where))
        return _error_instead(request, answer)

    def _report(self, session: NodeSession, request: int, report: RemoteError) -> None:
        """Tell a callee that its answer broke the contract: in the log, and on the wire if it can take it."""
        metrics.refusals.labels(report.code).inc()
        count = self._runs.again((session._authid, report.code, report.where))
        if count:
            said = "from {authid}: {report} ({count}, this is the last one)"
            LOG.warn(said, authid=session._authid, report=report, count=count)
        if session.door == "raw" or (session.agent and session.agent.startswith(REPORTS_TO)):
            uri, args, kwargs = to_wamp(report)
            self.send(session, YieldError(request, uri, args, kwargs))


def _forget_routers(msg: Any) -> None:
    """Routers tell each other for whom they forward (WAMP advanced profile, router-to-router links); no client does."""
    if msg.forward_for is not None:
        msg.forward_for = None


class Namesakes:
    """The sessions by authid. Most have one of their own: they are kept without a set around each."""

    __slots__ = ("_by_authid",)

    def __init__(self) -> None:
        self._by_authid: dict[str, Any] = {}

    def add(self, authid: str, session: NodeSession) -> None:
        known = self._by_authid.setdefault(authid, session)
        if type(known) is set:
            known.add(session)
        elif known is not session:
            self._by_authid[authid] = {known, session}

    def discard(self, authid: str, session: NodeSession) -> None:
        known = self._by_authid.get(authid)
        if type(known) is set:
            known.discard(session)
        if known is session or known == set():
            del self._by_authid[authid]

    def get(self, authid: str, default: Any = frozenset()) -> Any:
        """A set of them; the default if there is none."""
        known = self._by_authid.get(authid)
        return default if known is None else known if type(known) is set else {known}

    __getitem__ = get

    def __contains__(self, authid: object) -> bool:
        return authid in self._by_authid


class _Route:
    """The way of one kind of message through a router.

    :ivar kind: Autobahn's class of it.
    :ivar admit: asks admission.
    :ivar carry_out: what broker or dealer do with it.
    :ivar waits: whether it keeps its place behind a request of the session's that is still being decided.
    :ivar received: how many there were.
    """

    __slots__ = ("admit", "carry_out", "kind", "received", "waits")

    def __init__(self, kind: type, admit: Callable[..., Any], carry_out: Callable[..., None]) -> None:
        self.kind = kind
        self.admit = admit
        self.carry_out = carry_out
        self.waits = kind not in (message.Yield, message.Error, asked.More)
        self.received = metrics.messages.tally(kind.__name__.lower())


def _whole(answer: Any, disclose: bool) -> dict[str, Any]:
    """An authorizer's answer, which may be a bare yes or no, as a dict."""
    known: dict[str, Any] = {**_NOBODY, "allow": answer} if isinstance(answer, bool) else answer
    return {**known, "disclose": True} if disclose else known


class YieldError(message.Error):  # type: ignore[misc]
    """An ERROR about a callee's YIELD or ERROR, which WAMP does not have: sent only to clients of ours."""

    def __init__(self, request: int, uri: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        super().__init__(message.Invocation.MESSAGE_TYPE, request, uri, args=args, kwargs=kwargs)
        self._request_type = message.Yield.MESSAGE_TYPE

    def marshal(self) -> list[Any]:
        marshalled: list[Any] = super().marshal()
        marshalled[1] = message.Yield.MESSAGE_TYPE
        return marshalled


def _report_of(violation: Violation, procedure: str | None) -> BrokenResult:
    return BrokenResult(violation.message, where=procedure, path=violation.path)


def _error_instead(request: int, error: RemoteError) -> message.Error:
    uri, args, kwargs = to_wamp(error)
    return message.Error(message.Invocation.MESSAGE_TYPE, request, uri, args=args, kwargs=kwargs)


_ANSWERABLE = frozenset(
    (
        message.Publish,
        message.Call,
        message.Subscribe,
        message.Unsubscribe,
        message.Register,
        message.Unregister,
        asked.Rate,
    )
)

_OPERATORS = frozenset(("operator",))
_LOOKS = ("list", "count", "get", "lookup", "match")
"""What names of the meta procedures begin with that change nothing (WAMP advanced profile)."""

_ABOUT_TOPICS = frozenset((message.Publish, message.Subscribe, message.Unsubscribe))


def _none_of_them(_subject: str) -> int:
    """There are no public keys."""
    return 0


def _welcome(identity: Identity) -> None:
    """Nothing is against anybody."""


class RouterFactory(CrossbarRouterFactory):  # type: ignore[misc]
    """Makes routers for realms; set ``catalogue`` and ``journal`` before a realm starts."""

    router = Router
    _routers: dict[str, Router]
    catalogue: Catalogue | None = PERMISSIVE
    """The contracts; ``None`` leaves the decisions to Crossbar's own roles, as its own tests want."""
    journal: Journal | None = None
    """The next realm's; it has been started. ``None``: no event is kept, whatever contracts say."""
    revocations: Revocations | None = None
    """Who may not come any more."""
    revoke_keys: Callable[[str], int] = staticmethod(_none_of_them)
    """Takes a subject, all of whose public keys are accepted no longer, and gives their number."""
    grace: float = 10.0
    """Seconds that a session goes on after its token has expired."""
    audit: Notes = UNWRITTEN
    """Where logins, denials and what operators do are noted."""
    limits: Limits | None = None
    """How much clients may do, and what they have spent of it; ``None``: as much as they like."""
    limit_changes: Any = None
    """Where changes of theirs are kept (``limit_desk.Changes``); ``None``: nowhere."""
    fences: Callable[[], int] | None = None
    """Gives fencing tokens; ``None``: they are counted in memory."""
    budgets: Mapping[str, int] = {**BUDGETS, "": DEFAULT_BUDGET}
    """Bytes that may wait unsent for one connection, by role; ``""`` is every other."""
    explains = True
    """Whether a refusal names its rule; an operator is always told."""
    guests: Guests = "all"
    """What is left to guests of what contracts grant them (``HOPSACK_GUESTS``)."""
    logins: Logins | None = None
    """Knows whose a token is; ``None``: no tokens are taken."""
    keys: PublicKeys | None = None
    """The public keys that are accepted; ``None``: none is."""
    vet: Callable[[Identity], RemoteError | None] = staticmethod(_welcome)
    """Asked of whoever is about to be let in, whatever the proof, and of newer proofs: what is against it."""

    @property
    def realms(self) -> tuple[Router, ...]:
        """The routers that there are."""
        return tuple(self._routers.values())
