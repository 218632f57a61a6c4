"""The raw door's protocol, one machine per connection: JSON-RPC 2.0 on one side, WAMP messages on the other.

    page ->  hopsack.hello {token?}                           -> Join, then the queued requests
         ->  hopsack.subscribe {topic, match?, after?,        -> SUBSCRIBE     <- {subscription, recovered, position?,
                                max_rate?}                                         positions?, reason?, snapshot?}
         ->  hopsack.rate {subscription, max_rate}            -> RATE          <- {}
         ->  hopsack.unsubscribe {subscription}               -> UNSUBSCRIBE   <- {}
         ->  hopsack.publish {topic, data, key?, delete?}     -> PUBLISH       <- {position?}      (if it has an id)
         ->  hopsack.register {procedure, match?, invoke?,    -> REGISTER      <- {registration}
                           concurrency?}
         ->  hopsack.unregister {registration}                -> UNREGISTER    <- {}
         ->  hopsack.cancel {id}                              -> CANCEL        <- {}
         ->  hopsack.more {id, n}                             -> MORE          <- {}
         ->  hopsack.input {id, data?, end?}                  -> CALL          <- {}
         ->  hopsack.ping {}                                                   <- {}
         ->  any other method, params = its input             -> CALL          <- the result
    page <-  notification hopsack.progress {id, data}        <-  RESULT progress
    page <-  notification hopsack.more_input {id, n}         <-  MORE
    page <-  request N, method = procedure, params = input   <-  INVOCATION
         ->  response N                                       -> YIELD or ERROR
         ->  hopsack.progress {id: N, data}                   -> YIELD progress
         ->  hopsack.more_input {id: N, n}                    -> MORE
    page <-  notification hopsack.more {id: N, n}            <-  MORE
    page <-  notification hopsack.input {id: N, data?, end?} <-  INVOCATION again
    page <-  notification hopsack.cancel {id: N}             <-  INTERRUPT     -> ERROR, without waiting for the page
    page <-  notification hopsack.report {id: N, error}      <-  ERROR for YIELD: the page's answer broke its contract
    page <-  notification hopsack.revoked {subscription      <-  UNSUBSCRIBED 0, UNREGISTERED 0: it is taken away
                 | registration, uri, match, reason, error}

A core without I/O: every input returns a list of effects, in order. Events do not pass here: they are framed once for
all readers and written past the machine (``doors/raw.py``).

Bounds (:class:`Limits`), each with its answer: requests that wait for an answer (``hopsack.overloaded``), bytes that
wait for the join (``hopsack.overloaded``), requests in one batch (``hopsack.bad_request``), and calls that the page has
not answered (their callers get ``hopsack.overloaded``).
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from autobahn.wamp import message

from hopsack.contracts import payload_of
from hopsack.contracts.policy import Invoke
from hopsack.errors import BadRequest, BrokenResult, Canceled, Invalid, Overloaded, RemoteError, from_wamp, to_wamp
from hopsack_router.doors import envelopes, places
from hopsack_router.doors.closing import (
    GOING_AWAY,
    NO_PROGRESS,
    CloseCode,
    clip,
    dismissed_by,
    ended_by,
    reason_of,
    reason_with,
    refused_by,
)
from hopsack_router.doors.effects import REALM, Join, Route
from hopsack_router.doors.envelopes import ABSENT, Absent, Id, Malformed, Request, Response
from hopsack_router.routing import asked, ended, uris
from hopsack_router.routing.farewell import Farewell
from hopsack_router.streams.events import MAX_KEY


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection."""

    unanswered: int = 1000
    waiting_bytes: int = 2 << 20
    batch: int = 100


# ---- effects ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this JSON value, in a binary frame if ``binary``."""

    body: Any
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""

    code: int
    reason: str


Effect = Join | Route | Send | Close


