"""The dealer: Crossbar's bookkeeping of registrations, with our own path from CALL to RESULT.

    CALL  -> choose a callee      -> INVOCATION     arguments pass unread where both sides speak one codec
          -> nobody serves it     -> ERROR no_callee
          -> every callee is full -> ERROR overloaded
    YIELD, ERROR of the callee    -> RESULT, ERROR to the caller
    CANCEL skip                   -> ERROR canceled at once
           killnowait             -> ERROR canceled at once, INTERRUPT
           kill                   -> INTERRUPT, ERROR canceled when the callee has answered
    timeout, in milliseconds      -> ERROR deadline at once, INTERRUPT
    the caller leaves             -> INTERRUPT
    the callee leaves             -> ERROR canceled

A caller always gets an answer, whatever its callee supports. A callee that still owes an answer which nobody waits for
keeps its concurrency slot until it gives it or leaves, because it is still at work; nothing else is kept of such a
call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from crossbar.router.dealer import Dealer as CrossbarDealer
from crossbar.router.dealer import InvocationRequest

from hopsack.errors import Canceled, Deadline, NoCallee, Overloaded, RemoteError, to_wamp
from hopsack.wamp import messages as lean
from hopsack_router.routing import uris
from hopsack_router.routing.links import Link
from hopsack_router.routing.unread import carried_by

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

INVOCATION = lean.Invocation.number()
RESULT = lean.Result.number()
_DISCLOSED = {"allow": True, "cache": False, "disclose": True}


class InFlight(InvocationRequest):  # type: ignore[misc]
    """A call between its CALL and its answer.

    :ivar slot: the callee's place in the registration, if it has a concurrency limit.
    """

    __slots__ = ("slot",)
    slot: Any


class Calls(dict[InvocationRequest, None]):
    """The calls of one session; Crossbar keeps a list, where every answer searches."""

    def append(self, call: InvocationRequest) -> None:
        self[call] = None

    def remove(self, call: InvocationRequest) -> None:
        del self[call]


class ExactTimers:
    """Timeouts at their time; Crossbar's fire in steps of a second, up to one early."""

    def __init__(self, reactor: Any) -> None:
        self.call_later: Callable[..., Any] = reactor.callLater


