"""The client's side of a WAMP session, as a machine without I/O (WAMP basic profile; by ticket and by WAMP-cryptosign).

    -> HELLO                          <- WELCOME | ABORT | CHALLENGE (then -> AUTHENTICATE)
    -> CALL, CANCEL                   <- RESULT | ERROR
    -> CALL receive_progress, MORE    <- RESULT progress, before the last one
    -> CALL progress, with the same   <- MORE
       number until the last one
    -> PUBLISH                        <- PUBLISHED | ERROR, if acknowledged
    -> SUBSCRIBE, UNSUBSCRIBE         <- SUBSCRIBED, UNSUBSCRIBED | ERROR, then EVENT
    -> REGISTER, UNREGISTER           <- REGISTERED, UNREGISTERED | ERROR
    <- INVOCATION, INTERRUPT          -> YIELD | ERROR
    <- INVOCATION receive_progress,   -> YIELD progress, before the last one
       MORE
    <- INVOCATION progress, with the  -> MORE
       same number until the last one
    -> GOODBYE <- GOODBYE             <- GOODBYE -> GOODBYE

Newest values: with ``get_retained`` they come right after SUBSCRIBED, and the answer to a probe sent then says that
they were all. So such a subscription is confirmed when that answer is here, with their number; then they follow, and
what came live meanwhile. What was missed of a stream is read back by whoever subscribed (:mod:`hopsack.resuming`).

Streams: a node of Hopsack says in WELCOME that it takes ``x_hopsack_granted``. Then SUBSCRIBE asks for it, says where
to resume and how fast, and a subscription is confirmed when the EVENT is here, right behind SUBSCRIBED, that says what
it begins with. Of other routers nothing of that is asked.

One thing is ours: a node of Hopsack may answer an answer with ERROR, whose request type is then that of YIELD, to say
that it broke its contract and that the caller did not get it: a YIELD with the wrong result, or an ERROR that is not
declared. It becomes a :class:`~hopsack.session.Report`, also while the session is leaving.

MORE is ours, too (:class:`hopsack.wamp.messages.More`): it goes to routers that announce ``x_hopsack_flow``. To others
progressive results and inputs go uncounted.

Bounds: as many requests are remembered as the connection lets be in flight. :data:`HELD` live events wait for a
snapshot; those beyond are dropped and told as a gap. :data:`LATE` invocations are remembered that were answered before
their inputs had ended.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from hopsack import backoff
from hopsack import session as on
from hopsack.contracts.payload import payload_of
from hopsack.due import milliseconds, seconds_of
from hopsack.errors import (
    BadRequest,
    Denied,
    Expired,
    HopsackError,
    Invalid,
    LoginRequired,
    Overloaded,
    RateLimited,
    RemoteError,
    Revoked,
    Unavailable,
    UsageError,
    from_wamp,
    to_wamp,
)
from hopsack.position import parse
from hopsack.wamp import messages as wamp
from hopsack.wamp.codec import Codec, Malformed
from hopsack.wamp.rawsocket import LARGEST

if TYPE_CHECKING:
    from hopsack.keys import PrivateKey

__all__ = ["State", "WampSession"]

ROLES: Mapping[str, Any] = {
    "publisher": {"features": {"publisher_identification": True}},
    "subscriber": {"features": {"publisher_identification": True, "pattern_based_subscription": True}},
    "caller": {
        "features": {
            "caller_identification": True,
            "call_canceling": True,
            "progressive_call_results": True,
            "progressive_call_invocations": True,
            "x_hopsack_flow": True,
        }
    },
    "callee": {
        "features": {
            "caller_identification": True,
            "call_canceling": True,
            "progressive_call_results": True,
            "progressive_call_invocations": True,
            "x_hopsack_flow": True,
            "pattern_based_registration": True,
            "shared_registration": True,
        }
    },
}
"""What HELLO announces."""

_GOODBYE = "wamp.close.goodbye_and_out"
_SHUTDOWN = "wamp.close.system_shutdown"

_DROPPED = "x_hopsack_dropped"
"""In the details of an EVENT without payload: why a node of Hopsack could not send it (docs/decisions/0007)."""

_SEALED = "enc_algo"
"""In the details of an EVENT: its payload is opaque bytes."""

_SLOW = "slow"
"""The reason that stands for several events, dropped because this session reads too slowly."""

_GRANTED = "x_hopsack_granted"
"""In WELCOME: it may be asked for. In SUBSCRIBE: it is. In the details of an EVENT without payload: it."""

HELD = 1_000
LATE = 1_000

_REFUSED_FOR_GOOD: Mapping[str, type[RemoteError]] = {
    "wamp.error.no_such_realm": BadRequest,
    "wamp.error.protocol_violation": BadRequest,
    "wamp.error.no_such_role": LoginRequired,
    "wamp.error.no_such_principal": LoginRequired,
    "wamp.error.no_auth_method": LoginRequired,
    "wamp.error.no_matching_auth_method": LoginRequired,
    "wamp.error.not_authorized": LoginRequired,
    "wamp.error.authentication_failed": LoginRequired,
    "wamp.error.authentication_denied": LoginRequired,
    "wamp.error.authentication_required": LoginRequired,
    "wamp.error.authorization_failed": LoginRequired,
    Revoked.CODE: Revoked,
    Expired.CODE: Expired,
}
"""Reasons of ABORT that trying again with the same token cannot change."""

_BUSY: Mapping[str, type[RemoteError]] = {_SHUTDOWN: Unavailable, RateLimited.CODE: RateLimited}


_CALL, _PUBLISH, _YIELD, _INVOCATION = (
    kind.number() for kind in (wamp.Call, wamp.Publish, wamp.Yield, wamp.Invocation)
)
_SUBSCRIBE, _UNSUBSCRIBE, _REGISTER, _UNREGISTER = (
    kind.number() for kind in (wamp.Subscribe, wamp.Unsubscribe, wamp.Register, wamp.Unregister)
)


class State(Enum):
    FRESH = "fresh"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    ENDED = "ended"

    # The table is asked twice for every message, and Enum's own hash runs in Python. Members are singletons.
    __hash__ = object.__hash__


class _Arguments(msgspec.Struct, frozen=True):
    """A payload as WAMP carries it (design.md: one value, in one of three places)."""

    codec: Codec
    args: Raw
    kwargs: Raw

    def read(self, array: bool = False) -> Any:
        try:
            if not (array or len(self.kwargs)):
                args = self.codec.unpack(self.args)
                return args[0] if type(args) is list and len(args) == 1 else payload_of(args, None, array)
            args, kwargs = self.codec.unpack(self.args), self.codec.unpack(self.kwargs)
        except Malformed as error:
            raise Invalid(str(error), path="") from error
        return payload_of(args, kwargs, array)

    def read_as(self, type_: Any) -> Any:
        if len(self.kwargs):
            raise msgspec.ValidationError("stands in the keyword arguments")
        return self.codec.unpack_as(self.args, type_)


class _Opaque(msgspec.Struct, frozen=True):
    """A payload that the node has not read (payload passthrough mode): as the one JSON value that other doors bring."""

    codec: Codec
    data: Raw
    algorithm: str
    serializer: Any

    def read(self, array: bool = False) -> Any:
        data = self.codec.unpack(self.data)
        if isinstance(data, bytes):
            text = base64.b64encode(data).decode()
        elif isinstance(data, str) and data.startswith("\0"):  # how WAMP writes bytes in JSON
            text = data[1:]
        else:
            raise Invalid("an opaque payload is bytes", path="")
        return {"enc_algo": self.algorithm, "enc_serializer": self.serializer, "payload": text}

    def read_as(self, type_: Any) -> Any:
        return msgspec.convert(self.read(), type_)


class _Pending(msgspec.Struct, frozen=True):
    """A request in flight. ``kind`` is the number of its message; ``subject`` its URI, or the id it concerns."""

    kind: int
    ticket: on.Ticket | None
    subject: Any


class _Gathering(msgspec.Struct, eq=False):
    """A subscription whose newest values are wanted: the ticket of its SUBSCRIBE, and of the probe that follows."""

    ticket: on.Ticket
    subscription: int
    topic: str
    grant: on.Grant = on.Grant()
    newest: list[on.Deliver] = []
    held: list[on.Effect] = []
    dropped: int = 0

    def add(self, event: on.Deliver) -> None:
        if event.publication.retained:
            self.newest.append(event)
        elif len(self.held) < HELD:
            self.held.append(event)
        else:
            self.dropped += 1

    def done(self) -> list[on.Effect]:
        gap = [on.Skipped(self.subscription, self.topic, self.dropped)] if self.dropped else []
        grant = msgspec.structs.replace(self.grant, snapshot=len(self.newest))
        return [on.Confirm(self.ticket, self.subscription, grant), *self.newest, *self.held, *gap]


class _Granting(msgspec.Struct, eq=False):
    """A subscription of which the node is to say what it begins with."""

    ticket: on.Ticket


class WampSession:
    """One session over one connection.

    :param codec: how messages look on this connection.
    :param token: presented as a ticket; with neither it nor a key the session is a guest.
    :param key: signs the node's challenge, where there is no token.
    :param agent: who this is, in session lists; ``hopsack-`` in front asks the node to report broken answers.
    :param service: name of the service, in session lists.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        realm: str,
        agent: str,
        token: str | None = None,
        key: PrivateKey | None = None,
        service: str | None = None,
    ) -> None:
        self.state = State.FRESH
        self._codec = codec
        self._realm = realm
        self._token = token
        self._key = key if token is None else None
        self._extra = {"agent": agent} | ({"service": service} if service else {})
        self._limit = LARGEST
        self._last_request = 0
        self._pending: dict[int, _Pending] = {}
        self._calls: dict[on.Ticket, int] = {}
        self._topics: dict[int, str] = {}
        self._gathering: dict[int, _Gathering] = {}
        self._granting: dict[int, on.Ticket] = {}
        self._matches: dict[int, on.Match] = {}
        self._tells_grants = False
        self._procedures: dict[int, str] = {}
        self._in_hand: dict[int, str] = {}
        self._fed: dict[int, None] = {}
        self._is_counted = False
        self._takes_inputs = False

    def take(self, event: on.Input) -> list[on.Effect]:
        if type(event) is on.Received:
            return self._receive(event.data)
        step = _INPUTS.get((self.state, type(event)))
        if step is None:
            raise UsageError(f"a session that is {self.state.value} takes no {type(event).__name__}")
        return step(self, event)

    def _receive(self, data: bytes) -> list[on.Effect]:
        try:
            message = self._codec.decode(data)
            step = _MESSAGES.get((self.state, type(message)))
            if step is None:
                if self.state is State.ENDED:
                    return []
                raise Malformed(f"{type(message).__name__} for a session that is {self.state.value}")
            return step(self, message)
        except Malformed as error:
            abort = wamp.Abort({"message": str(error)}, "wamp.error.protocol_violation")
            return [self._send(abort), *self._end(str(error)), on.Close(str(error))]

    # ---- join and leave ----------------------------------------------------------------------------------------------

    def _open(self, event: on.Opened) -> list[on.Effect]:
        self.state = State.JOINING
        self._limit = event.limit
        method = "ticket" if self._token is not None else "anonymous" if self._key is None else "cryptosign"
        details = {
            "roles": ROLES,
            "agent": self._extra["agent"],
            "authmethods": [method],
            "authextra": self._extra if self._key is None else {**self._extra, "pubkey": self._key.public.hex()},
        }
        return [self._send(wamp.Hello(self._realm, details))]

    def _challenge(self, message: wamp.Challenge) -> list[on.Effect]:
        if message.method == "ticket" and self._token is not None:
            return [self._send(wamp.Authenticate(self._token, {}))]
        if message.method == "cryptosign" and self._key is not None:
            return [self._send(wamp.Authenticate(_signed(self._key, message.extra), {}))]
        raise Malformed(f"a challenge by {message.method}, which was not offered")

    def _welcome(self, message: wamp.Welcome) -> list[on.Effect]:
        self.state = State.JOINED
        details = message.details
        features = _features_of(details, "dealer")
        self._is_counted = features.get("x_hopsack_flow") is True
        self._takes_inputs = features.get("progressive_call_invocations") is True
        self._tells_grants = details.get(_GRANTED) is True
        identity = on.Identity(
            session=message.session,
            authid=str(details.get("authid") or ""),
            role=str(details.get("authrole") or ""),
            realm=str(details.get("realm") or self._realm),
            server=str(details.get("agent") or ""),
            **on.personal(details.get("authextra")),
        )
        return [on.Join(identity)]

    def _abort(self, message: wamp.Abort) -> list[on.Effect]:
        self.state = State.ENDED
        text = str(message.details.get("message") or "") or message.reason
        final = _REFUSED_FOR_GOOD.get(message.reason)
        busy = _BUSY.get(message.reason, Overloaded)
        error = busy(text, data={"reason": message.reason}) if final is None else final(text)
        return [on.Refuse(error, final=final is not None), on.Close(text, backoff.hint_of(message.details))]

    def _abort_later(self, message: wamp.Abort) -> list[on.Effect]:
        return [*self._end(message.reason), on.Close(message.reason, backoff.hint_of(message.details))]

    def _leave(self, event: on.LeaveRequested) -> list[on.Effect]:
        self.state = State.LEAVING
        return [self._send(wamp.Goodbye({}, "wamp.close.normal"))]

    def _give_up(self, event: on.LeaveRequested) -> list[on.Effect]:
        self.state = State.ENDED
        return [on.Close("left before joining")]

    def _goodbye(self, message: wamp.Goodbye) -> list[on.Effect]:
        """The node ends it: answer, then close."""
        hint = backoff.hint_of(message.details)
        refused = [] if hint is None or message.reason != _SHUTDOWN else self._refuse_calls(hint)
        answer = self._send(wamp.Goodbye({}, _GOODBYE))
        return [answer, *refused, *self._end(message.reason), on.Close(message.reason, hint)]

    def _refuse_calls(self, hint: float) -> list[on.Effect]:
        """A node that stops ends calls before it says goodbye, and takes none after: the rest was never begun."""
        refused: list[on.Effect] = []
        for ticket, request in self._calls.items():
            where = self._pending.pop(request).subject
            refused.append(on.Reject(ticket, Unavailable(where=where, data={"retry_after": hint})))
        return refused

    def _goodbye_answered(self, message: wamp.Goodbye) -> list[on.Effect]:
        return [*self._end("the session was left"), on.Close("left")]

    def _lose(self, event: on.Lost) -> list[on.Effect]:
        return self._end(event.reason)

    def _end(self, reason: str) -> list[on.Effect]:
        """Fail what is in flight: what may have run is told from what certainly did nothing that lasts."""
        self.state = State.ENDED
        pending, self._pending = self._pending, {}
        self._calls.clear()
        self._gathering.clear()
        granting, self._granting = self._granting, {}
        asked = [(one.ticket, one) for one in pending.values() if one.ticket is not None]
        return [
            *(on.Reject(ticket, on.unanswered(None, reason)) for ticket in granting.values()),
            *(
                on.Reject(ticket.ticket if isinstance(ticket, (_Gathering, _Granting)) else ticket, _lost(one, reason))
                for ticket, one in asked
            ),
        ]

    # ---- requests ----------------------------------------------------------------------------------------------------

    def _call(self, event: on.CallRequested) -> list[on.Effect]:
        request = self._last_request + 1
        options: dict[str, Any] = {} if event.timeout is None else {"timeout": milliseconds(event.timeout)}
        if event.terms is not None:
            options |= {f"x_hopsack_{name}": value for name, value in msgspec.to_builtins(event.terms).items()}
        if event.flow is not None:
            options |= self._options_of(event.flow, event.procedure)
        sent = self._send_value((_CALL, request, options, event.procedure), event.value)
        self._calls[event.ticket] = request
        asked = self._asked(request, _CALL, event.ticket, event.procedure, sent)
        if event.flow is not None and event.flow.inputs and not self._is_counted:
            return [*asked, on.InputsGranted(event.ticket, on.UNCOUNTED)]
        return asked

    def _options_of(self, flow: on.Flow, procedure: str) -> dict[str, Any]:
        if flow.inputs and not self._takes_inputs:
            raise UsageError(f"{procedure}: this router takes one input for each call")
        options: dict[str, Any] = {}
        if flow.progress:
            options["receive_progress"] = True
        if flow.window is not None and self._is_counted:
            options["x_hopsack_window"] = flow.window
        if flow.inputs:
            options["progress"] = True
        return options

    def _take_more(self, event: on.MoreWanted) -> list[on.Effect]:
        request = self._calls.get(event.ticket)
        if request is None or not self._is_counted:
            return []
        return [self._send(wamp.More(_CALL, request, event.items))]

    def _give_input(self, event: on.InputGiven) -> list[on.Effect]:
        request = self._calls.get(event.ticket)
        if request is None:
            return []
        where = self._pending[request].subject
        return [self._send_value((_CALL, request, {"progress": True}, where), event.value)]

    def _end_inputs(self, event: on.InputsEnded) -> list[on.Effect]:
        request = self._calls.get(event.ticket)
        return [] if request is None else [self._send(wamp.Call(request, {}, self._pending[request].subject))]

    def _abandon(self, event: on.CallAbandoned) -> list[on.Effect]:
        request = self._calls.pop(event.ticket, None)
        if request is None:
            return []
        # "killnowait": the answer comes at once. With "kill" it would come when the callee feels like it.
        return [self._send(wamp.Cancel(request, {"mode": "killnowait"}))]

    def _publish(self, event: on.PublishRequested) -> list[on.Effect]:
        request = self._last_request + 1
        options: dict[str, Any] = {} if event.ticket is None else {"acknowledge": True}
        if event.key is not None:
            options["x_hopsack_key"] = event.key
        if event.delete:
            options["x_hopsack_delete"] = True
        sent = self._send_value((_PUBLISH, request, options, event.topic), event.value)
        if event.ticket is not None:
            return self._asked(request, _PUBLISH, event.ticket, event.topic, sent)
        self._last_request = request
        return [sent]

    def _subscribe(self, event: on.SubscribeRequested) -> list[on.Effect]:
        if event.rate is not None and not self._tells_grants:
            raise _no_rates()
        options = _matching(event.match) | ({"get_retained": True} if event.snapshot else {})
        ticket: Any = event.ticket
        if event.snapshot:
            ticket = _Gathering(event.ticket, 0, event.topic, on.Grant(), [], [])
        elif self._tells_grants:
            ticket = _Granting(event.ticket)
        if self._tells_grants:
            options |= _with_ours(event)
        message = wamp.Subscribe(self._last_request + 1, options, event.topic)
        return self._ask(message, ticket, (event.topic, event.match))

    def _set_rate(self, event: on.RateRequested) -> list[on.Effect]:
        """By another SUBSCRIBE of the same: WAMP has no message for it."""
        topic = self._topics.get(event.subscription)
        if not self._tells_grants or topic is None:
            raise _no_rates()
        match = self._matches.get(event.subscription, "exact")
        rate = {} if event.rate is None else {"x_hopsack_max_rate": event.rate}
        message = wamp.Subscribe(self._last_request + 1, _matching(match) | rate, topic)
        return self._ask(message, event.ticket, (topic, match))

    def _unsubscribe(self, event: on.UnsubscribeRequested) -> list[on.Effect]:
        message = wamp.Unsubscribe(self._last_request + 1, event.subscription)
        return self._ask(message, event.ticket, event.subscription)

    def _register(self, event: on.RegisterRequested) -> list[on.Effect]:
        options = _matching(event.match) | _sharing(event.invoke)
        message = wamp.Register(self._last_request + 1, options, event.procedure)
        return self._ask(message, event.ticket, event.procedure)

    def _unregister(self, event: on.UnregisterRequested) -> list[on.Effect]:
        message = wamp.Unregister(self._last_request + 1, event.registration)
        return self._ask(message, event.ticket, event.registration)

    def _probe(self, event: on.Probed) -> list[on.Effect]:
        # Not every router answers RawSocket pings; every one has to answer an UNSUBSCRIBE, and this one does nothing.
        return self._ask_for_nothing(None)

    def _ask_for_nothing(self, ticket: on.Ticket | None) -> list[on.Effect]:
        absent = next(number for number in range(1, len(self._topics) + 2) if number not in self._topics)
        return self._ask(wamp.Unsubscribe(self._last_request + 1, absent), ticket, absent)

    def _ask(self, message: Any, ticket: on.Ticket | None, subject: Any) -> list[on.Effect]:
        return self._asked(message.request, message.number(), ticket, subject, self._send(message))

    def _asked(self, request: int, kind: int, ticket: on.Ticket | None, subject: Any, sent: on.Send) -> list[on.Effect]:
        """Only now that its message is written does a request have its number."""
        self._last_request = request
        self._pending[request] = _Pending(kind, ticket, subject)
        return [sent]

    # ---- answers -----------------------------------------------------------------------------------------------------

    def _settle(self, request: int, kind: int) -> _Pending:
        """The request that an answer belongs to.

        Some routers answer a cancelled call twice, so a second answer is nobody's and is dropped. An answer to what
        was never asked, or of another kind, is a protocol violation.
        """
        pending = self._pending.pop(request, None)
        if pending is None and kind == _CALL and 0 < request <= self._last_request:
            return _Pending(kind, None, "")
        if pending is None or pending.kind != kind:
            raise Malformed(f"an answer to request {request}, which is not in flight")
        if kind == _CALL:
            self._calls.pop(pending.ticket, None)
        return pending

    def _result(self, message: wamp.Result) -> list[on.Effect]:
        if message.details and message.details.get("progress") is True:
            return self._advance(message)
        pending = self._settle(message.request, _CALL)
        if pending.ticket is None:
            return []
        return [on.Resolve(pending.ticket, _Arguments(self._codec, message.args, message.kwargs))]

    def _advance(self, message: wamp.Result) -> list[on.Effect]:
        pending = self._pending.get(message.request)
        if pending is None or pending.kind != _CALL or pending.ticket is None:
            return []  # it was cancelled
        return [on.Advance(pending.ticket, _Arguments(self._codec, message.args, message.kwargs))]

    def _more(self, message: wamp.More) -> list[on.Effect]:
        """The other side takes more. What it was about may have ended meanwhile."""
        if message.kind == _INVOCATION:
            known = message.request in self._in_hand
            return [on.ProgressGranted(message.request, message.items)] if known else []
        pending = self._pending.get(message.request) if message.kind == _CALL else None
        if pending is None or pending.kind != _CALL or pending.ticket is None:
            return []
        return [on.InputsGranted(pending.ticket, message.items)]

    def _published(self, message: wamp.Published) -> list[on.Effect]:
        pending = self._settle(message.request, _PUBLISH)
        return _confirm(pending, message.publication)

    def _subscribed(self, message: wamp.Subscribed) -> list[on.Effect]:
        pending = self._settle(message.request, _SUBSCRIBE)
        number = message.subscription
        self._topics[number], match = pending.subject
        if match != "exact":
            self._matches[number] = match
        match pending.ticket:
            case _Gathering() as gathering:
                gathering.subscription = number
                self._gathering[number] = gathering
                return self._ask_for_nothing(gathering)
            case _Granting(ticket=ticket):
                self._granting[number] = ticket
                return []
        return _confirm(pending, number)

    def _granted(self, number: int, told: Any) -> list[on.Effect]:
        """What the node says that a subscription begins with."""
        try:
            grant = msgspec.convert(told, _Granted).grant(self._topics[number])
        except msgspec.ValidationError as error:
            raise Malformed(f"{_GRANTED}: {error}") from error
        if (gathering := self._gathering.get(number)) is not None:
            gathering.grant = grant
            return []
        ticket = self._granting.pop(number, None)
        return [] if ticket is None else [on.Confirm(ticket, number, grant)]

    def _gathered(self, gathering: _Gathering) -> list[on.Effect]:
        """The probe that was sent after SUBSCRIBED is answered: all newest values are here."""
        del self._gathering[gathering.subscription]
        if gathering.subscription not in self._topics:
            return [on.Reject(gathering.ticket, Denied("the node took it away meanwhile", where=gathering.topic))]
        return gathering.done()

    def _unsubscribed(self, message: wamp.Unsubscribed) -> list[on.Effect]:
        if message.request == 0:
            return self._revoked("subscription", message.details, self._topics)
        pending = self._settle(message.request, _UNSUBSCRIBE)
        if isinstance(pending.ticket, _Gathering):
            return self._gathered(pending.ticket)
        self._topics.pop(pending.subject, None)
        self._matches.pop(pending.subject, None)
        return _confirm(pending, 0)

    def _registered(self, message: wamp.Registered) -> list[on.Effect]:
        pending = self._settle(message.request, _REGISTER)
        self._procedures[message.registration] = pending.subject
        return _confirm(pending, message.registration)

    def _unregistered(self, message: wamp.Unregistered) -> list[on.Effect]:
        if message.request == 0:
            return self._revoked("registration", message.details, self._procedures)
        pending = self._settle(message.request, _UNREGISTER)
        self._procedures.pop(pending.subject, None)
        return _confirm(pending, 0)

    def _revoked(self, kind: Any, details: dict[str, Any], known: dict[int, str]) -> list[on.Effect]:
        number = details.get(kind)
        where = known.pop(number, None) if isinstance(number, int) else None
        if where is None or not isinstance(number, int):
            return []
        self._matches.pop(number, None)
        return [on.revoke(kind, number, where, details.get("reason"), details.get("x_hopsack_error"))]

    def _error(self, message: wamp.Error) -> list[on.Effect]:
        error = self._read_error(message)
        if message.request_type == _YIELD:
            return [on.Report(error)]
        pending = self._settle(message.request, message.request_type)
        if pending.ticket is None:
            return []
        if isinstance(pending.ticket, _Gathering):
            if pending.kind == _UNSUBSCRIBE:
                return self._gathered(pending.ticket)
            return [on.Reject(pending.ticket.ticket, error)]
        subject = pending.subject[0] if pending.kind == _SUBSCRIBE else pending.subject
        if error.where is None and isinstance(subject, str):
            error.where = subject
        ticket = pending.ticket.ticket if isinstance(pending.ticket, _Granting) else pending.ticket
        return [on.Reject(ticket, error)]

    def _error_while_leaving(self, message: wamp.Error) -> list[on.Effect]:
        is_report = message.request_type == _YIELD
        return [on.Report(self._read_error(message))] if is_report else []

    def _read_error(self, message: wamp.Error) -> RemoteError:
        args, kwargs = self._codec.unpack(message.args), self._codec.unpack(message.kwargs)
        return from_wamp(
            message.error,
            args if isinstance(args, list) else None,
            kwargs if isinstance(kwargs, dict) else None,
        )

    # ---- events and invocations --------------------------------------------------------------------------------------

    def _event(self, message: wamp.Event) -> list[on.Effect]:
        topic = self._topics.get(message.subscription)
        if topic is None:
            # Sent before the node saw our UNSUBSCRIBE.
            return []
        details = message.details
        if _GRANTED in details:
            return self._granted(message.subscription, details[_GRANTED])
        if _DROPPED in details:
            if details[_DROPPED] == _SLOW:
                count = details.get("x_hopsack_count")
                number = count if isinstance(count, int) else None
                return [on.Skipped(message.subscription, details.get("topic") or topic, number)]
            size = details.get("x_hopsack_size")
            told = size if isinstance(size, int) else None
            where = details.get("topic") or topic
            return [on.Withheld(where, str(details[_DROPPED]), told, message.subscription)]
        publication = _publication(topic, message.publication, details)
        payload: on.Payload = _Arguments(self._codec, message.args, message.kwargs)
        if _SEALED in details:
            payload = _Opaque(self._codec, message.args, str(details[_SEALED]), details.get("enc_serializer"))
        event = on.Deliver(message.subscription, publication, payload)
        if self._gathering and (gathering := self._gathering.get(message.subscription)) is not None:
            gathering.add(event)
            return []
        return [event]

    def _invocation(self, message: wamp.Invocation) -> list[on.Effect]:
        if self._fed and message.request in self._fed:
            return self._further_input(message)
        procedure = self._procedures.get(message.registration)
        if procedure is None:
            return [self._send_error(message.request, on.gone(None))]
        details = message.details
        caller = on.Caller(
            session=details.get("caller"),
            authid=details.get("caller_authid"),
            role=details.get("caller_authrole"),
            procedure=details.get("procedure") or procedure,
        )
        self._in_hand[message.request] = caller.procedure
        payload = _Arguments(self._codec, message.args, message.kwargs)
        timeout = seconds_of(details.get("timeout"))
        flow = None
        if "receive_progress" in details or "progress" in details:
            flow = self._flow_of(message.request, details)
        return [on.Serve(message.request, message.registration, caller, payload, timeout, flow)]

    def _flow_of(self, request: int, details: dict[str, Any]) -> on.Flow:
        progress, inputs = details.get("receive_progress") is True, details.get("progress") is True
        window = details.get("x_hopsack_window")
        if inputs:
            self._fed[request] = None
        return on.Flow(progress, window if isinstance(window, int) else None, inputs)

    def _further_input(self, message: wamp.Invocation) -> list[on.Effect]:
        """The last one may carry nothing; what comes for an invocation that has been answered is nobody's."""
        is_last, request = message.details.get("progress") is not True, message.request
        if is_last:
            del self._fed[request]
        if request not in self._in_hand:
            return []
        effects: list[on.Effect] = []
        if not is_last or len(message.args) or len(message.kwargs):
            effects.append(on.InputCame(request, _Arguments(self._codec, message.args, message.kwargs)))
        return [*effects, on.InputsOver(request)] if is_last else effects

    def _interrupt(self, message: wamp.Interrupt) -> list[on.Effect]:
        return [on.Interrupt(message.request)] if message.request in self._in_hand else []

    def _answer(self, event: on.Answered) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        sent = self._send_value((_YIELD, event.invocation, {}), event.value)
        self._answered(event.invocation)
        return [sent]

    def _fail(self, event: on.Failed) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        self._answered(event.invocation)
        return [self._send_error(event.invocation, event.error)]

    def _answered(self, invocation: int) -> None:
        del self._in_hand[invocation]
        if len(self._fed) > LATE:
            late = next((request for request in self._fed if request not in self._in_hand), None)
            if late is not None:
                del self._fed[late]

    def _progress(self, event: on.Progressed) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        return [self._send_value((_YIELD, event.invocation, {"progress": True}), event.value)]

    def _take_inputs(self, event: on.InputsWanted) -> list[on.Effect]:
        if event.invocation not in self._in_hand or not self._is_counted:
            return []
        return [self._send(wamp.More(_INVOCATION, event.invocation, event.items))]

    def _answer_late(self, event: on.Answered | on.Failed | on.Progressed) -> list[on.Effect]:
        """The connection this invocation came over is gone, and its caller has been told so by the node."""
        return []

    # ---- bytes -------------------------------------------------------------------------------------------------------

    def _send(self, message: wamp.Message) -> on.Send:
        return self._bounded(self._codec.encode(message))

    def _send_value(self, head: tuple[Any, ...], value: Any) -> on.Send:
        try:
            return self._bounded(self._codec.write(head, value))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _unwritable(error) from error

    def _bounded(self, data: bytes) -> on.Send:
        if len(data) > self._limit:
            raise RemoteError(
                f"this message has {len(data)} bytes, and the node takes {self._limit}", code="hopsack.too_large"
            )
        return on.Send(data)

    def _send_error(self, request: int, error: RemoteError) -> on.Send:
        uri, args, kwargs = to_wamp(error)
        return self._send(wamp.Error(_INVOCATION, request, {}, uri, self._pack(args), self._pack(kwargs)))

    def _pack(self, value: Any) -> Raw:
        try:
            return self._codec.pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _unwritable(error) from error