@dataclass(frozen=True, slots=True)
class Joined:
    """Who the session is: the answer to hello.

    :ivar facts: what else it is told of itself: groups, tenant, when its token expires.
    """

    session: int
    authid: str
    role: str
    realm: str = REALM
    facts: Mapping[str, Any] = field(default_factory=dict)


class State(enum.Enum):
    CONNECTING = "connecting"
    JOINING = "joining"
    JOINED = "joined"
    CLOSED = "closed"


# ---- parameters of our own methods ------------------------------------------------------------------------------

Match = Literal["exact", "prefix", "wildcard"]
WampId = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
Positions = Annotated[dict[str, str], msgspec.Meta(max_length=asked.MAX_POSITIONS)]
Rate = Annotated[float, msgspec.Meta(gt=0)]


class _Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: a misspelt member is refused, because ignoring it would do something else than asked."""


P = TypeVar("P", bound=_Params)


class Hello(_Params, frozen=True):
    token: str | None = None


class Subscribe(_Params, frozen=True):
    topic: str
    match: Match = "exact"
    after: str | Positions | None = None
    max_rate: Rate | None = None


class Unsubscribe(_Params, frozen=True):
    subscription: WampId


class Rated(_Params, frozen=True):
    subscription: WampId
    max_rate: Rate | None


class Publish(_Params, frozen=True):
    topic: str
    data: Any = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY)] | None = None
    delete: bool = False


class Register(_Params, frozen=True):
    """
    :ivar invoke: how callees share it; ``None``: nobody else serves it. :ivar concurrency: calls that the page takes at
        once.
    """

    procedure: str
    match: Match = "exact"
    invoke: Invoke | None = None
    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Unregister(_Params, frozen=True):
    registration: WampId


class Ping(_Params, frozen=True):
    pass


class Cancel(_Params, frozen=True):
    id: str | int | float | None


class More(_Params, frozen=True):
    id: str | int | float | None
    n: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class Input(_Params, frozen=True):
    id: str | int | float | None
    data: Any = msgspec.UNSET
    end: bool = False


class Progress(_Params, frozen=True):
    id: int
    data: Any = None


class MoreInput(_Params, frozen=True):
    id: int
    n: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class Extra(msgspec.Struct, frozen=True):
    """The member ``hopsack`` of a call. Members of later versions are not refused.

    :ivar timeout: milliseconds until the caller gives up.
    :ivar progress: progressive results are wanted. :ivar inputs: others follow the first input.

    The others are those of :class:`~hopsack_router.routing.asked.Terms`.
    """

    timeout: Annotated[int, msgspec.Meta(ge=1)] | None = None
    progress: bool = False
    inputs: bool = False
    window: asked.Count | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY)] | None = None
    wait: asked.Count | None = None
    retry: asked.Count | None = None
    queue: bool | None = None
    breaker: bool | None = None

    def terms(self) -> asked.Terms | None:
        terms = asked.Terms(self.inputs, self.window, self.key, self.wait, self.retry, self.queue, self.breaker)
        return None if terms == _NO_TERMS else terms


_NO_EXTRA = Extra()
_NO_TERMS = asked.Terms()


# ---- where answers go -------------------------------------------------------------------------------------------


class _Batch:
    """Collects the answers of one batch in the order of its requests; section 6: one array when all are there."""

    def __init__(self, size: int) -> None:
        self.answers: list[Any] = [ABSENT] * size
        self.missing = size

    def put(self, index: int, answer: Any) -> list[Any] | None:
        """The whole array, if this was the last answer and there is any."""
        self.answers[index] = answer
        self.missing -= 1
        if self.missing:
            return None
        return [one for one in self.answers if one is not ABSENT] or None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the answer to one incoming message belongs."""

    binary: bool
    batch: _Batch | None = None
    index: int = 0

    def put(self, answer: Any) -> list[Effect]:
        """Send an answer, or keep it until its batch is complete; ``ABSENT`` says that there will be none."""
        if self.batch is not None:
            whole = self.batch.put(self.index, answer)
            return [] if whole is None else [Send(whole, self.binary)]
        return [] if answer is ABSENT else [Send(answer, self.binary)]


