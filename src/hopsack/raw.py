"""The client's side of the raw door, as a machine without I/O: JSON-RPC 2.0, one message per WebSocket frame.

    -> hopsack.hello {token?}                <- {session, authid, role, realm, server} | error, then close 4401
    -> <procedure> input                     <- result | error          (beside it: hopsack {timeout, key, wait, …})
    -> hopsack.cancel {id}                      (notification; the call is then answered with hopsack.canceled)
    <- hopsack.progress {id, data}              (notification; a progressive result, before the answer)
    -> hopsack.more {id, n}                     (notification; so many more of them are taken)
    <- hopsack.more_input {id, n}               (notification; so many further inputs are taken)
    -> hopsack.input {id, data} | {id, end}     (notification; a further input, and no more of them)
    -> hopsack.publish {topic, data, key?,   <- {position?} | error, unless it is a notification
           delete?}
    -> hopsack.subscribe {topic, match?,     <- {subscription, recovered, reason?, position(s)?, snapshot?}
           after?, max_rate?}
    <- event {topic, data, position?,           (notification, once per connection whatever matches)
           deleted?, retained?}
    <- gap {topic, dropped}                     (notification; this session reads too slowly)
    -> hopsack.rate {subscription, max_rate} <- {}
    -> hopsack.register {procedure, invoke?} <- {registration}
    <- <procedure> input                     -> result | error          (beside it: hopsack {timeout})
    <- hopsack.cancel {id}                      (notification; nobody waits for the answer any more)
    -> hopsack.progress, hopsack.more_input; <- hopsack.more, hopsack.input
                                                (notifications, as above, about what is served)

It takes and gives the vocabulary of :mod:`hopsack.session`, as the WAMP machine does. What the raw door does not have
is refused (patterns of procedures) or left to the node (the facts about publisher and caller). The newest values that
the answer to a subscription announces (``snapshot``) say that they are (``retained``), and are its own alone.
``tests/conversations/`` holds this protocol as recorded conversations; ``docs/protocol.md`` explains it.

Bounds: as many requests are remembered as the connection lets be in flight; the session adds no queue of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw

from hopsack import backoff
from hopsack import session as on
from hopsack.due import milliseconds, seconds_of
from hopsack.errors import (
    HopsackError,
    Invalid,
    RemoteError,
    Unavailable,
    UsageError,
    from_details,
)
from hopsack.position import Position, parse

__all__ = ["RawSession", "State", "matches"]

ABSENT = Raw(b"")
LARGEST = 1 << 24


class State(Enum):
    FRESH = "fresh"
    JOINING = "joining"
    JOINED = "joined"
    ENDED = "ended"

    # As in wamp/session.py: Enum's own hash runs in Python, and the table is asked for every message.
    __hash__ = object.__hash__


class _ErrorObject(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: dict[str, Any] = {}


class _Extra(msgspec.Struct, frozen=True):
    """What a request says beside JSON-RPC. ``timeout``: milliseconds that are left for it; the rest as in ``Flow``."""

    timeout: int | None = None
    progress: bool = False
    window: int | None = None
    inputs: bool = False


class _Frame(msgspec.Struct, frozen=True):
    """Anything the node may send; which of its three kinds it is shows in what is there (JSON-RPC 2.0, section 4)."""

    id: int | str | None = None
    method: str | None = None
    params: Raw = ABSENT
    result: Raw = ABSENT
    error: _ErrorObject | None = None
    hopsack: _Extra | None = None


class _Event(msgspec.Struct, frozen=True):
    topic: str
    data: Raw = ABSENT
    position: str | None = None
    deleted: bool = False
    retained: bool = False


class _Gap(msgspec.Struct, frozen=True):
    topic: str
    dropped: int | None = None


class _Cancelled(msgspec.Struct, frozen=True):
    id: int


class _Revoked(msgspec.Struct, frozen=True):
    subscription: int | None = None
    registration: int | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None


class _Progress(msgspec.Struct, frozen=True):
    id: int
    data: Raw = Raw(b"null")


class _More(msgspec.Struct, frozen=True):
    id: int
    n: int


class _Input(msgspec.Struct, frozen=True):
    id: int
    data: Raw = ABSENT
    end: bool = False


class _Subscribed(msgspec.Struct, frozen=True):
    subscription: int
    recovered: bool = False
    reason: str | None = None
    position: str | None = None
    positions: dict[str, str] | None = None
    snapshot: int | None = None

    def grant(self, topic: str) -> on.Grant:
        texts = {topic: self.position} if self.position is not None else self.positions
        return on.Grant(self.recovered, self.reason, None if texts is None else _places(texts), self.snapshot)


class _Taken(msgspec.Struct, frozen=True):
    position: str | None = None


class _Registered(msgspec.Struct, frozen=True):
    registration: int


class _Json(msgspec.Struct, frozen=True):
    """A payload as it stands in the frame."""

    raw: Raw

    def read_as(self, type_: Any) -> Any:
        return msgspec.json.decode(self.raw, type=type_)

    def read(self, array: bool = False) -> Any:
        if not len(self.raw):
            return None
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"not a JSON value: {error}", path="") from error


class _Pending(msgspec.Struct, frozen=True):
    """A request in flight. ``grant`` makes the effect of its result; ``may_have_run`` if its loss leaves doubt."""

    ticket: on.Ticket
    where: str | None
    may_have_run: bool
    grant: Callable[[Raw], list[on.Effect]]


class RawSession:
    """One session over one connection to ``/raw``.

    :param token: presented with hello; without one the session is a guest.
    """

    def __init__(self, *, token: str | None = None) -> None:
        self.state = State.FRESH
        self._token = token
        self._limit = LARGEST
        self._last_id = 0
        self._pending: dict[int, _Pending] = {}
        self._calls: dict[on.Ticket, int] = {}
        self._subscriptions: dict[int, tuple[str, on.Match]] = {}
        self._snapshots: dict[int, int] = {}
        self._registrations: dict[str, int] = {}
        self._in_hand: set[int] = set()

    def take(self, event: on.Input) -> list[on.Effect]:
        step = _INPUTS.get((self.state, type(event)))
        if step is None:
            raise UsageError(f"a session that is {self.state.value} takes no {type(event).__name__}")
        return step(self, event)

    # ---- join and leave ----------------------------------------------------------------------------------------------

    def _open(self, event: on.Opened) -> list[on.Effect]:
        self.state = State.JOINING
        self._limit = event.limit
        params = {} if self._token is None else {"token": self._token}
        return self._ask("hopsack.hello", params, None, self._join)

    def _join(self, result: Raw) -> list[on.Effect]:
        identity = msgspec.json.decode(result, type=on.Identity)
        self.state = State.JOINED
        return [on.Join(identity)]

    def _leave(self, event: on.LeaveRequested) -> list[on.Effect]:
        return [*self._end("the session was left"), on.Close("left")]

    def _lose(self, event: on.Lost) -> list[on.Effect]:
        refused = [] if event.retry_after is None else self._refuse_calls(event.retry_after)
        return [*refused, *self._end(event.reason)]

    def _refuse_calls(self, hint: float) -> list[on.Effect]:
        """A node that stops ends calls before it closes, and takes none after: the rest was never begun."""
        refused: list[on.Effect] = []
        for ticket, number in self._calls.items():
            where = self._pending.pop(number).where
            refused.append(on.Reject(ticket, Unavailable(where=where, data={"retry_after": hint})))
        return refused

    def _end(self, reason: str) -> list[on.Effect]:
        self.state = State.ENDED
        pending, self._pending = self._pending, {}
        self._calls.clear()
        self._in_hand.clear()
        return [on.Reject(one.ticket, _lost(one, reason)) for one in pending.values() if one.ticket is not None]

    # ---- requests ----------------------------------------------------------------------------------------------------

    def _call(self, event: on.CallRequested) -> list[on.Effect]:
        def grant(result: Raw) -> list[on.Effect]:
            self._calls.pop(event.ticket, None)
            return [on.Resolve(event.ticket, _Json(result))]

        extra: dict[str, Any] = {} if event.timeout is None else {"timeout": milliseconds(event.timeout)}
        if event.terms is not None:
            extra |= msgspec.to_builtins(event.terms)
        if event.flow is not None:
            extra |= {name: value for name, value in msgspec.structs.asdict(event.flow).items() if value}
        sent = self._ask(
            event.procedure, event.value, event.ticket, grant, where=event.procedure, may_have_run=True, extra=extra
        )
        self._calls[event.ticket] = self._last_id
        return sent

    def _abandon(self, event: on.CallAbandoned) -> list[on.Effect]:
        number = self._calls.pop(event.ticket, None)
        return [] if number is None else [self._tell("hopsack.cancel", {"id": number})]

    def _take_more(self, event: on.MoreWanted) -> list[on.Effect]:
        return self._tell_of(event.ticket, "hopsack.more", n=event.items)

    def _give_input(self, event: on.InputGiven) -> list[on.Effect]:
        return self._tell_of(event.ticket, "hopsack.input", data=event.value)

    def _end_inputs(self, event: on.InputsEnded) -> list[on.Effect]:
        return self._tell_of(event.ticket, "hopsack.input", end=True)

    def _tell_of(self, ticket: on.Ticket, method: str, **params: Any) -> list[on.Effect]:
        """Say something about a call, unless it has ended."""
        number = self._calls.get(ticket)
        return [] if number is None else [self._tell(method, {"id": number, **params})]

    def _publish(self, event: on.PublishRequested) -> list[on.Effect]:
        params = {"topic": event.topic, "data": event.value}
        if event.key is not None:
            params["key"] = event.key
        if event.delete:
            params["delete"] = True
        if event.ticket is None:
            return [self._tell("hopsack.publish", params)]

        def grant(result: Raw) -> list[on.Effect]:
            position = msgspec.json.decode(result, type=_Taken).position
            return [on.Confirm(event.ticket, 0, on.Published(None, position))]

        return self._ask("hopsack.publish", params, event.ticket, grant, where=event.topic, may_have_run=True)

    def _subscribe(self, event: on.SubscribeRequested) -> list[on.Effect]:
        def grant(result: Raw) -> list[on.Effect]:
            answer = msgspec.json.decode(result, type=_Subscribed)
            number, told = answer.subscription, answer.grant(event.topic)
            self._subscriptions[number] = (event.topic, event.match)
            if told.snapshot:
                self._snapshots[number] = told.snapshot
            return [on.Confirm(event.ticket, number, told)]

        params: dict[str, Any] = {"topic": event.topic}
        if event.match != "exact":
            params["match"] = event.match
        if event.match == "exact" and event.after:
            params["after"] = str(event.after[event.topic])
        elif event.match != "exact" and (event.after or event.others == "new"):
            params["after"] = {topic: str(position) for topic, position in event.after.items()}
            if event.others == "forgotten":
                params["after"]["*"] = ""
        if event.rate is not None:
            params["max_rate"] = event.rate
        return self._ask("hopsack.subscribe", params, event.ticket, grant, where=event.topic)

    def _set_rate(self, event: on.RateRequested) -> list[on.Effect]:
        params = {"subscription": event.subscription, "max_rate": event.rate}
        return self._ask("hopsack.rate", params, event.ticket, self._confirm(event.ticket))

    def _unsubscribe(self, event: on.UnsubscribeRequested) -> list[on.Effect]:
        self._subscriptions.pop(event.subscription, None)
        self._snapshots.pop(event.subscription, None)
        params = {"subscription": event.subscription}
        return self._ask("hopsack.unsubscribe", params, event.ticket, self._confirm(event.ticket))

    def _register(self, event: on.RegisterRequested) -> list[on.Effect]:
        if event.match != "exact":
            raise UsageError(f"the raw door serves no {event.match} patterns: connect to ws://…/ws to register one")

        def grant(result: Raw) -> list[on.Effect]:
            number = msgspec.json.decode(result, type=_Registered).registration
            self._registrations[event.procedure] = number
            return [on.Confirm(event.ticket, number)]

        params = {"procedure": event.procedure} | ({} if event.invoke == "single" else {"invoke": event.invoke})
        return self._ask("hopsack.register", params, event.ticket, grant, where=event.procedure)

    def _unregister(self, event: on.UnregisterRequested) -> list[on.Effect]:
        def grant(_result: Raw) -> list[on.Effect]:
            self._registrations = {uri: n for uri, n in self._registrations.items() if n != event.registration}
            return [on.Confirm(event.ticket, 0)]

        return self._ask("hopsack.unregister", {"registration": event.registration}, event.ticket, grant)

    def _confirm(self, ticket: on.Ticket) -> Callable[[Raw], list[on.Effect]]:
        return lambda _result: [on.Confirm(ticket, 0)]

    def _ask(
        self,
        method: str,
        params: Any,
        ticket: on.Ticket,
        grant: Callable[[Raw], list[on.Effect]],
        *,
        where: str | None = None,
        may_have_run: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> list[on.Effect]:
        number = self._last_id + 1
        members = {"id": number, "method": method} | _params(params)
        sent = self._send(members | {"hopsack": extra} if extra else members)
        self._last_id = number
        self._pending[number] = _Pending(ticket, where, may_have_run, grant)
        return [sent]

    def _tell(self, method: str, params: Any) -> on.Send:
        return self._send({"method": method} | _params(params))

    # ---- what the node sends -----------------------------------------------------------------------------------------

    def _receive(self, event: on.Received) -> list[on.Effect]:
        try:
            frame = msgspec.json.decode(event.data, type=_Frame)
            if frame.method is None:
                return self._response(frame)
            if frame.id is None:
                return self._notification(frame.method, frame.params)
            return self._request(frame.id, frame.method, frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            reason = f"the node sent what is no message of this protocol: {error}"
            return [*self._end(reason), on.Close(reason)]

    def _response(self, frame: _Frame) -> list[on.Effect]:
        pending = self._pending.pop(frame.id, None) if isinstance(frame.id, int) else None
        if pending is None:
            return []
        if frame.error is None:
            return pending.grant(frame.result)
        self._calls.pop(pending.ticket, None)
        error = from_details({"message": frame.error.message, **frame.error.data})
        if self.state is State.JOINING:
            self.state = State.ENDED
            away = on.Close(error.message, backoff.hint_of(error.data))
            return [on.Refuse(error, final=error.retry != "later"), away]
        error.where = error.where or pending.where
        return [on.Reject(pending.ticket, error)]

    def _notification(self, method: str, params: Raw) -> list[on.Effect]:
        if method == "event" and self.state is State.JOINED:
            event = msgspec.json.decode(params, type=_Event)
            payload = _Json(event.data)
            facts = on.Publication(event.topic, position=event.position, deleted=event.deleted, retained=event.retained)
            numbers = self._awaiting(event.topic) if event.retained else self._covering(event.topic)
            return [on.Deliver(number, facts, payload) for number in numbers]
        if method == "gap" and self.state is State.JOINED:
            gap = msgspec.json.decode(params, type=_Gap)
            return [on.Skipped(number, gap.topic, gap.dropped) for number in self._covering(gap.topic)]
        if method == "hopsack.cancel":
            number = msgspec.json.decode(params, type=_Cancelled).id
            if number in self._in_hand:
                self._in_hand.discard(number)
                return [on.Interrupt(number)]
        told = _TOLD.get(method)
        # A notification of a later version asks for nothing, and may be ignored.
        return [] if told is None else told(self, params)

    def _revoke(self, params: Raw) -> list[on.Effect]:
        """A subscription or a registration is taken away."""
        told = msgspec.json.decode(params, type=_Revoked)
        if told.subscription is not None and told.subscription in self._subscriptions:
            where, _ = self._subscriptions.pop(told.subscription)
            self._snapshots.pop(told.subscription, None)
            return [on.revoke("subscription", told.subscription, where, told.reason, told.error)]
        uri = next((uri for uri, number in self._registrations.items() if number == told.registration), None)
        if uri is None or told.registration is None:
            return []
        del self._registrations[uri]
        return [on.revoke("registration", told.registration, uri, told.reason, told.error)]

    def _advance(self, params: Raw) -> list[on.Effect]:
        progress = msgspec.json.decode(params, type=_Progress)
        ticket = self._ticket_of(progress.id)
        return [] if ticket is None else [on.Advance(ticket, _Json(progress.data))]

    def _grant_inputs(self, params: Raw) -> list[on.Effect]:
        more = msgspec.json.decode(params, type=_More)
        ticket = self._ticket_of(more.id)
        return [] if ticket is None else [on.InputsGranted(ticket, more.n)]

    def _ticket_of(self, number: int) -> on.Ticket | None:
        """Of a call; it may have ended."""
        pending = self._pending.get(number)
        return pending.ticket if pending is not None and pending.ticket in self._calls else None

    def _grant_progress(self, params: Raw) -> list[on.Effect]:
        more = msgspec.json.decode(params, type=_More)
        return [on.ProgressGranted(more.id, more.n)] if more.id in self._in_hand else []

    def _further_input(self, params: Raw) -> list[on.Effect]:
        given = msgspec.json.decode(params, type=_Input)
        if given.id not in self._in_hand:
            return []
        effects: list[on.Effect] = []
        if len(given.data) or not given.end:
            effects.append(on.InputCame(given.id, _Json(given.data)))
        return [*effects, on.InputsOver(given.id)] if given.end else effects

    def _covering(self, topic: str) -> list[int]:
        return [number for number, (pattern, match) in self._subscriptions.items() if matches(topic, pattern, match)]

    def _awaiting(self, topic: str) -> list[int]:
        """Whose snapshot a newest value belongs to; nobody's: the subscription was given back meanwhile."""
        for number, left in self._snapshots.items():
            if matches(topic, *self._subscriptions[number]):
                if left > 1:
                    self._snapshots[number] = left - 1
                else:
                    del self._snapshots[number]
                return [number]
        return []

    def _request(self, number: int | str, procedure: str, frame: _Frame) -> list[on.Effect]:
        registration = self._registrations.get(procedure)
        if registration is None or not isinstance(number, int):
            return [self._send_error(number, on.gone(procedure))]
        self._in_hand.add(number)
        timeout, flow, extra = None, None, frame.hopsack
        if extra is not None:
            timeout = seconds_of(extra.timeout)
            if extra.progress or extra.inputs:
                flow = on.Flow(extra.progress, extra.window, extra.inputs)
        caller, payload = on.Caller(None, None, None, procedure), _Json(frame.params)
        return [on.Serve(number, registration, caller, payload, timeout, flow)]

    # ---- answers of ours ---------------------------------------------------------------------------------------------

    def _answer(self, event: on.Answered) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        sent = self._send({"id": event.invocation, "result": event.value})
        self._in_hand.discard(event.invocation)
        return [sent]

    def _fail(self, event: on.Failed) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        self._in_hand.discard(event.invocation)
        return [self._send_error(event.invocation, event.error)]

    def _progress(self, event: on.Progressed) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        return [self._tell("hopsack.progress", {"id": event.invocation, "data": event.value})]

    def _take_inputs(self, event: on.InputsWanted) -> list[on.Effect]:
        if event.invocation not in self._in_hand:
            return []
        return [self._tell("hopsack.more_input", {"id": event.invocation, "n": event.items})]

    def _send_error(self, number: int | str, error: RemoteError) -> on.Send:
        shape = {"code": error.kind.jsonrpc, "message": error.message, "data": error.details()}
        return self._send({"id": number, "error": shape})

    def _send(self, members: dict[str, Any]) -> on.Send:
        try:
            data = msgspec.json.encode(msgspec.to_builtins({"jsonrpc": "2.0", **members}, str_keys=True))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(f"this value has no JSON form: {error}") from error
        if len(data) > self._limit:
            raise RemoteError(
                f"this message has {len(data)} bytes, and the node takes {self._limit}", code="hopsack.too_large"
            )
        return on.Send(data)

    def _ignore(self, event: on.Input) -> list[on.Effect]:
        return []