def _unwritable(error: Exception) -> UsageError:
    return UsageError(f"this value has no JSON form: {error}")


def _confirm(pending: _Pending, number: int) -> list[on.Effect]:
    return [] if pending.ticket is None else [on.Confirm(pending.ticket, number)]


def _lost(pending: _Pending, reason: str) -> HopsackError:
    return on.unanswered(pending.subject if pending.kind in (_CALL, _PUBLISH) else None, reason)


def _publication(topic: str, number: int, details: dict[str, Any]) -> on.Publication:
    if not details:
        return on.Publication(topic, number)
    return on.Publication(
        topic=details.get("topic") or topic,
        publication=number,
        publisher=details.get("publisher"),
        publisher_authid=details.get("publisher_authid"),
        publisher_role=details.get("publisher_authrole"),
        position=details.get("x_hopsack_position"),
        deleted=details.get("x_hopsack_deleted") is True,
        retained=details.get("retained") is True,
    )


def _signed(key: PrivateKey, extra: Mapping[str, Any]) -> str:
    """The signature and what is signed, in hex (WAMP advanced profile, WAMP-cryptosign).

    Exactly 32 bytes are signed: a challenge must not be able to be a message of anything else.
    """
    challenge = extra.get("challenge")
    if type(challenge) is not str or not re.fullmatch("[0-9a-f]{64}", challenge) or extra.get("channel_binding"):
        raise Malformed("a challenge by cryptosign that is not 32 bytes in hex")
    return key.sign(bytes.fromhex(challenge)).hex() + challenge