@dataclass(frozen=True, slots=True)
class _Slot:
    """One request and the place of its answer. A notification has a slot too: it swallows the answer."""

    place: _Place
    id: Id | Absent

    def succeed(self, result: Any) -> list[Effect]:
        return self._put(lambda identity: envelopes.success(identity, result))

    def fail(self, error: RemoteError) -> list[Effect]:
        return self._put(lambda identity: envelopes.failure(identity, error))

    def _put(self, build: Callable[[Id], dict[str, Any]]) -> list[Effect]:
        return [] if isinstance(self.id, Absent) else self.place.put(build(self.id))


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request at the router."""

    slot: _Slot
    where: str
    result: Callable[[Any], Any]


@dataclass(slots=True)
class _Waiting:
    """Requests that came before the session was there."""

    requests: list[tuple[_Slot, Request]] = field(default_factory=list)
    hello: _Slot | None = None
    bytes: int = 0


class Connection:
    """One page's conversation.

    :param server: the ``server`` member of the answer to hello.
    :param token: the bearer token of the upgrade request, used where hello brings none.
    :param limits: the bounds.
    """

    def __init__(self, server: str, token: str | None = None, limits: Limits | None = None) -> None:
        self.state = State.CONNECTING
        self._server = server
        self._token = token
        self._limits = limits or Limits()
        self._waiting = _Waiting()
        self._requests = 0
        self._pending: dict[int, _Pending] = {}
        self._flowing: dict[Id, int] = {}  # calls that give or take piece by piece, by the page's ids
        self._asked: set[int] = set()
        self._registrations: dict[int, str] = {}

    # ---- inputs --------------------------------------------------------------------------------------------------

    def received(self, text: bytes, binary: bool = False) -> list[Effect]:
        """The page sent a message."""
        return _TABLE[self.state, "received"](self, text, binary)

    def joined(self, who: Joined) -> list[Effect]:
        """The session is in the realm."""
        return _TABLE[self.state, "joined"](self, who)

    def refused(self, error: RemoteError) -> list[Effect]:
        """The session may not join."""
        return _TABLE[self.state, "refused"](self, error)

    def routed(self, msg: message.Message) -> list[Effect]:
        """The router sent the session a message."""
        return _TABLE[self.state, "routed"](self, msg)

    def waited(self) -> list[Effect]:
        """The time in which a connection says hello has passed."""
        return _TABLE[self.state, "waited"](self)

    def lost(self) -> list[Effect]:
        """The connection is gone; the session goes with it, and the router cleans up after it."""
        self.state = State.CLOSED
        return []

    # ---- messages of the page ------------------------------------------------------------------------------------

    def _read(self, text: bytes, binary: bool) -> list[Effect]:
        try:
            value = envelopes.decode(text)
        except RemoteError as error:
            return [Send(envelopes.failure(None, error), binary)]
        if not isinstance(value, list):
            return self._one(value, _Place(binary), len(text))
        if not 0 < len(value) <= self._limits.batch:
            refusal = BadRequest(f"a batch holds 1 to {self._limits.batch} requests, this one {len(value)}")
            return [Send(envelopes.failure(None, refusal), binary)]
        batch = _Batch(len(value))
        size = len(text) // len(value)
        return _flat(self._one(one, _Place(binary, batch, index), size) for index, one in enumerate(value))

    def _one(self, value: Any, place: _Place, size: int) -> list[Effect]:
        match envelopes.read(value):
            case Malformed(identity, error):
                return place.put(envelopes.failure(identity, error))
            case Response() as response:
                return [*self._answered(response), *place.put(ABSENT)]
            case Request() as request if isinstance(request.id, Absent):
                return [*place.put(ABSENT), *self._request(_Slot(place, ABSENT), request, size)]
            case Request() as request:
                return self._request(_Slot(place, request.id), request, size)

    def _request(self, slot: _Slot, request: Request, size: int) -> list[Effect]:
        if self.state is State.JOINED:
            return self._carry_out(slot, request)
        if request.method == "hopsack.hello" and self.state is State.CONNECTING:
            return self._hello(slot, request)
        if self._waiting.bytes + size > self._limits.waiting_bytes or (
            len(self._waiting.requests) >= self._limits.unanswered
        ):
            return slot.fail(_overloaded("too much was sent before the session was there", request.method))
        self._waiting.bytes += size
        self._waiting.requests.append((slot, request))
        return self._start_join(self._token) if self.state is State.CONNECTING else []

    def _hello(self, slot: _Slot, request: Request) -> list[Effect]:
        try:
            params = _params(Hello, request)
        except Invalid as error:
            return slot.fail(error)
        self._waiting.hello = slot
        return self._start_join(params.token if params.token is not None else self._token)

    def _start_join(self, token: str | None) -> list[Effect]:
        self.state = State.JOINING
        return [Join(token)]

    def _enter(self, who: Joined) -> list[Effect]:
        self.state = State.JOINED
        waiting, self._waiting = self._waiting, _Waiting()
        effects: list[Effect] = []
        if waiting.hello is not None:
            facts = {"session": who.session, "authid": who.authid, "role": who.role, "realm": who.realm}
            effects += waiting.hello.succeed({**facts, **who.facts, "server": self._server})
        return effects + _flat(self._carry_out(slot, request) for slot, request in waiting.requests)

    def _give_up(self) -> list[Effect]:
        return self._close(NO_PROGRESS, "Say hopsack.hello, or anything else, soon after connecting.")

    def _turn_away(self, error: RemoteError) -> list[Effect]:
        waiting, self._waiting = self._waiting, _Waiting()
        slots = [waiting.hello] if waiting.hello is not None else []
        effects = _flat(slot.fail(error) for slot in (*slots, *(slot for slot, _ in waiting.requests)))
        return effects + self._close(refused_by(error), reason_of(error))

    def _carry_out(self, slot: _Slot, request: Request) -> list[Effect]:
        method = _METHODS.get(request.method, Connection._call)
        try:
            return method(self, slot, request)
        except RemoteError as error:
            return slot.fail(error)

    # ---- methods -------------------------------------------------------------------------------------------------

    def _say_hello_again(self, slot: _Slot, request: Request) -> list[Effect]:
        raise BadRequest(
            "this connection has a session already",
            where=request.method,
            advice="say hello first, before any other request; open another connection for another identity",
        )

    def _subscribe(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Subscribe, request)
        _check(uris.check_pattern(params.topic, params.match, where="topic"))
        _check(places.check(params.after, params.match, where=params.topic))
        number = self._ask(slot, params.topic, _subscribed)
        return [Route(asked.Subscribe(number, params.topic, params.match, params.after, params.max_rate))]

    def _rate(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Rated, request)
        number = self._ask(slot, request.method, _nothing)
        return [Route(asked.Rate(number, params.subscription, params.max_rate))]

    def _unsubscribe(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Unsubscribe, request)
        number = self._ask(slot, request.method, _nothing)
        return [Route(message.Unsubscribe(number, params.subscription))]

    def _publish(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Publish, request)
        _check(uris.check(params.topic, restricted=False, where="topic"))
        is_told = isinstance(slot.id, Absent)
        number = self._number() if is_told else self._ask(slot, params.topic, _published)
        msg = asked.Publish(number, params.topic, [params.data], acknowledge=not is_told or None)
        msg.key, msg.delete = params.key, params.delete
        return [Route(msg)]

    def _register(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Register, request)
        _check(uris.check_pattern(params.procedure, params.match, where="procedure"))

        def registered(msg: message.Registered) -> dict[str, int]:
            self._registrations[msg.registration] = params.procedure
            return {"registration": msg.registration}

        number = self._ask(slot, params.procedure, registered)
        register = message.Register(number, params.procedure, match=params.match, concurrency=params.concurrency)
        register.invoke = params.invoke or message.Register.INVOKE_SINGLE  # its own constructor knows no ``least``
        return [Route(register)]

    def _unregister(self, slot: _Slot, request: Request) -> list[Effect]:
        params = _params(Unregister, request)

        def unregistered(_: message.Unregistered) -> dict[str, Any]:
            self._registrations.pop(params.registration, None)
            return {}

        number = self._ask(slot, request.method, unregistered)
        return [Route(message.Unregister(number, params.registration))]

    def _cancel(self, slot: _Slot, request: Request) -> list[Effect]:
        """Cancel every open request of this id. One that has ended already is no error: the two may cross."""
        wanted = _params(Cancel, request).id
        numbers = [n for n, one in self._pending.items() if one.result is _payload and _same(one.slot.id, wanted)]
        return [*(Route(message.Cancel(n, mode=message.Cancel.KILLNOWAIT)) for n in numbers), *slot.succeed({})]

    def _pong(self, slot: _Slot, request: Request) -> list[Effect]:
        """A page cannot send WebSocket pings: this is how it learns that the connection lives."""
        _params(Ping, request)
        return slot.succeed({})

    def _call(self, slot: _Slot, request: Request) -> list[Effect]:
        _check(uris.check(request.method, restricted=False, where="procedure"))
        extra = _NO_EXTRA if request.extra is None else _extra(request)
        number = self._ask(slot, request.method, _payload)
        if (extra.progress or extra.inputs) and not isinstance(slot.id, Absent):
            self._flowing[slot.id] = number
        args = None if request.params is ABSENT or request.params is None else [request.params]
        progress, terms = extra.progress or None, extra.terms()
        call = asked.Call(
            number, request.method, args=args, timeout=extra.timeout, receive_progress=progress, terms=terms
        )
        return [Route(call)]

    def _more(self, slot: _Slot, request: Request) -> list[Effect]:
        """The page takes more progressive results. The call may have ended meanwhile."""
        wanted = _params(More, request)
        number = self._flowing.get(wanted.id)
        told = [] if number is None else [Route(asked.More(message.Call.MESSAGE_TYPE, number, wanted.n))]
        return [*told, *slot.succeed({})]

    def _input(self, slot: _Slot, request: Request) -> list[Effect]:
        """A further input of a call, the last one, or both. The call may have ended meanwhile."""
        given = _params(Input, request)
        number = self._flowing.get(given.id)
        if number is None:
            return slot.succeed({})
        args = None if given.data is msgspec.UNSET else [given.data]
        terms = None if given.end else asked.Terms(progress=True)
        procedure = self._pending[number].where
        return [Route(asked.Call(number, procedure, args=args, terms=terms)), *slot.succeed({})]

    def _progress(self, slot: _Slot, request: Request) -> list[Effect]:
        """A progressive result of the page's."""
        given = _params(Progress, request)
        if given.id not in self._asked:
            return slot.succeed({})
        return [Route(message.Yield(given.id, args=[given.data], progress=True)), *slot.succeed({})]

    def _more_input(self, slot: _Slot, request: Request) -> list[Effect]:
        """The page takes more inputs of a call that it serves."""
        wanted = _params(MoreInput, request)
        if wanted.id not in self._asked:
            return slot.succeed({})
        return [Route(asked.More(message.Invocation.MESSAGE_TYPE, wanted.id, wanted.n)), *slot.succeed({})]

    def _number(self) -> int:
        """The next request id of this session (WAMP, section 2.1.2: session scope ids count from 1)."""
        self._requests += 1
        return self._requests

    def _ask(self, slot: _Slot, where: str, result: Callable[[Any], Any]) -> int:
        if len(self._pending) >= self._limits.unanswered:
            raise _overloaded(f"{self._limits.unanswered} requests of this connection wait for an answer", where)
        number = self._number()
        self._pending[number] = _Pending(slot, where, result)
        return number

    # ---- messages of the router ----------------------------------------------------------------------------------

    def _from_router(self, msg: message.Message) -> list[Effect]:
        match msg:
            case message.Error():
                return self._failed(msg)
            case message.Invocation():
                return self._invoked(msg)
            case message.Interrupt():
                return self._interrupted(msg)
            case message.Goodbye():
                return self._dismissed(msg)
            case message.Result() if msg.progress:
                return self._advanced(msg)
            case asked.More():
                return self._granted(msg)
            case message.Unsubscribed() | message.Unregistered() if not msg.request:
                return self._revoked(msg)
            case _ if type(msg) in _ANSWERS:
                return self._succeeded(msg)
        return []

    def _settle(self, request: int) -> _Pending | None:
        pending = self._pending.pop(request, None)
        if pending is not None and self._flowing.get(pending.slot.id) == request:  # type: ignore[arg-type]
            del self._flowing[pending.slot.id]  # type: ignore[arg-type]
        return pending

    def _advanced(self, msg: message.Result) -> list[Effect]:
        pending = self._pending.get(msg.request)
        if pending is None or self._flowing.get(pending.slot.id) != msg.request:  # type: ignore[arg-type]
            return []
        try:
            value = payload_of(msg.args, msg.kwargs, array=False)
        except Invalid as error:
            self._settle(msg.request)
            cancel = Route(message.Cancel(msg.request, mode=message.Cancel.KILLNOWAIT))
            return [cancel, *pending.slot.fail(BrokenResult(error.message, where=pending.where))]
        told = envelopes.notification("hopsack.progress", {"id": pending.slot.id, "data": value})
        return [Send(told, pending.slot.place.binary)]

    def _granted(self, msg: asked.More) -> list[Effect]:
        if msg.kind == message.Invocation.MESSAGE_TYPE:
            known = msg.request in self._asked
            return [Send(envelopes.notification("hopsack.more", {"id": msg.request, "n": msg.items}))] if known else []
        pending = self._pending.get(msg.request)
        if pending is None:
            return []
        params = {"id": pending.slot.id, "n": msg.items}
        return [Send(envelopes.notification("hopsack.more_input", params), pending.slot.place.binary)]

    def _succeeded(self, msg: Any) -> list[Effect]:
        pending = self._settle(msg.request)
        if pending is None:
            return []
        try:
            return pending.slot.succeed(pending.result(msg))
        except Invalid as error:
            return pending.slot.fail(BrokenResult(error.message, where=pending.where))

    def _failed(self, msg: message.Error) -> list[Effect]:
        if msg.request_type == message.Yield.MESSAGE_TYPE:
            return [Send(envelopes.report(msg.request, from_wamp(msg.error, msg.args, msg.kwargs)))]
        pending = self._settle(msg.request) if msg.request_type in _REQUESTS else None
        if pending is None:
            return []
        error = from_wamp(msg.error, msg.args, msg.kwargs)
        if error.code == "hopsack.undeclared" and pending.result is _payload:
            _suggest_method(error, pending.where)
        if error.where is None:
            error.where = pending.where
        return pending.slot.fail(error)

    def _revoked(self, msg: message.Unsubscribed | message.Unregistered) -> list[Effect]:
        known = self._registrations.pop(msg.registration, None) if isinstance(msg, message.Unregistered) else None
        if isinstance(msg, ended.Ended):
            return [Send(envelopes.notification("hopsack.revoked", ended.facts_of(msg)))]
        if known is None:
            return []
        facts = {"registration": msg.registration, "uri": known, "reason": msg.reason or "the node took it away"}
        return [Send(envelopes.notification("hopsack.revoked", facts))]

    def _dismissed(self, msg: message.Goodbye) -> list[Effect]:
        if isinstance(msg, Farewell):
            return self._close(GOING_AWAY, reason_with(GOING_AWAY.meaning, msg.retry_after))
        return self._close(*dismissed_by(ended_by(msg)))

    def _close(self, code: CloseCode, reason: str) -> list[Effect]:
        self.state = State.CLOSED
        self._pending.clear()
        self._flowing.clear()
        return [Close(code.number, clip(reason))]

    # ---- the page as callee --------------------------------------------------------------------------------------

    def _invoked(self, msg: message.Invocation) -> list[Effect]:
        if msg.request in self._asked:
            return self._fed(msg)
        procedure = msg.procedure or self._registrations.get(msg.registration)
        if procedure is None or len(self._asked) >= self._limits.unanswered:
            return [_error(msg.request, _overloaded("the page answers too slowly", procedure))]
        try:
            value = payload_of(msg.args, msg.kwargs, array=False) if msg.args or msg.kwargs else ABSENT
        except Invalid as error:
            return [_error(msg.request, error)]
        self._asked.add(msg.request)
        return [Send(envelopes.request(msg.request, procedure, value, _said(msg)))]

    def _fed(self, msg: message.Invocation) -> list[Effect]:
        """A further input of a call that the page serves; the last one may be empty."""
        params: dict[str, Any] = {"id": msg.request}
        is_last = not getattr(msg, "progress", None)
        try:
            if msg.args or msg.kwargs or not is_last:
                params["data"] = payload_of(msg.args, msg.kwargs, array=False)
        except Invalid as error:
            self._asked.discard(msg.request)
            told = Send(envelopes.notification("hopsack.cancel", {"id": msg.request}))
            return [told, _error(msg.request, error)]
        if is_last:
            params["end"] = True
        return [Send(envelopes.notification("hopsack.input", params))]

    def _interrupted(self, msg: message.Interrupt) -> list[Effect]:
        if msg.request not in self._asked:
            return []
        self._asked.discard(msg.request)
        told = Send(envelopes.notification("hopsack.cancel", {"id": msg.request}))
        return [told, _error(msg.request, Canceled("the call was cancelled"))]

    def _answered(self, response: Response) -> list[Effect]:
        """An answer nobody waits for is dropped: the call it belonged to has ended."""
        identity = response.id
        if not isinstance(identity, int) or identity not in self._asked:
            return []
        self._asked.discard(identity)
        if response.error is not None:
            return [_error(identity, response.error)]
        return [Route(message.Yield(identity, args=[response.result]))]


