"""The dealer: our own path from CALL to RESULT.

    CALL  -> choose a callee      -> INVOCATION     arguments pass unread where both sides speak one codec
          -> nobody serves it     -> ERROR no_callee
          -> every callee is full -> ERROR overloaded
    YIELD, ERROR of the callee    -> RESULT, ERROR to the caller
    more than one of either side  -> as in :mod:`~hopsack_router.routing.flowing`
    everything else that ends a call is a row of the table of ends, below

A caller always gets an answer, whatever its callee supports. A callee with a concurrency limit has a slot taken from
INVOCATION until it answers or leaves, whoever still waits for the answer: it is at work. Nothing else is kept of a call
that has ended for its caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from crossbar.router.dealer import InvocationRequest
from twisted.logger import Logger

from hopsack.deadlines import Lane
from hopsack.errors import BrokenResult, Canceled, Deadline, NoCallee, Overloaded, RemoteError, to_wamp
from hopsack.wamp import messages as lean
from hopsack_router.routing import uris
from hopsack_router.routing.asked import Invocation, More
from hopsack_router.routing.deadlines import deadlines
from hopsack_router.routing.flowing import Flowing
from hopsack_router.routing.joining import FLOW
from hopsack_router.routing.links import Link
from hopsack_router.routing.registrations import Registrations
from hopsack_router.routing.unread import carried_by

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

LOG = Logger()
INVOCATION = lean.Invocation.number()
RESULT = lean.Result.number()
_DISCLOSED = {"allow": True, "cache": False, "disclose": True}


class Calls(dict[InvocationRequest, None]):
    """The calls of one session, in their order; Crossbar keeps a list, where every answer searches."""

    remove = dict.__delitem__


class Dealer(Registrations):
    """Routes calls of one realm."""

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self._cancel_timers = deadlines(reactor, self._expire)
        self._slots: dict[Any, dict[int, Any]] = {}  # callee -> invocation -> its place in the registration
        self.flowing = Flowing(self)
        for feature in FLOW:
            setattr(self._role_features, feature, True)

    def invocation(self, request: int) -> InvocationRequest | None:
        """The call in flight behind an invocation id: ``.call``, ``.callee``, ``.caller``."""
        found: InvocationRequest | None = self._invocations.get(request)
        return found

    # ---- CALL -----------------------------------------------------------------------------------------------------

    def processCall(self, session: NodeSession, call: message.Call) -> None:
        if self.flowing.fed and self.flowing.continues(session, call):
            return
        if self._router.admits:
            self._route(session, call, _DISCLOSED)
            return
        refusal = uris.check(call.procedure, restricted=False, where="procedure")
        if refusal is not None:
            self._router.refuse(session, call, refusal)
        else:
            self._router.permit(
                session, call, call.procedure, "call", lambda authorization: self._route(session, call, authorization)
            )

    def _route(self, session: NodeSession, call: message.Call, authorization: dict[str, Any]) -> None:
        registration = self._registration_map.best_matching_observation(call.procedure)
        if registration is None:
            refusal = uris.check(call.procedure, restricted=False, where="procedure") or _nobody(call.procedure)
            self._router.refuse(session, call, refusal)
            return
        callee, slot = _choose(registration)
        if callee is None:
            self._router.refuse(session, call, _full(call.procedure))
            return
        request = self._request_id_gen.next()
        in_flight = InvocationRequest(request, registration, session, call, callee, call.forward_for, authorization)
        if slot is not None:
            slot.concurrency_current += 1
            self._slots.setdefault(callee, {})[request] = slot
        self._track(in_flight)
        terms = getattr(call, "terms", None)
        if terms is not None and terms.progress:
            self.flowing.announce(in_flight)
        try:
            self._invoke(in_flight)
        except PayloadExceededError as error:
            self._end(in_flight, CALL_TOO_LARGE, str(error))
        except Exception:
            self._end(in_flight, NEVER_SENT)
            raise

    def _invoke(self, in_flight: InvocationRequest) -> None:
        call, caller = in_flight.call, in_flight.caller
        details: dict[str, Any] = {}
        if in_flight.authorization.get("disclose") or call.procedure.startswith(("wamp.", "crossbar.")):
            details["caller"] = caller._session_id
            details["caller_authid"] = caller._authid
            details["caller_authrole"] = caller._authrole
        if in_flight.registration.match != "exact":
            details["procedure"] = call.procedure
        if call.timeout:
            details["timeout"] = call.timeout
        if call.receive_progress or self.flowing.fed:
            refusal = self.flowing.begin(in_flight, details)
            if refusal is not None:
                self._end(in_flight, _because(refusal, interrupts=False))
                return
        self._carry(in_flight, call, details)
        if self.flowing.fed:
            self.flowing.begun(in_flight)

    def _carry(self, in_flight: InvocationRequest, call: message.Call, details: dict[str, Any]) -> None:
        link = in_flight.callee._transport
        if isinstance(link, Link) and call.payload is None and call.forward_for is None:
            link.carry(INVOCATION, (in_flight.id, in_flight.registration.id, details), carried_by(call))
        else:
            self._router.send(in_flight.callee, _invocation(in_flight, call, details))

    def _track(self, in_flight: InvocationRequest) -> None:
        call, caller, callee = in_flight.call, in_flight.caller, in_flight.callee
        self._invocations[in_flight.id] = in_flight
        self._invocations_by_call[in_flight.caller_session_id, call.request] = in_flight
        for calls, session in ((self._callee_to_invocations, callee), (self._caller_to_invocations, caller)):
            known = calls.get(session)
            if known is None:
                known = calls[session] = Calls()
            known[in_flight] = None
        timeout = self._timeout(call)
        if timeout:
            in_flight.timeout_call = self._cancel_timers.begin(in_flight, timeout / 1000)

    def _timeout(self, call: message.Call) -> int | None:
        """Milliseconds to the deadline: what the caller asks for, and no more than the contract gives."""
        asked: int | None = call.timeout or None
        contract = self._router.admission.catalogue.procedure(call.procedure)
        if contract is None or contract.timeout is None:
            return asked
        given: int = round(contract.timeout * 1000)
        return given if asked is None else min(asked, given)

    def _forget(self, in_flight: InvocationRequest) -> None:
        self._invocations.pop(in_flight.id, None)
        self._invocations_by_call.pop((in_flight.caller_session_id, in_flight.call.request), None)
        _drop(self._callee_to_invocations, in_flight.callee, in_flight)
        _drop(self._caller_to_invocations, in_flight.caller, in_flight)
        deadline: Lane | None = in_flight.timeout_call
        if deadline is not None:
            deadline.end(in_flight)
        if self.flowing.flows:
            self.flowing.end(in_flight)
            self.flowing.forget(in_flight)

    def _free(self, callee: NodeSession, request: int) -> None:
        """The callee has answered an invocation: it has room for another one, if it counts them."""
        slots = self._slots.get(callee)
        slot = slots.pop(request, None) if slots else None
        if slot is not None:
            slot.concurrency_current -= 1

    # ---- the callee answers -----------------------------------------------------------------------------------------

    def processYield(self, session: NodeSession, yield_: message.Yield) -> None:
        in_flight = self._answered(session, yield_.request, final=not yield_.progress)
        if in_flight is None:
            return
        if in_flight.canceled:
            if not yield_.progress:
                self._answer(in_flight, in_flight.error_msg)
            return
        if yield_.progress and not self.flowing.passes(in_flight, yield_):
            return
        caller, request = in_flight.caller, in_flight.call.request
        link = caller._transport
        try:
            if isinstance(link, Link) and yield_.payload is None:
                details = {"progress": True} if yield_.progress else {}
                link.carry(RESULT, (request, details), carried_by(yield_))
            elif link is not None:
                self._router.send(caller, _result(request, yield_))
        except PayloadExceededError as error:
            self._end(in_flight, PROGRESS_TOO_LARGE if yield_.progress else RESULT_TOO_LARGE, str(error))
        except Exception:
            LOG.failure("a result for {procedure} cannot be passed on", procedure=in_flight.call.procedure)
            self._end(in_flight, UNREADABLE_PROGRESS if yield_.progress else UNREADABLE_RESULT)

    def processInvocationError(self, session: NodeSession, error: message.Error) -> None:
        in_flight = self._answered(session, error.request, final=True)
        if in_flight is not None:
            own = _error(in_flight.call.request, error)
            self._answer(in_flight, in_flight.error_msg if in_flight.canceled else own)

    def _answered(self, session: NodeSession, request: int, final: bool) -> InvocationRequest | None:
        """The call that a callee answers; ``None`` if nobody waits for it any more."""
        in_flight: InvocationRequest | None = self._invocations.get(request)
        if in_flight is not None and in_flight.callee is not session:
            raise ProtocolError(f"invocation {request} is not this session's to answer")
        if final:
            if self._slots:
                self._free(session, request)
            if in_flight is not None:
                self._forget(in_flight)
        return in_flight

    # ---- progressive results and inputs: what flowing.py asks for ---------------------------------------------------

    def processMore(self, session: NodeSession, more: More) -> None:
        self.flowing.takes(session, more)

    def in_flight(self, session: NodeSession, kind: int, request: int) -> InvocationRequest | None:
        """The call that a session makes (CALL), or is asked (INVOCATION), by its number there."""
        found: InvocationRequest | None
        if kind == message.Call.MESSAGE_TYPE:
            found = self._invocations_by_call.get((session._session_id, request))
            return found
        found = self._invocations.get(request)
        return found if found is not None and found.callee is session else None

    def renew(self, in_flight: InvocationRequest) -> None:
        """Something has flowed: its deadline begins anew."""
        if in_flight.timeout_call is not None:
            in_flight.timeout_call.renew(in_flight)

    def send(self, session: NodeSession, msg: message.Message) -> None:
        self._router.send(session, msg)

    def ask_on(self, in_flight: InvocationRequest, call: message.Call, details: dict[str, Any]) -> None:
        """Give a callee a further input of a call that it has in hand."""
        try:
            self._carry(in_flight, call, details)
        except PayloadExceededError as error:
            self._end(in_flight, INPUT_TOO_LARGE, str(error))

    def give_up(self, in_flight: InvocationRequest, error: RemoteError) -> None:
        """End a call with this error, and stop its callee."""
        self._end(in_flight, _because(error, interrupts=True))

    # ---- a call ends early ------------------------------------------------------------------------------------------

    def processCancel(self, session: NodeSession, cancel: message.Cancel) -> None:
        in_flight = self._invocations_by_call.get((session._session_id, cancel.request))
        if in_flight is None or in_flight.canceled:
            return
        if cancel.mode == message.Cancel.SKIP:
            self._end(in_flight, SKIPPED)
        elif cancel.mode == message.Cancel.KILL and _can_cancel(in_flight.callee):
            # The one end that waits: for the callee's answer, its timeout, or for either side to leave.
            in_flight.canceled, in_flight.error_msg = True, _error_of(in_flight, KILLED)
            self._router.send(in_flight.callee, message.Interrupt(in_flight.id, message.Cancel.KILL))
        else:
            self._end(in_flight, KILLED)

    def _expire(self, in_flight: InvocationRequest, seconds: float) -> None:
        self._end(in_flight, EXPIRED, f"no answer within {round(seconds * 1000)} ms")

    def end_all(self) -> None:
        """The node ends: nobody's call goes on."""
        for in_flight in list(self._invocations.values()):
            self._end(in_flight, NODE_STOPS)

    def is_at_work(self, session: NodeSession) -> bool:
        """Whether it has been asked something that it has not answered, and somebody waits for the answer."""
        return session in self._callee_to_invocations

    def is_concerned(self, session: NodeSession) -> bool:
        """Whether it calls or is called."""
        return session in self._callee_to_invocations or session in self._caller_to_invocations

    def detach(self, session: NodeSession) -> None:
        for in_flight in list(self._caller_to_invocations.get(session, ())):
            self._end(in_flight, CALLER_LEFT if in_flight.callee is not session else BOTH_LEFT)
        for in_flight in list(self._callee_to_invocations.get(session, ())):
            self._end(in_flight, CALLEE_LEFT)
        self._slots.pop(session, None)
        super().detach(session)

    def _end(self, in_flight: InvocationRequest, end: End, facts: str = "") -> None:
        """End a call without an answer of its callee's. The callee keeps its slot: it is at work, or has left.

        :param facts: what the error says, where the row does not know it.
        """
        self._forget(in_flight)
        if end.frees:
            self._free(in_flight.callee, in_flight.id)
        if end.interrupts and not in_flight.canceled and _can_cancel(in_flight.callee):
            self._router.send(in_flight.callee, message.Interrupt(in_flight.id, message.Cancel.KILLNOWAIT))
        if end.error is not None:
            self._answer(in_flight, in_flight.error_msg or _error_of(in_flight, end, facts))

    def _answer(self, in_flight: InvocationRequest, answer: message.Error) -> None:
        if in_flight.caller._transport is None:
            return
        try:
            self._router.send(in_flight.caller, answer)
        except PayloadExceededError as error:
            self._router.send(in_flight.caller, _error_of(in_flight, RESULT_TOO_LARGE, str(error)))