class Dealer(CrossbarDealer):  # type: ignore[misc]
    """Routes calls of one realm."""

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self._cancel_timers = ExactTimers(reactor)
        # Answers that a callee still owes and nobody waits for: only those that hold a concurrency slot.
        self._owed: dict[int, InFlight] = {}

    def invocation(self, request: int) -> InvocationRequest | None:
        """The call in flight behind an invocation id: ``.call``, ``.callee``, ``.caller``."""
        found: InvocationRequest | None = self._invocations.get(request)
        return found

    def procedures_of(self, session: NodeSession) -> list[str]:
        return sorted(registration.uri for registration in self._session_to_registrations.get(session, ()))

    # ---- CALL -----------------------------------------------------------------------------------------------------

    def processCall(self, session: NodeSession, call: message.Call) -> None:
        if not self._router.admits:
            super().processCall(session, call)  # Crossbar's own roles decide; it comes back to _call
            return
        registration = self._registration_map.best_matching_observation(call.procedure)
        if registration is None:
            refusal = uris.check(call.procedure, restricted=False, where="procedure") or _nobody(call.procedure)
            self._router.refuse(session, call, refusal)
        else:
            self._call(session, call, registration, _DISCLOSED)

    def _call(
        self,
        session: NodeSession,
        call: message.Call,
        registration: Any,
        authorization: dict[str, Any],
        is_queued_call: bool = False,
    ) -> bool:
        callee, slot = _choose(registration)
        if callee is None:
            full = Overloaded(
                f"every callee of {call.procedure} works on as many calls as it takes",
                where=call.procedure,
                advice="try again later, or start another instance",
            )
            self._router.refuse(session, call, full)
            return False
        request = self._request_id_gen.next()
        in_flight = InFlight(request, registration, session, call, callee, call.forward_for, authorization)
        in_flight.slot = slot
        if slot is not None:
            slot.concurrency_current += 1
        self._track(in_flight)
        try:
            self._invoke(in_flight)
        except PayloadExceededError as error:
            self._remove_invoke_request(in_flight)
            self._router.refuse(session, call, _too_large(call.procedure, error))
            return False
        return True

    def _invoke(self, in_flight: InFlight) -> None:
        call, callee, caller = in_flight.call, in_flight.callee, in_flight.caller
        link = callee._transport
        details: dict[str, Any] = {}
        if in_flight.authorization.get("disclose") or call.procedure.startswith(("wamp.", "crossbar.")):
            details["caller"] = caller._session_id
            details["caller_authid"] = caller._authid
            details["caller_authrole"] = caller._authrole
        if in_flight.registration.match != "exact":
            details["procedure"] = call.procedure
        if call.timeout:
            details["timeout"] = call.timeout
        if call.receive_progress:
            details["receive_progress"] = True
        if isinstance(link, Link) and call.payload is None and call.forward_for is None:
            link.carry(INVOCATION, (in_flight.id, in_flight.registration.id, details), carried_by(call))
        else:
            self._router.send(callee, _invocation(in_flight, details))

    def _track(self, in_flight: InFlight) -> None:
        call, caller, callee = in_flight.call, in_flight.caller, in_flight.callee
        self._invocations[in_flight.id] = in_flight
        self._invocations_by_call[in_flight.caller_session_id, call.request] = in_flight
        for calls, session in ((self._callee_to_invocations, callee), (self._caller_to_invocations, caller)):
            known = calls.get(session)
            if known is None:
                known = calls[session] = Calls()
            known.append(in_flight)
        if call.timeout:
            in_flight.timeout_call = self._cancel_timers.call_later(
                call.timeout / 1000, lambda: self._expire(in_flight)
            )

    def _remove_invoke_request(self, invocation_request: InvocationRequest) -> None:
        """Forget a call. Its slot is free if its callee has answered or is gone: see :meth:`_abandon`."""
        if self._invocations.pop(invocation_request.id, None) is None:
            return
        timer = invocation_request.timeout_call
        if timer is not None:
            invocation_request.timeout_call = None
            if getattr(timer, "active", lambda: True)():
                timer.cancel()
        key = invocation_request.caller_session_id, invocation_request.call.request
        self._invocations_by_call.pop(key, None)
        _drop(self._callee_to_invocations, invocation_request.callee, invocation_request)
        _drop(self._caller_to_invocations, invocation_request.caller, invocation_request)
        self._free(invocation_request)

    def _abandon(self, in_flight: InvocationRequest) -> None:
        """Nobody waits for this answer any more: stop the callee, and keep its slot taken while it works."""
        slot = in_flight.slot if isinstance(in_flight, InFlight) else None
        if isinstance(in_flight, InFlight):
            in_flight.slot = None
        self._remove_invoke_request(in_flight)
        if isinstance(in_flight, InFlight) and slot is not None:
            in_flight.slot = slot
            self._owed[in_flight.id] = in_flight
        self._interrupt(in_flight, message.Cancel.KILLNOWAIT)

    def _free(self, in_flight: InvocationRequest) -> None:
        if isinstance(in_flight, InFlight) and in_flight.slot is not None:
            in_flight.slot.concurrency_current -= 1
            in_flight.slot = None

    # ---- the callee answers -----------------------------------------------------------------------------------------

    def processYield(self, session: NodeSession, yield_: message.Yield) -> None:
        in_flight = self._answered(session, yield_.request, final=not yield_.progress)
        if in_flight is None:
            return
        caller, request = in_flight.caller, in_flight.call.request
        link = caller._transport
        if yield_.progress and in_flight.canceled:
            return
        if not yield_.progress:
            self._remove_invoke_request(in_flight)
        if in_flight.canceled:
            self._answer(in_flight, in_flight.error_msg)
            return
        try:
            if isinstance(link, Link) and yield_.payload is None:
                details = {"progress": True} if yield_.progress else {}
                link.carry(RESULT, (request, details), carried_by(yield_))
            elif link is not None:
                self._router.send(caller, _result(request, yield_))
        except PayloadExceededError as error:
            self._remove_invoke_request(in_flight)
            self._refuse(in_flight, _too_large(in_flight.call.procedure, error))

    def processInvocationError(self, session: NodeSession, error: message.Error) -> None:
        in_flight = self._answered(session, error.request, final=True)
        if in_flight is None:
            return
        self._remove_invoke_request(in_flight)
        self._answer(in_flight, in_flight.error_msg if in_flight.canceled else _error(in_flight.call.request, error))

    def _answered(self, session: NodeSession, request: int, final: bool) -> InvocationRequest | None:
        in_flight: InvocationRequest | None = self._invocations.get(request)
        if in_flight is None:
            owed = self._owed.get(request)
            if owed is not None and owed.callee is session and final:
                del self._owed[request]
                self._free(owed)
            return None
        if in_flight.callee is not session:
            raise ProtocolError(f"invocation {request} is not this session's to answer")
        return in_flight

    # ---- a call ends early ------------------------------------------------------------------------------------------

    def processCancel(self, session: NodeSession, cancel: message.Cancel) -> None:
        in_flight = self._invocations_by_call.get((session._session_id, cancel.request))
        if in_flight is None or in_flight.canceled:
            return
        canceled = _canceled(in_flight, "the caller canceled the call")
        if cancel.mode == message.Cancel.KILL and _can_cancel(in_flight.callee):
            in_flight.canceled, in_flight.error_msg = True, canceled
            self._interrupt(in_flight, message.Cancel.KILL)
            return
        if cancel.mode == message.Cancel.SKIP:
            in_flight.canceled = True  # the callee works on, uninterrupted
        self._abandon(in_flight)
        self._answer(in_flight, canceled)

    def _expire(self, in_flight: InvocationRequest) -> None:
        in_flight.timeout_call = None
        if in_flight.id not in self._invocations:
            return
        self._abandon(in_flight)
        procedure, timeout = in_flight.call.procedure, in_flight.call.timeout
        self._refuse(in_flight, Deadline(f"no answer within {timeout} ms", where=procedure))

    def _interrupt(self, in_flight: InvocationRequest, mode: str) -> None:
        if (not in_flight.canceled and _can_cancel(in_flight.callee)) or mode == message.Cancel.KILL:
            self._router.send(in_flight.callee, message.Interrupt(in_flight.id, mode))

    def detach(self, session: NodeSession) -> None:
        for in_flight in list(self._caller_to_invocations.get(session, ())):
            if in_flight.callee is session:
                self._remove_invoke_request(in_flight)
            else:
                self._abandon(in_flight)
        for in_flight in list(self._callee_to_invocations.get(session, ())):
            self._remove_invoke_request(in_flight)
            gone = in_flight.error_msg or _canceled(in_flight, "the callee disconnected before it answered")
            self._answer(in_flight, gone)
        self._caller_to_invocations.pop(session, None)
        self._callee_to_invocations.pop(session, None)
        for request in [request for request, owed in self._owed.items() if owed.callee is session]:
            del self._owed[request]
        super().detach(session)

    # ---- answers to the caller --------------------------------------------------------------------------------------

    def _refuse(self, in_flight: InvocationRequest, refusal: RemoteError) -> None:
        self._answer(in_flight, _refusal(in_flight, refusal))

    def _answer(self, in_flight: InvocationRequest, answer: message.Error | None) -> None:
        if answer is not None and in_flight.caller._transport is not None:
            self._router.send(in_flight.caller, answer)


