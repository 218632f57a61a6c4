"""The realm session behind every connection, whatever its door.

Crossbar's ``RouterSession`` with these things changed: it takes any :class:`~hopsack_router.routing.links.Link` as
transport; joining and leaving format, log and copy nothing that nobody asked for (what a client is answered stands in
:mod:`hopsack_router.routing.joining`); and the meta events carry public facts only (stock Crossbar publishes the
client's HTTP headers, cookies included).

An idle session is what there is ten thousand of. An instance has the attributes that differ from its class's and no
others, and nothing is left of how it joined.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError, ProtocolError, TransportLost
from autobahn.wamp.types import Accept, Challenge, CloseDetails, Deny, HelloDetails, SessionDetails, TransportDetails
from crossbar.router.auth import AUTHMETHOD_MAP
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterSession, RouterSessionFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack.errors import Invalid, RateLimited, RemoteError, TooMany, to_wamp
from hopsack_router import metrics
from hopsack_router.access.audit import facts_of
from hopsack_router.access.identity import Identity
from hopsack_router.presence import Member
from hopsack_router.routing import joining, limiting, links, vouching
from hopsack_router.routing.blaming import blame_callers
from hopsack_router.routing.kills import KILL, Kills
from hopsack_router.routing.retained import bytes_of, weight_of

if TYPE_CHECKING:
    from hopsack_router.access.meters import Levels, Limits, Meter
    from hopsack_router.routing.joining import Answer, Proof
    from hopsack_router.routing.links import Link
    from hopsack_router.routing.router import Router


LOG = Logger()


class NodeSession(RouterSession):  # type: ignore[misc]
    """One client of the realm.

    :ivar identity: who it is, once it has joined; ``None``: one of the node's own.
    :ivar member: what everybody may know of it, from WELCOME until it leaves.
    :ivar agent: the program that it says it is.
    :ivar meter: what it spends of its limits; ``None``: nothing of it is limited.
    :ivar levels: how much it may have at once; ``None``: what any session may.
    """

    door: str = "node"
    meter: Meter | None = None
    levels: Levels | None = None
    identity: Identity | None = None
    peer: str | None = None
    agent: str | None = None
    member: Member | None = None

    _transport: Link | None = None
    _router: Router | None = None
    _realm: str | None = None
    _session_id: int | None = None
    _previous_session_id: int | None = None
    _session_roles: dict[str, Any] | None = None
    _authid: str | None = None
    _authrole: str | None = None
    _authmethod: str | None = None
    _authprovider: str | None = None
    _authextra: dict[str, Any] | None = None
    _goodbye_sent: bool = False
    _grace: IDelayedCall | None = None
    _wills: dict[str, list[message.Publish]] | None = None

    _pending_session_id: int | None = None
    """The number it will have; there is one from HELLO to WELCOME or ABORT."""
    _pending_auth: Proof | None = None
    """What was asked to be proved, from CHALLENGE to AUTHENTICATE."""
    _claims: str | None = None
    """Whom it says that it is, while that is being proved; empty where only its token says it."""
    _counted_as: str | None = None
    """The subject that it is counted as a session of."""

    _payload_codec = _service_session = None

    def __init__(self, router_factory: Any) -> None:
        # Not RouterSession's, nor BaseSession's: they make a logger, two lists and four dicts for each session.
        self._router_factory = router_factory

    def onOpen(self, transport: Link) -> None:
        self._transport = transport
        self.peer = transport.peer
        self.door = getattr(transport, "door", self.door)  # Crossbar's own transports are no doors

    def onMessage(self, msg: message.Message) -> None:
        """Route a message; anything but the handshake and GOODBYE goes to the router in one hop.

        :raises ProtocolError: no client may say this now; the connection cannot go on.
        """
        kind = type(msg)
        if self._session_id is not None and kind not in _SESSION_MESSAGES:
            self._router.process(self, msg)  # type: ignore[union-attr]
        elif self._grace is not None:
            pass  # ended by force: nothing that this connection says counts
        elif self._session_id is None:
            self._join(kind, msg)
        elif kind is message.Goodbye:
            router: Any = self._router
            if not router.after_held(self, lambda: self._say_goodbye(msg)):
                self._say_goodbye(msg)
        elif kind is not message.Abort:
            raise ProtocolError(f"{kind.__name__} where a session has been joined")

    # ---- joining ----------------------------------------------------------------------------------------------------

    def _join(self, kind: type, msg: Any) -> None:
        if kind is message.Hello:
            if self._pending_session_id is not None:
                raise ProtocolError("HELLO while an earlier one is being answered")
            self._pending_session_id = joining.new_session_id()
            self._session_roles = msg.roles
            extra = msg.authextra
            if extra and isinstance(extra.get("agent"), str):
                self.agent = extra["agent"][:100]
            self._answer_with(self._greeted, msg)
        elif kind is message.Authenticate:
            self._answer_with(self._proved, msg.signature)
        elif kind is message.Abort:
            self._pending_session_id = self._pending_auth = None
        elif kind is not message.Goodbye:
            raise ProtocolError(f"{kind.__name__} where no session has been joined")

    def _greeted(self, hello: message.Hello) -> Any:
        """What a HELLO is answered: an answer, or a Deferred of one."""
        transport: Any = self._transport
        configured = self._transport_config["auth"]
        known = getattr(transport, "_authid", None) is not None or getattr(transport, "_authrealm", None)
        if known or not configured:
            return self.onHello(hello.realm, self._details_of(hello))
        credential = getattr(transport, "credential", None)
        if credential is not None:
            configured = {"cookie": {}, **configured}
        worker = self._router_factory._worker
        extra = worker.personality.EXTRA_AUTH_METHODS if worker is not None else {}
        method = joining.choose(hello.authmethods, configured, extra)
        if not isinstance(method, str):
            return method
        if credential is not None and method in ("cookie", "anonymous"):
            self._claims = ""
            return joining.Holder(self._router_factory, credential).hello(hello.realm)
        if method == "cookie":
            return self.onHello(hello.realm, self._details_of(hello))
        proof = joining.own_proof(method, configured[method], self._router_factory)
        if proof is not None:
            if not isinstance(proof, joining.Guest):
                self._claims = hello.authid or ""
            self._pending_auth = proof
            return proof.hello(hello.realm, hello)
        self._claims = hello.authid or ""
        limits = self._router_factory.limits
        too_often = None if limits is None else limiting.before_proof(limits, self._claims, self.peer)
        if too_often is not None:
            return too_often
        self._pending_auth = proof = self._crossbars(method, configured[method], hello)
        return proof.hello(hello.realm, self._details_of(hello))

    def _crossbars(self, method: str, config: dict[str, Any], hello: message.Hello) -> Proof:
        worker = self._router_factory._worker
        make: Any = AUTHMETHOD_MAP.get(method) or worker.personality.EXTRA_AUTH_METHODS[method]
        there = vouching.details_for(method, self._transport)
        made = make(self._pending_session_id, there, worker, vouching.config_for(method, config, hello.authid))
        return vouching.Vouched(made, method, self._router_factory)

    def _proved(self, signature: str) -> Any:
        proof, self._pending_auth = self._pending_auth, None
        return joining.UNASKED if proof is None else proof.authenticate(signature)

    def _answer_with(self, step: Callable[[Any], Any], said: Any) -> None:
        """Answer the client with what a step of the conversation returns, now or when it has been found out."""
        try:
            answer = step(said)
        except Exception:
            answer = self._not_known(Failure())
        if isinstance(answer, Deferred):
            answer.addErrback(self._not_known).addCallback(self._late, self._pending_session_id)
            answer.addErrback(lambda failure: LOG.failure("the node failed to let {peer} in", failure, peer=self.peer))
        else:
            self._answer(answer)

    def _not_known(self, failure: Failure) -> Deny:
        said = "the node failed to authenticate {peer}: {traceback}"
        self.log.warn(said, peer=self.peer, traceback=failure.getTraceback(), err=failure)
        return joining.FAILED

    def _late(self, answer: Answer, asked_for: int | None) -> None:
        if self._transport is not None and self._pending_session_id == asked_for:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        assert self._transport is not None
        limits = self._router_factory.limits
        if limits is not None and not isinstance(answer, Challenge):
            answer = self._limited(limits, answer)
        match answer:
            case Accept(authrole="trusted") if getattr(self._transport, "_authrole", None) != "trusted":
                self._answer(joining.TRUSTED)
            case Accept():
                self._welcome(answer)
            case Challenge(method=method, extra=extra):
                self._transport.send(message.Challenge(method, extra))
            case Deny(reason=reason, message=why):
                error = answer.error if isinstance(answer, joining.Refusal) else None
                facts = {"code": reason if error is None else error.code, "why": getattr(error, "why", None)}
                self._router_factory.audit.note("login_refused", address=self.peer, door=self.door, **facts)
                self._pending_session_id = self._pending_auth = None
                refused = isinstance(answer, joining.Refusal)
                self._transport.send(joining.TurnedAway(answer) if refused else message.Abort(reason, why))
                if refused and isinstance(answer.error, RateLimited) and self._transport is not None:
                    self._transport.dismiss(answer.error)

    def _limited(self, limits: Limits, answer: Answer) -> Answer:
        """What limits leave of an answer to somebody who joins."""
        claimed, self._claims = self._claims, None
        if claimed is not None:
            answer = limiting.after_proof(self, limits, claimed, answer)
        if isinstance(answer, Accept) and answer.authrole != "trusted":
            answer = limiting.let_in(self, limits, answer) or answer
        return answer

    def _welcome(self, accept: Accept) -> None:
        router = self._router_factory.get(accept.realm)
        session_id, self._pending_session_id = self._pending_session_id, None
        assert session_id is not None
        self._router, self._realm, self._session_id = router, accept.realm, session_id
        self._authid, self._authrole = accept.authid, accept.authrole
        self.identity = joining.identity_of(accept, self.identity)
        self._authmethod, self._authprovider = accept.authmethod, accept.authprovider
        if accept.authextra:
            self._authextra = accept.authextra
        if self._pending_auth is not None:
            self._pending_auth = None
        if self._goodbye_sent:
            self._goodbye_sent = False  # it comes back over a connection on which it had left
        roles = router.attach(self)
        assert self._transport is not None
        facts = joining.told(self.identity, links.now())
        self._transport.send(joining.Welcome(session_id, accept, roles, router.announced, facts))
        self.onJoin(self._details())

    def onJoin(self, details: SessionDetails) -> None:
        transport, router = self._transport, self._router
        assert transport is not None
        assert router is not None
        self.member = Member(details.session, details.authid, details.authrole, self.door, links.now())
        transport.budget = router.budget_of(details.authrole)
        limits = self._router_factory.limits
        if limits is not None:
            limiting.begin(self, limits, details.authrole)
        transport.keeping = router.keeping
        router._session_joined(self, details)
        metrics.joins.tally(self.door).n += 1
        metrics.sessions.tally(self.door).n += 1
        router.tell("wamp.session.on_join", self._facts)
        router.presence.joined(self.member)
        if router.life is not None and self.identity is not None and self.identity.expires is not None:
            router.life.begin(self)
        router.audit.note("login", **facts_of(self), agent=self.agent)
        joined = getattr(transport, "joined", None)
        if joined is not None:
            joined(details)

    def renew(self, identity: Identity) -> None:
        """Go on as this identity, of the same subject (``hopsack.session.refresh``)."""
        was, router, transport = self.member, self._router, self._transport
        assert was is not None
        assert router is not None
        self.identity = identity
        if identity.role == was.role:
            return
        self._authrole = identity.role
        self.member = Member(was.session, was.authid, identity.role, was.door, was.since)
        router._session_renewed(self, was, self.member)
        if transport is not None:
            transport.budget = router.budget_of(identity.role)
        limits = self._router_factory.limits
        if limits is not None:
            limiting.renewed(self, limits, identity.role)

    # ---- leaving ----------------------------------------------------------------------------------------------------

    def _say_goodbye(self, msg: message.Goodbye) -> None:
        if not self._goodbye_sent and self._transport is not None:
            self._transport.send(message.Goodbye(GOODBYE_AND_OUT))
            self._goodbye_sent = True
        self._depart(CloseDetails(msg.reason, msg.message))

    def _depart(self, details: CloseDetails) -> None:
        """Be out of the realm at once, with the connection still there: from here on nothing may be sent to it."""
        router: Any = self._router
        router.detach(self)
        self._previous_session_id, self._session_id = self._session_id, None
        router.tell("wamp.session.on_leave", lambda: self._previous_session_id)
        self.onLeave(details)

    def onLeave(self, details: CloseDetails) -> None:
        """The last of a session: its testaments, and others are told. Does nothing the second time."""
        member, self.member = self.member, None
        if member is None:
            return
        router: Any = self._router
        limits = self._router_factory.limits
        if limits is not None:
            limiting.gone(self, limits)
        wills, self._wills = self._wills, None
        for scope in ("detached", "destroyed") if wills else ():
            for will in wills[scope]:  # type: ignore[index]
                router.process(self, will)
        router._session_left(self, member, details)
        if self._session_id is not None:  # else it has been told
            router.tell("wamp.session.on_leave", lambda: member.session)
        metrics.sessions.tally(self.door).n -= 1
        router.presence.left(member.session)
        if router.life is not None:
            router.life.left(member.session)
        if router.locking is not None:
            router.locking.left(member.session)

    def onClose(self, wasClean: bool) -> None:
        """The connection is gone: leave the realm, keep nothing (``ITransportHandler.onClose``)."""
        self._transport = None
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        if self._session_id is not None:
            try:
                self.onLeave(CloseDetails())
            finally:
                self._router.detach(self)  # type: ignore[union-attr]
        self._session_id = self._previous_session_id = self._pending_session_id = self._pending_auth = None
        self._authid = self._authrole = self._authmethod = self._authprovider = self.identity = None

    def leave(self, reason: str | None = None, message: str | None = None) -> None:
        """End this session by force: it is out of the realm at once, its connection is closed soon.

        What ``wamp.session.kill`` and its relatives do, and who revokes. The client gets GOODBYE and :data:`GRACE`
        seconds to close. It says nothing more: its testaments are not published.
        """
        if self._transport is None or self._session_id is None:
            return
        self._wills = None
        if not self._goodbye_sent:
            with suppress(TransportLost):
                super().leave(reason, message)
        if self._session_id is None:
            return  # a door that closes at once
        self._depart(CloseDetails(reason, message))
        self._grace = self._router._factory._reactor.callLater(GRACE, self._cut)  # type: ignore[union-attr]

    def dismiss(self, error: RemoteError) -> None:
        """End its connection at once, and say why: it goes on where it was told to wait."""
        transport: Any = self._transport
        if transport is not None:
            transport.dismiss(error)

    def _cut(self) -> None:
        transport: Any = self._transport  # every door's link is an ITransport
        if transport is not None and transport.isOpen():
            LOG.info("{peer} did not close after its session was ended", peer=self.peer)
            transport.abort()

    # ---- what others ask of it ------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        """The payload of ``wamp.session.on_join`` (WAMP advanced profile, session meta events)."""
        return {
            "session": self._session_id,
            "authid": self._authid,
            "authrole": self._authrole,
            "authmethod": self._authmethod,
            "authprovider": self._authprovider,
            "transport": {"type": self.door, "peer": self.peer},
        }

    @property
    def groups(self) -> frozenset[str]:
        """The groups that it is in."""
        return NO_GROUPS if self.identity is None else self.identity.groups

    @property
    def tenant(self) -> str | None:
        return None if self.identity is None else self.identity.tenant

    @property
    def since(self) -> float:
        """When it joined, in seconds since the epoch; 0 where it has not."""
        return self.member.since if self.member is not None else 0.0

    @property
    def _session_details(self) -> SessionDetails | None:
        """What Crossbar's meta API shows of it, made when somebody asks; without the headers that its client sent."""
        if self.member is None:
            return None
        there: Any = getattr(self._transport, "transport_details", None)
        if there is None:
            return self._details()
        public = TransportDetails(
            channel_type=there.channel_type,
            channel_framing=there.channel_framing,
            channel_serializer=there.channel_serializer,
            peer=self.peer,
            is_server=True,
            is_secure=there.is_secure,
        )
        return self._details(public)

    def _details(self, transport: TransportDetails | None = None) -> SessionDetails:
        return SessionDetails(
            realm=self._realm,
            session=self._session_id,
            authid=self._authid,
            authrole=self._authrole,
            authmethod=self._authmethod,
            authprovider=self._authprovider,
            authextra=self._authextra,
            transport=transport,
        )

    def _details_of(self, hello: message.Hello) -> HelloDetails:
        """A HELLO as Crossbar's ways to authenticate take it."""
        return HelloDetails(
            realm=hello.realm,
            authmethods=hello.authmethods,
            authid=hello.authid,
            authrole=hello.authrole,
            authextra=hello.authextra,
            session_roles=hello.roles,
            pending_session=self._pending_session_id,
        )

    @property
    def _transport_config(self) -> dict[str, Any]:
        """The configuration of its transport, in Crossbar's format; doors without one authenticate as all others do."""
        config = getattr(getattr(self._transport, "factory", None), "_config", None) or {}
        return config if "auth" in config else {"auth": links.AUTHENTICATION, **config}

    @property
    def _testaments(self) -> dict[str, list[message.Publish]]:
        """What Crossbar's meta API keeps until the session is gone; there is none before somebody asks."""
        if self._wills is None:
            self._wills = Testaments(self._may_say)
        return self._wills

    def _may_say(self, topic: str) -> RemoteError | None:
        """Why a testament of this session would not be published; ``None``: it would."""
        router = self._router
        if router is None or not router.admits:
            return None
        refusal: RemoteError | None = router.admission.decide(self, "publish", topic).refusal
        return refusal