# ---- the table of ends ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class End:
    """One way in which a call ends without an answer of its callee's.

    :ivar error: what the caller is told, of the call and of further facts; ``None``: there is no caller to tell.
    :ivar interrupts: whether the callee is told to stop, if it takes INTERRUPT.
    :ivar frees: whether the callee has nothing left to do for the call.
    """

    error: Callable[[message.Call, str], RemoteError] | None
    interrupts: bool
    frees: bool


def _canceled(call: message.Call, _: str) -> RemoteError:
    return Canceled("the caller canceled the call", where=call.procedure)


def _deserted(call: message.Call, _: str) -> RemoteError:
    return Canceled("the callee disconnected before it answered", where=call.procedure)


def _stopped(call: message.Call, _: str) -> RemoteError:
    return Canceled("the node stopped before the callee answered", where=call.procedure)


def _late(call: message.Call, facts: str) -> RemoteError:
    return Deadline(facts, where=call.procedure)


def _too_large(call: message.Call, facts: str) -> RemoteError:
    return RemoteError(facts, code="hopsack.too_large", where=call.procedure)


def _broken(call: message.Call, _: str) -> RemoteError:
    return BrokenResult(where=call.procedure, advice="its service sent a payload that cannot be read")


# fmt: off
SKIPPED            = End(_canceled,  interrupts=False, frees=False)  # CANCEL mode=skip
KILLED             = End(_canceled,  interrupts=True,  frees=False)  # CANCEL mode=killnowait, or kill and no INTERRUPT
EXPIRED            = End(_late,      interrupts=True,  frees=False)  # the timeout of CALL or of the contract
CALLER_LEFT        = End(None,       interrupts=True,  frees=False)
CALLEE_LEFT        = End(_deserted,  interrupts=False, frees=True)
BOTH_LEFT          = End(None,       interrupts=False, frees=True)   # a session that called itself
NODE_STOPS         = End(_stopped,   interrupts=True,  frees=False)
CALL_TOO_LARGE     = End(_too_large, interrupts=False, frees=True)   # for the callee: it was never asked
INPUT_TOO_LARGE    = End(_too_large, interrupts=True,  frees=False)  # for the callee: one that follows the first
RESULT_TOO_LARGE   = End(_too_large, interrupts=False, frees=True)   # for the caller
PROGRESS_TOO_LARGE = End(_too_large, interrupts=True,  frees=False)
UNREADABLE_RESULT  = End(_broken,    interrupts=False, frees=True)   # one codec wrote what another one cannot
UNREADABLE_PROGRESS = End(_broken,   interrupts=True,  frees=False)
NEVER_SENT         = End(None,       interrupts=False, frees=True)   # the router has refused the call already
# fmt: on