# ---- small parts ------------------------------------------------------------------------------------------------


def _flat(parts: Iterable[list[Effect]]) -> list[Effect]:
    return [effect for part in parts for effect in part]


def _params(kind: type[P], request: Request) -> P:
    """The parameters of a method of ours.

    :raises Invalid: with the place of the fault and the members there are.
    """
    given = {} if request.params is ABSENT or request.params is None else request.params
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        path = place.rstrip("`").replace(".", "/")
        advice = f"{request.method} takes {', '.join(kind.__struct_fields__)}"
        raise Invalid(text, where=request.method, path=path, advice=advice) from error


def _extra(request: Request) -> Extra:
    """:raises BadRequest: the member is not what it should be; it is no part of the input, which contracts judge."""
    try:
        return msgspec.convert(request.extra, Extra)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        path = "/hopsack" + place.rstrip("`").replace(".", "/")
        raise BadRequest(text, where=request.method, path=path) from error


def _said(msg: message.Invocation) -> dict[str, Any]:
    """The member ``hopsack`` of a request to the page: what there is to say beside its input."""
    facts = {
        "timeout": msg.timeout,
        "progress": msg.receive_progress,
        "window": getattr(msg, "x_hopsack_window", None),
        "inputs": getattr(msg, "progress", None),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _check(refusal: RemoteError | None) -> None:
    """Before a name goes into a WAMP message: the router takes what is no URI for something nobody has declared."""
    if refusal is not None:
        raise refusal


def _suggest_method(error: RemoteError, method: str) -> None:
    """The router knows procedures only. What was meant may be a method of this door: ``hopsack.subscrib``."""
    if not method.startswith("hopsack."):
        return
    nearest = error.data.get("nearest")
    rivals = [*_METHODS, *((nearest,) if isinstance(nearest, str) else ())]
    close = difflib.get_close_matches(method[:200], rivals, n=1)
    if close:
        error.advice, error.data = f"did you mean {close[0]}?", {**error.data, "nearest": close[0]}


def _subscribed(msg: message.Subscribed) -> dict[str, Any]:
    return {"subscription": msg.subscription} | places.facts(places.granted_by(msg))


def _published(msg: message.Published) -> dict[str, Any]:
    position = getattr(msg, "position", None)
    return {} if position is None else {"position": position}


def _nothing(_: message.Message) -> dict[str, Any]:
    return {}


def _payload(msg: message.Result) -> Any:
    return payload_of(msg.args, msg.kwargs, array=False)


def _same(one: Id | Absent, other: Id) -> bool:
    return type(one) is type(other) and one == other


def _overloaded(message_: str, where: str | None) -> Overloaded:
    return Overloaded(message_, where=where, advice="wait for answers before sending more", data={"retry_after": 1})


def _error(request: int, error: RemoteError) -> Route:
    uri, args, kwargs = to_wamp(error)
    return Route(message.Error(message.Invocation.MESSAGE_TYPE, request, uri, args=args, kwargs=kwargs))


# ---- the tables -------------------------------------------------------------------------------------------------

_METHODS: dict[str, Callable[[Connection, _Slot, Request], list[Effect]]] = {
    "hopsack.hello": Connection._say_hello_again,
    "hopsack.subscribe": Connection._subscribe,
    "hopsack.rate": Connection._rate,
    "hopsack.unsubscribe": Connection._unsubscribe,
    "hopsack.publish": Connection._publish,
    "hopsack.register": Connection._register,
    "hopsack.unregister": Connection._unregister,
    "hopsack.cancel": Connection._cancel,
    "hopsack.more": Connection._more,
    "hopsack.input": Connection._input,
    "hopsack.progress": Connection._progress,
    "hopsack.more_input": Connection._more_input,
    "hopsack.ping": Connection._pong,
}
"""Every other method is a call, the node's own procedures ``hopsack.topics.list`` and so on included."""

_ANSWERS = frozenset(
    (
        message.Result,
        message.Published,
        asked.Published,
        message.Subscribed,
        asked.Subscribed,
        asked.Rated,
        message.Unsubscribed,
        message.Registered,
        message.Unregistered,
    )
)

_REQUESTS = frozenset(
    kind.MESSAGE_TYPE
    for kind in (
        message.Call,
        message.Publish,
        message.Subscribe,
        message.Unsubscribe,
        message.Register,
        message.Unregister,
    )
)


def _ignore(*_: Any) -> list[Effect]:
    return []


_TABLE: dict[tuple[State, str], Callable[..., list[Effect]]] = {
    (State.CONNECTING, "received"): Connection._read,
    (State.CONNECTING, "waited"): Connection._give_up,
    (State.JOINING, "received"): Connection._read,
    (State.JOINING, "joined"): Connection._enter,
    (State.JOINING, "refused"): Connection._turn_away,
    (State.JOINING, "routed"): Connection._from_router,
    (State.JOINING, "waited"): _ignore,
    (State.JOINED, "received"): Connection._read,
    (State.JOINED, "routed"): Connection._from_router,
    (State.JOINED, "waited"): _ignore,
    (State.CLOSED, "received"): _ignore,
    (State.CLOSED, "joined"): _ignore,
    (State.CLOSED, "refused"): _ignore,
    (State.CLOSED, "routed"): _ignore,
    (State.CLOSED, "waited"): _ignore,
}
"""What is not listed cannot happen: a ``KeyError`` here is a defect of the shell."""