def _features_of(details: dict[str, Any], role: str) -> dict[str, Any]:
    """What a peer announces of one of its roles."""
    try:
        return dict(details["roles"][role]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def _no_rates() -> UsageError:
    return UsageError("WAMP has no rates, and this router is no node of Hopsack: leave out max_rate")


class _Granted(msgspec.Struct, frozen=True):
    """As the raw door answers, and the node says here."""

    recovered: bool = False
    reason: str | None = None
    position: str | None = None
    positions: dict[str, str] | None = None
    snapshot: int | None = None

    def grant(self, topic: str) -> on.Grant:
        texts = {topic: self.position} if self.position is not None else self.positions
        found = None if texts is None else {uri: parse(text) for uri, text in texts.items()}
        places = None if found is None else {uri: place for uri, place in found.items() if place is not None}
        return on.Grant(self.recovered, self.reason, places, self.snapshot)


def _with_ours(event: on.SubscribeRequested) -> dict[str, Any]:
    options: dict[str, Any] = {_GRANTED: True}
    if event.after:
        texts = {topic: str(position) for topic, position in event.after.items()}
        options["x_hopsack_after"] = texts[event.topic] if event.match == "exact" else texts
    if event.rate is not None:
        options["x_hopsack_max_rate"] = event.rate
    return options


def _sharing(invoke: on.Invoke) -> dict[str, Any]:
    if invoke == "least":  # which is no word of WAMP's: a stock router shares by turns
        return {"invoke": "roundrobin", "x_hopsack_invoke": "least"}
    return {} if invoke == "single" else {"invoke": invoke}


def _matching(match: on.Match) -> dict[str, Any]:
    return {} if match == "exact" else {"match": match}


# ---- the table: what is not listed is an error -----------------------------------------------------------------

Step = Callable[[WampSession, Any], list[on.Effect]]
_S = WampSession

_INPUTS: Mapping[tuple[State, type], Step] = {
    (State.FRESH, on.Opened): _S._open,
    (State.FRESH, on.Lost): _S._lose,
    (State.FRESH, on.LeaveRequested): _S._give_up,
    (State.JOINING, on.LeaveRequested): _S._give_up,
    (State.JOINING, on.Lost): _S._lose,
    (State.JOINED, on.LeaveRequested): _S._leave,
    (State.JOINED, on.Lost): _S._lose,
    (State.JOINED, on.Probed): _S._probe,
    (State.JOINED, on.CallRequested): _S._call,
    (State.JOINED, on.CallAbandoned): _S._abandon,
    (State.JOINED, on.MoreWanted): _S._take_more,
    (State.JOINED, on.InputGiven): _S._give_input,
    (State.JOINED, on.InputsEnded): _S._end_inputs,
    (State.JOINED, on.Progressed): _S._progress,
    (State.JOINED, on.InputsWanted): _S._take_inputs,
    (State.JOINED, on.PublishRequested): _S._publish,
    (State.JOINED, on.SubscribeRequested): _S._subscribe,
    (State.JOINED, on.RateRequested): _S._set_rate,
    (State.JOINED, on.UnsubscribeRequested): _S._unsubscribe,
    (State.JOINED, on.RegisterRequested): _S._register,
    (State.JOINED, on.UnregisterRequested): _S._unregister,
    (State.JOINED, on.Answered): _S._answer,
    (State.JOINED, on.Failed): _S._fail,
    (State.LEAVING, on.Lost): _S._lose,
    **{(state, kind): _S._answer_late for state in (State.LEAVING, State.ENDED) for kind in (on.Answered, on.Failed)},
    **{
        (state, kind): lambda _session, _event: []
        for state in (State.LEAVING, State.ENDED)
        for kind in (
            *(on.CallAbandoned, on.MoreWanted, on.InputGiven, on.InputsEnded),
            *(on.Progressed, on.InputsWanted),
        )
    },
    **{(State.ENDED, kind): lambda _session, _event: [] for kind in (on.Lost, on.LeaveRequested)},
}

_MESSAGES: Mapping[tuple[State, type], Step] = {
    (State.JOINING, wamp.Challenge): _S._challenge,
    (State.JOINING, wamp.Welcome): _S._welcome,
    (State.JOINING, wamp.Abort): _S._abort,
    (State.JOINED, wamp.Result): _S._result,
    (State.JOINED, wamp.More): _S._more,
    (State.JOINED, wamp.Error): _S._error,
    (State.JOINED, wamp.Published): _S._published,
    (State.JOINED, wamp.Subscribed): _S._subscribed,
    (State.JOINED, wamp.Unsubscribed): _S._unsubscribed,
    (State.JOINED, wamp.Registered): _S._registered,
    (State.JOINED, wamp.Unregistered): _S._unregistered,
    (State.JOINED, wamp.Event): _S._event,
    (State.JOINED, wamp.Invocation): _S._invocation,
    (State.JOINED, wamp.Interrupt): _S._interrupt,
    (State.JOINED, wamp.Goodbye): _S._goodbye,
    (State.JOINED, wamp.Abort): _S._abort_later,
    (State.LEAVING, wamp.Goodbye): _S._goodbye_answered,
    (State.LEAVING, wamp.Abort): _S._abort_later,
    (State.LEAVING, wamp.Error): _S._error_while_leaving,
    # What the node sent before it read our GOODBYE; nobody here wants it any more.
    **{
        (State.LEAVING, kind): lambda _session, _message: []
        for kind in (
            *(wamp.Result, wamp.Published, wamp.Subscribed, wamp.Unsubscribed, wamp.Registered),
            *(wamp.Unregistered, wamp.Event, wamp.Invocation, wamp.Interrupt, wamp.More),
        )
    },
}