def _because(error: RemoteError, interrupts: bool) -> End:
    return End(lambda _call, _facts: error, interrupts=interrupts, frees=not interrupts)


# ---- who is asked ---------------------------------------------------------------------------------------------------


def _choose(registration: Any) -> tuple[Any, Any]:
    """The callee whose turn it is by the registration's policy and its slot, ``(None, None)`` if all are full.

    Whoever is full is passed over, whatever the policy; round robin goes on behind who was chosen.
    """
    callees, extra = registration.observers, registration.extra  # Crossbar's ordered set
    policy, count = extra.invoke, len(callees)
    start, step = 0, 1
    if policy == message.Register.INVOKE_ROUNDROBIN:
        start = extra.roundrobin_current
    elif policy == message.Register.INVOKE_RANDOM:
        start = random.randrange(count)  # noqa: S311
    elif policy == message.Register.INVOKE_LAST:
        start, step = count - 1, -1
    for turn in range(start, start + step * count, step):
        extra.roundrobin_current = turn + 1
        callee = callees[turn % count]
        slot = registration.observers_extra.get(callee)
        if slot is None or not slot.concurrency:
            return callee, None
        if slot.concurrency_current < slot.concurrency:
            return callee, slot
    return None, None


def _can_cancel(session: Any) -> bool:
    features = (session._session_roles or {}).get("callee")
    return bool(features and features.call_canceling)