def _choose(registration: Any) -> tuple[Any, Any]:
    """The callee whose turn it is by the registration's policy and its place, ``(None, None)`` if all are full."""
    extras = registration.observers_extra
    for callee in _in_turn(registration):
        slot = extras.get(callee)
        if slot is None or not slot.concurrency:
            return callee, None
        if slot.concurrency_current < slot.concurrency:
            return callee, slot
    return None, None


def _in_turn(registration: Any) -> Iterator[Any]:
    callees: Sequence[Any] = registration.observers  # Crossbar's ordered set
    policy, count, start = registration.extra.invoke, len(callees), 0
    if policy == message.Register.INVOKE_ROUNDROBIN:
        start = registration.extra.roundrobin_current
        registration.extra.roundrobin_current = (start + 1) % count
    elif policy == message.Register.INVOKE_RANDOM:
        start = random.randrange(count)  # noqa: S311
    elif policy == message.Register.INVOKE_LAST:
        start = count - 1
        return (callees[(start - n) % count] for n in range(count))
    return (callees[(start + n) % count] for n in range(count))


def _can_cancel(session: Any) -> bool:
    features = (session._session_roles or {}).get("callee")
    return bool(features and features.call_canceling)


def _drop(calls: dict[Any, Any], session: Any, in_flight: InvocationRequest) -> None:
    known = calls.get(session)
    if known is not None and in_flight in known:
        known.remove(in_flight)
        if not known:
            del calls[session]


# ---- messages -------------------------------------------------------------------------------------------------------


def _nobody(procedure: str) -> RemoteError:
    return NoCallee(
        f"nobody serves {procedure} right now",
        where=procedure,
        advice="start the service that registers it, or try again when it is back",
    )


def _too_large(procedure: str, error: Exception) -> RemoteError:
    return RemoteError(str(error), code="hopsack.too_large", where=procedure)


def _canceled(in_flight: InvocationRequest, why: str) -> message.Error:
    return _refusal(in_flight, Canceled(why, where=in_flight.call.procedure))


def _refusal(in_flight: InvocationRequest, refusal: RemoteError) -> message.Error:
    uri, args, kwargs = to_wamp(refusal)
    return message.Error(message.Call.MESSAGE_TYPE, in_flight.call.request, uri, args=args, kwargs=kwargs)


def _invocation(in_flight: InFlight, details: dict[str, Any]) -> message.Invocation:
    call = in_flight.call
    payload: dict[str, Any] = {"args": call.args, "kwargs": call.kwargs}
    if call.payload is not None:
        payload = {name: getattr(call, name) for name in ("payload", "enc_algo", "enc_key", "enc_serializer")}
    return message.Invocation(
        in_flight.id, in_flight.registration.id, **payload, **details, forward_for=call.forward_for
    )


def _result(request: int, yield_: message.Yield) -> message.Result:
    payload: dict[str, Any] = {"args": yield_.args, "kwargs": yield_.kwargs}
    if yield_.payload is not None:
        payload = {name: getattr(yield_, name) for name in ("payload", "enc_algo", "enc_key", "enc_serializer")}
    return message.Result(request, **payload, progress=yield_.progress)


def _error(request: int, error: message.Error) -> message.Error:
    payload: dict[str, Any] = {"args": error.args, "kwargs": error.kwargs}
    if error.payload is not None:
        payload = {name: getattr(error, name) for name in ("payload", "enc_algo", "enc_key", "enc_serializer")}
    return message.Error(message.Call.MESSAGE_TYPE, request, error.error, **payload)