MaySay = Callable[[str], RemoteError | None]


class Will(list[message.Publish]):
    """The testaments of one scope. The realm keeps them as long as the session lives, so they are few and small."""

    _bytes = 0

    def __init__(self, may_say: MaySay) -> None:
        super().__init__()
        self._may_say = may_say

    def append(self, last: message.Publish) -> None:
        """:raises ApplicationError: there are :data:`MOST_TESTAMENTS`, they would be larger than
        :data:`MOST_TESTAMENT_BYTES`, its readers would hang up over this one, or the session may not say it.
        :raises ProtocolError: of its options, one is none."""
        size = weight_of(last, bytes_of(last.args) + bytes_of(last.kwargs) + bytes_of(last.payload))
        refusal = self._may_say(last.topic)
        if refusal is not None:
            pass
        elif type(last.args) not in (list, type(None)):  # nobody has looked at it: it was an argument of a call
            refusal = Invalid("the arguments of a testament are a list", path="/1")
        elif len(self) >= MOST_TESTAMENTS:
            refusal = TooMany(f"this session has left {len(self)} testaments", advice="wamp.session.flush_testaments")
        elif self._bytes + size > MOST_TESTAMENT_BYTES:
            said = f"the testaments of a session take {MOST_TESTAMENT_BYTES} bytes at most in each scope"
            refusal = RemoteError(said, code="hopsack.too_large", advice="wamp.session.flush_testaments")
        if refusal is not None:
            uri, args, kwargs = to_wamp(refusal)
            raise ApplicationError(uri, *args, **kwargs)
        message.Publish.parse(last.marshal())  # nobody has looked at its options either
        last.forward_for = None  # routers say that of each other, and no client of itself
        self._bytes += size
        super().append(last)