def _drop(calls: dict[Any, Any], session: Any, in_flight: InvocationRequest) -> None:
    known = calls.get(session)
    if known is not None:
        try:  # noqa: SIM105 - suppress() would be made for each call. Where Crossbar's own tests made it, it is a list.
            known.remove(in_flight)
        except (KeyError, ValueError):
            pass
        if not known:
            del calls[session]


# ---- messages -------------------------------------------------------------------------------------------------------


def _nobody(procedure: str) -> RemoteError:
    return NoCallee(
        f"nobody serves {procedure} right now",
        where=procedure,
        advice="start the service that registers it, or try again when it is back",
    )


def _full(procedure: str) -> RemoteError:
    return Overloaded(
        f"every callee of {procedure} works on as many calls as it takes",
        where=procedure,
        advice="try again later, or start another instance",
    )


def _error_of(in_flight: InvocationRequest, end: End, facts: str = "") -> message.Error:
    assert end.error is not None
    uri, args, kwargs = to_wamp(end.error(in_flight.call, facts))
    return message.Error(message.Call.MESSAGE_TYPE, in_flight.call.request, uri, args=args, kwargs=kwargs)


def _invocation(in_flight: InvocationRequest, call: message.Call, details: dict[str, Any]) -> message.Invocation:
    return Invocation(
        in_flight.id, in_flight.registration.id, **_payload(call), **details, forward_for=call.forward_for
    )


def _result(request: int, yield_: message.Yield) -> message.Result:
    return message.Result(request, **_payload(yield_), progress=yield_.progress)


def _error(request: int, error: message.Error) -> message.Error:
    return message.Error(message.Call.MESSAGE_TYPE, request, error.error, **_payload(error))


def _payload(msg: Any) -> dict[str, Any]:
    if msg.payload is None:
        return {"args": msg.args, "kwargs": msg.kwargs}
    return {name: getattr(msg, name) for name in ("payload", "enc_algo", "enc_key", "enc_serializer")}