def matches(topic: str, pattern: str, match: on.Match) -> bool:
    """Whether an event on ``topic`` belongs to a subscription (WAMP advanced profile, "Pattern-based Subscription")."""
    if match == "exact":
        return topic == pattern
    if match == "prefix":
        return topic.startswith(pattern)
    parts, wanted = topic.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(not want or want == part for part, want in zip(parts, wanted, strict=True))


def _places(texts: Mapping[str, str]) -> dict[str, Position]:
    return {topic: place for topic, text in texts.items() if (place := parse(text)) is not None}


def _params(value: Any) -> dict[str, Any]:
    return {} if value is None else {"params": value}


def _lost(pending: _Pending, reason: str) -> HopsackError:
    return on.unanswered(pending.where if pending.may_have_run else None, reason)


# ---- the table: what is not listed is an error -----------------------------------------------------------------------

_S = RawSession

_INPUTS: Mapping[tuple[State, type], Callable[[RawSession, Any], list[on.Effect]]] = {
    (State.FRESH, on.Opened): _S._open,
    (State.FRESH, on.Lost): _S._lose,
    (State.FRESH, on.LeaveRequested): _S._leave,
    (State.JOINING, on.Received): _S._receive,
    (State.JOINING, on.Lost): _S._lose,
    (State.JOINING, on.LeaveRequested): _S._leave,
    (State.JOINED, on.Received): _S._receive,
    (State.JOINED, on.Lost): _S._lose,
    (State.JOINED, on.LeaveRequested): _S._leave,
    # The WebSocket's own pings keep this connection.
    (State.JOINED, on.Probed): _S._ignore,
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
    **{
        (State.ENDED, kind): _S._ignore
        for kind in (
            *(on.Received, on.Lost, on.LeaveRequested, on.CallAbandoned, on.Answered, on.Failed),
            *(on.MoreWanted, on.InputGiven, on.InputsEnded, on.Progressed, on.InputsWanted),
        )
    },
}

_TOLD: Mapping[str, Callable[[RawSession, Raw], list[on.Effect]]] = {
    "hopsack.revoked": _S._revoke,
    "hopsack.progress": _S._advance,
    "hopsack.more_input": _S._grant_inputs,
    "hopsack.more": _S._grant_progress,
    "hopsack.input": _S._further_input,
}