class Testaments(dict[str, list[message.Publish]]):
    """By scope. Crossbar flushes one by putting an empty list in its place."""

    def __init__(self, may_say: MaySay) -> None:
        super().__init__(destroyed=Will(may_say), detached=Will(may_say))
        self._may_say = may_say

    def __setitem__(self, scope: str, left: list[message.Publish]) -> None:
        super().__setitem__(scope, Will(self._may_say))


NO_GROUPS: frozenset[str] = frozenset()

MOST_TESTAMENTS = 16
"""Of one session, in each scope."""

MOST_TESTAMENT_BYTES = 64 << 10
"""The same. They are kept decoded, and a session that says nothing more keeps them for as long as it likes."""

GRACE = 2.0
"""Seconds in which the client of a session that was ended by force may close its connection itself."""

GOODBYE_AND_OUT = "wamp.close.goodbye_and_out"
"""How a GOODBYE is answered (WAMP basic profile, section 4.2.3); stock Crossbar answers ``wamp.close.normal``."""

_SESSION_MESSAGES = frozenset((message.Hello, message.Goodbye, message.Abort, message.Authenticate))


class NodeSessionFactory(RouterSessionFactory):  # type: ignore[misc]
    session = NodeSession

    def add(self, session: Any, router: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(session, RouterServiceAgent):
            blame_callers(session)
        added = super().add(session, router, *args, **kwargs)
        if isinstance(session, RouterServiceAgent) and router.serves(KILL):
            kills = Kills(router)
            blame_callers(kills)
            super().add(kills, router, authid=session._authid, authrole="trusted")
        return added
