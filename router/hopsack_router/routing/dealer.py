"""The dealer: our own path from CALL to RESULT.

    CALL  -> a callee, a line, or a refusal (:mod:`~hopsack_router.routing.placing`)
          -> INVOCATION     arguments pass unread where both sides speak one codec
    YIELD, ERROR of the callee    -> RESULT, ERROR to the caller; or another try
    more than one of either side  -> as in :mod:`~hopsack_router.routing.flowing`
    everything else that ends a call is a row of the table of ends (:mod:`~hopsack_router.routing.endings`)

A caller always gets an answer, whatever its callee supports, and by its deadline: each call has one, and its callee is
told what is left of it. A callee has a call in hand from INVOCATION until it answers or leaves, whoever still waits for
the answer: it is at work. Nothing else is kept of a call that has ended for its caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from twisted.logger import Logger

from hopsack.errors import RemoteError
from hopsack.wamp import messages as lean
from hopsack_router.routing import endings, uris
from hopsack_router.routing.asked import Invocation, More
from hopsack_router.routing.breaker import FAILURES
from hopsack_router.routing.calls import InFlight
from hopsack_router.routing.endings import (
    BOTH_LEFT,
    CALLER_LEFT,
    EXPIRED,
    INPUT_TOO_LARGE,
    KILLED,
    NODE_STOPS,
    PROGRESS_TOO_LARGE,
    RESULT_TOO_LARGE,
    SKIPPED,
    UNREADABLE_PROGRESS,
    UNREADABLE_RESULT,
    End,
    because,
    error_of,
)
from hopsack_router.routing.links import Link
from hopsack_router.routing.placing import Placing
from hopsack_router.routing.retrying import ELSEWHERE, LOST
from hopsack_router.routing.unread import carried_by

if TYPE_CHECKING:
    from hopsack_router.keyed.calls import KeyedCalls
    from hopsack_router.routing.session import NodeSession

LOG = Logger()
INVOCATION = lean.Invocation.number()
RESULT = lean.Result.number()
_DISCLOSED = {"allow": True, "cache": False, "disclose": True}


class Dealer(Placing):
    """Routes calls of one realm."""

    def invocation(self, request: int) -> InFlight | None:
        """The call in flight behind an invocation id: ``.call``, ``.callee``, ``.caller``."""
        found: InFlight | None = self._invocations.get(request)
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

    def _invoke(self, in_flight: InFlight) -> bool:
        call, caller = in_flight.call, in_flight.caller
        details: dict[str, Any] = {}
        if in_flight.authorization.get("disclose") or call.procedure.startswith(("wamp.", "crossbar.")):
            details["caller"] = caller._session_id
            details["caller_authid"] = caller._authid
            details["caller_authrole"] = caller._authrole
        if in_flight.registration.match != "exact":
            details["procedure"] = call.procedure
        details["timeout"] = in_flight.remaining
        if call.receive_progress or self.flowing.fed:
            refusal = self.flowing.begin(in_flight, details)
            if refusal is not None:
                self._end(in_flight, because(refusal, interrupts=False))
                return True
        if not self._carry(in_flight, call, details):
            return False
        if self.flowing.fed:
            self.flowing.begun(in_flight)
        return True

    def _carry(self, in_flight: InFlight, call: message.Call, details: dict[str, Any]) -> bool:
        """:returns: whether the callee's link took it."""
        assert in_flight.callee is not None
        link = in_flight.callee._transport
        if isinstance(link, Link):
            if link.is_gone:
                return False
            if call.payload is None and call.forward_for is None:
                link.carry(INVOCATION, (in_flight.id, in_flight.registration.id, details), carried_by(call))
                return True
        elif link is None:
            return False
        self._router.send(in_flight.callee, _invocation(in_flight, call, details))
        return True

    # ---- the callee answers -----------------------------------------------------------------------------------------

    def processYield(self, session: NodeSession, yield_: message.Yield) -> None:
        in_flight = self._answered(session, yield_.request, final=not yield_.progress)
        if in_flight is None:
            return
        if not yield_.progress:
            self._forget(in_flight)
        if in_flight.canceled:
            if not yield_.progress:
                self._settle(in_flight, None)
                self._answer(in_flight, in_flight.error_msg)
            return
        if yield_.progress and not self.flowing.passes(in_flight, yield_):
            return
        if in_flight.breaker is not None and not yield_.progress:
            self._settle(in_flight, failed=False)
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
        if in_flight is None:
            return
        own = endings.passed_on(in_flight, error)
        code = endings.code_of(error)
        if in_flight.breaker is not None:
            of_no_account = in_flight.canceled or code in ELSEWHERE
            self._settle(in_flight, None if of_no_account else code in FAILURES)
        if in_flight.canceled:
            own = in_flight.error_msg
        elif self._try_again(in_flight, code, "maybe" if code == "hopsack.canceled" else "no", own):
            return
        self._forget(in_flight)
        self._answer(in_flight, own)

    def _answered(self, session: NodeSession, request: int, final: bool) -> InFlight | None:
        """The call that a callee answers; ``None`` if nobody waits for it any more."""
        in_flight: InFlight | None = self._invocations.get(request)
        if in_flight is None:
            if final and self._owed:
                self._returned(session, request)
            return None
        if in_flight.callee is not session:
            raise ProtocolError(f"invocation {request} is not this session's to answer")
        seat, now = in_flight.seat, self._now()
        assert seat is not None
        if final:
            seat.answered(now, now - in_flight.began)
            in_flight.seat = None
            if self._waiting:
                self._has_room(in_flight.registration, seat)
        else:
            seat.progressed(now)
        return in_flight

    # ---- progressive results and inputs: what flowing.py asks for ---------------------------------------------------

    def processMore(self, session: NodeSession, more: More) -> None:
        self.flowing.takes(session, more)

    def in_flight(self, session: NodeSession, kind: int, request: int) -> InFlight | None:
        """The call that a session makes (CALL), or is asked (INVOCATION), by its number there."""
        found: InFlight | None
        if kind == message.Call.MESSAGE_TYPE:
            found = self._invocations_by_call.get((session._session_id, request))
            return found
        found = self._invocations.get(request)
        return found if found is not None and found.callee is session else None

    def renew(self, in_flight: InFlight) -> None:
        """Something has flowed: its deadline begins anew."""
        if in_flight.timeout_call is not None:
            in_flight.timeout_call.renew(in_flight)
            in_flight.due = self._now() + in_flight.given / 1000

    def send(self, session: NodeSession, msg: message.Message) -> None:
        self._router.send(session, msg)

    # ---- what keyed calls ask for (:mod:`hopsack_router.keyed.calls`) ------------------------------------------------

    def serve_keyed(self, keyed: KeyedCalls) -> None:
        """From now on calls with a key are executed once."""
        self.keyed = keyed
        keyed.serve(self)

    def route_for(self, caller: Any, call: message.Call, authorization: dict[str, Any]) -> None:
        self._route(caller, call, authorization)

    def cancel_for(self, caller: Any, call: message.Call) -> None:
        self.processCancel(caller, message.Cancel(call.request, message.Cancel.KILLNOWAIT))

    def seconds_for(self, call: message.Call) -> float:
        """How long a call may take."""
        return self.traffic_of(call.procedure).milliseconds(call.timeout) / 1000

    def ask_on(self, in_flight: InFlight, call: message.Call, details: dict[str, Any]) -> None:
        """Give a callee a further input of a call that it has in hand."""
        try:
            self._carry(in_flight, call, details)
        except PayloadExceededError as error:
            self._end(in_flight, INPUT_TOO_LARGE, str(error))

    def give_up(self, in_flight: InFlight, error: RemoteError) -> None:
        """End a call with this error, and stop its callee."""
        self._end(in_flight, because(error, interrupts=True))

    # ---- a call ends early ------------------------------------------------------------------------------------------

    def processCancel(self, session: NodeSession, cancel: message.Cancel) -> None:
        if self.keyed is not None and self.keyed.cancel(session, cancel.request):
            return
        in_flight = self._invocations_by_call.get((session._session_id, cancel.request))
        if in_flight is None or in_flight.canceled:
            return
        if cancel.mode == message.Cancel.SKIP and not _is_own(in_flight.callee):
            self._end(in_flight, SKIPPED)
        elif cancel.mode == message.Cancel.KILL and _can_cancel(in_flight.callee):
            # The one end that waits: for the callee's answer, its timeout, or for either side to leave.
            in_flight.canceled, in_flight.error_msg = True, error_of(in_flight, _killed(in_flight))
            self._router.send(in_flight.callee, message.Interrupt(in_flight.id, message.Cancel.KILL))
        else:
            self._end(in_flight, KILLED)

    def _expire(self, in_flight: InFlight, seconds: float) -> None:
        self._end(in_flight, EXPIRED, f"no answer within {round(seconds * 1000)} ms")

    @property
    def calls(self) -> int:
        """How many have not ended."""
        keyed = 0 if self.keyed is None else self.keyed.count
        return sum(map(len, self._caller_to_invocations.values())) + keyed

    def end_all(self) -> None:
        """The node ends: nobody's call goes on."""
        for in_flight in [one for calls in self._caller_to_invocations.values() for one in calls]:
            self._end(in_flight, NODE_STOPS)

    def is_at_work(self, session: NodeSession) -> bool:
        """Whether it has been asked something that it has not answered, and somebody waits for the answer."""
        return session in self._callee_to_invocations

    def is_concerned(self, session: NodeSession) -> bool:
        """Whether it calls or is called."""
        if self.keyed is not None and self.keyed.is_concerned(session):
            return True
        return session in self._callee_to_invocations or session in self._caller_to_invocations

    def detach(self, session: NodeSession) -> None:
        if self.keyed is not None:
            self.keyed.left(session)
        for in_flight in list(self._caller_to_invocations.get(session, ())):
            self._end(in_flight, CALLER_LEFT if in_flight.callee is not session else BOTH_LEFT)
        for in_flight in list(self._callee_to_invocations.get(session, ())):
            self._lose(in_flight)
        self._owed.pop(session, None)
        super().detach(session)

    def _lose(self, in_flight: InFlight) -> None:
        """Its callee has gone. It may have carried it out, in whole or in part."""
        if in_flight.caller._transport is None:
            self._forget(in_flight)
        elif in_flight.canceled:
            self._forget(in_flight)
            self._answer(in_flight, in_flight.error_msg)
        else:
            error = error_of(in_flight, endings.lost(in_flight, "maybe"))
            if not self._try_again(in_flight, LOST, "maybe", error):
                self._forget(in_flight)
                self._answer(in_flight, error)

    def _end(self, in_flight: InFlight, end: End, facts: str = "") -> None:
        """End a call without an answer of its callee's. The callee keeps its place: it is at work, or has left.

        :param facts: what the error says, where the row does not know it.
        """
        callee, seat = in_flight.callee, in_flight.seat
        error = None if end.error is None else in_flight.error_msg or error_of(in_flight, end.error(in_flight, facts))
        self._forget(in_flight)
        if seat is not None:
            if in_flight.breaker is not None:
                self._settle(in_flight, end.fails)
            self._leave_seat(in_flight, seat, is_free=end.frees)
            if end.interrupts and not in_flight.canceled and _can_cancel(callee):
                self._router.send(callee, message.Interrupt(in_flight.id, message.Cancel.KILLNOWAIT))
        if error is not None:
            self._answer(in_flight, error)

    def _answer(self, in_flight: InFlight, answer: message.Error) -> None:
        if in_flight.caller._transport is None:
            return
        try:
            self._router.send(in_flight.caller, answer)
        except PayloadExceededError as error:
            too_large = RESULT_TOO_LARGE.error
            assert too_large is not None
            self._router.send(in_flight.caller, error_of(in_flight, too_large(in_flight, str(error))))


def _killed(in_flight: InFlight) -> RemoteError:
    assert KILLED.error is not None
    return KILLED.error(in_flight, "")


def _is_own(callee: Any) -> bool:
    """Whether the node itself is asked. It is told also of a call whose callee its caller would not have disturbed: it
    would give a lock to somebody who waits no more."""
    return callee is not None and callee._authrole == "trusted"


def _can_cancel(session: Any) -> bool:
    features = (session._session_roles or {}).get("callee") if session is not None else None
    return bool(features and features.call_canceling)


def _invocation(in_flight: InFlight, call: message.Call, details: dict[str, Any]) -> message.Invocation:
    return Invocation(
        in_flight.id, in_flight.registration.id, **endings.payload(call), **details, forward_for=call.forward_for
    )


def _result(request: int, yield_: message.Yield) -> message.Result:
    return message.Result(request, **endings.payload(yield_), progress=yield_.progress)
