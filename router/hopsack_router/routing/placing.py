"""Where a call goes: to a callee, into a line where it waits for one, or to its next try.

    place     -> a callee that can be asked                     -> asked
              -> none there, or all are full                    -> it waits, or its caller is told
                                                                   (:mod:`~hopsack_router.routing.queueing`)
    a try failed, and another one may not (``retrying.py``)     -> placed again, after a random time
    its callee was gone before it could be asked                -> placed again, at once

Whatever a call waits for, its deadline counts from CALL, and its caller can cancel it. A callee that goes on with what
nobody waits for any more has it in hand until it answers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from twisted.logger import Logger

from hopsack.deadlines import Lane
from hopsack.errors import BadRequest, Denied, RemoteError
from hopsack_router import metrics
from hopsack_router.access.meters import Levels
from hopsack_router.routing import endings
from hopsack_router.routing.breaker import Breaker
from hopsack_router.routing.calls import UNDECLARED, InFlight, Traffic
from hopsack_router.routing.choosing import Seat, choose
from hopsack_router.routing.deadlines import deadlines
from hopsack_router.routing.endings import CALL_TOO_LARGE, NEVER_SENT, End
from hopsack_router.routing.flowing import Flowing
from hopsack_router.routing.joining import FLOW
from hopsack_router.routing.queueing import Queueing, room
from hopsack_router.routing.retrying import Ran, Tries

if TYPE_CHECKING:
    from hopsack_router.keyed.calls import KeyedCalls
    from hopsack_router.routing.asked import Terms
    from hopsack_router.routing.session import NodeSession

LOG = Logger()

MAX_RETRY = 10
MAX_OWED = 1000
"""Calls nobody waits for any more that are counted as work of one callee that counts none itself."""

MAX_CALLS = 10_000
"""Calls of one session that have not ended, where nothing else is said (``unanswered.connection``); the raw door has a
lower bound of its own."""

UNGUARDED = frozenset(("service", "operator", "trusted"))
"""Roles that may call past an open breaker."""


class Calls(dict[InFlight, None]):
    """The calls of one session, in their order; Crossbar keeps a list, where every answer searches."""

    remove = dict.__delitem__


class Placing(Queueing):
    """Finds callees for the calls of one realm.

    :ivar random: throws the dice of policies and retries; a test gives its own.
    :ivar keyed: executes calls with a key once; ``None``: a key means nothing here.
    """

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self.random = Random()  # noqa: S311 - it shares out work
        self._now: Callable[[], float] = reactor.seconds
        self._cancel_timers = deadlines(reactor, self._expire)
        declared = router.admission.catalogue.procedures
        self._traffic = {uri: Traffic(uri, contract) for uri, contract in declared.items()}
        self._traffic[UNDECLARED] = Traffic(UNDECLARED, None)
        self._numbers = count(1)
        self._delayed: dict[InFlight, Any] = {}  # until its next try
        self._owed: dict[Any, dict[int, tuple[Seat[Any], Any]]] = {}  # callee -> what it does that nobody waits for
        self.flowing = Flowing(self)
        self.keyed: KeyedCalls | None = None
        for feature in (*FLOW, "call_timeout"):
            setattr(self._role_features, feature, True)

    # ---- what the dealer does ---------------------------------------------------------------------------------------

    @abstractmethod
    def _invoke(self, in_flight: InFlight) -> bool:
        """Send the INVOCATION.

        :returns: whether its link took it.
        """

    @abstractmethod
    def _end(self, in_flight: InFlight, end: End, facts: str = "") -> None: ...

    @abstractmethod
    def _expire(self, in_flight: InFlight, seconds: float) -> None: ...

    # ---- a call comes -----------------------------------------------------------------------------------------------

    def traffic_of(self, procedure: str) -> Traffic:
        """What is known of a procedure's calls."""
        contract = self._router.admission.catalogue.procedure(procedure)
        return self._traffic[UNDECLARED if contract is None else contract.uri]

    def now(self) -> float:
        """Seconds of the clock that calls are counted with."""
        return self._now()

    def _refusal_of(self, terms: Any, traffic: Traffic, session: NodeSession, procedure: str) -> RemoteError | None:
        """What is wrong with the terms of a CALL."""
        if isinstance(terms, BadRequest):
            terms.where = procedure
            return terms
        contract = traffic.contract
        if terms.key is not None and terms.progress:
            return BadRequest("a keyed call has one input", where=procedure, advice="leave out progress, or the key")
        if terms.retry and (contract is None or not contract.idempotent):
            advice = "a second try may do it twice: have its contract say `idempotent` if that does no harm"
            return BadRequest("only an idempotent procedure is tried again", where=procedure, advice=advice)
        if terms.retry and terms.retry > MAX_RETRY:
            return BadRequest(f"a call is tried {MAX_RETRY} more times at most", where=procedure)
        if terms.breaker is False and session._authrole not in UNGUARDED:
            advice = f"roles that may: {', '.join(sorted(UNGUARDED - {'trusted'}))}"
            return Denied(f"role {session._authrole} may not call past a breaker", where=procedure, advice=advice)
        return None

    def _route(self, session: NodeSession, call: message.Call, authorization: dict[str, Any]) -> None:
        traffic = self.traffic_of(call.procedure)
        terms: Terms | None = getattr(call, "terms", None)
        if terms is not None:
            refusal = self._refusal_of(terms, traffic, session, call.procedure)
            if refusal is not None:
                self._router.refuse(session, call, refusal)
                return
            if terms.key is not None and self.keyed is not None and not self.keyed.calls_as(session):
                self.keyed.take(session, call, authorization, terms.key, traffic.policy.once)
                return  # and comes back in the node's name, if it is the first with its key
        under_way = self._caller_to_invocations.get(session)
        if under_way is not None:
            levels = getattr(session, "levels", None)
            most = levels.unanswered if type(levels) is Levels else MAX_CALLS
            if len(under_way) >= most:
                self._router.refuse(session, call, endings.too_many_calls(call.procedure, most))
                return
        traffic.calls += 1
        traffic.tally.n += 1
        now = self._now()
        in_flight = InFlight(session, call, authorization, traffic, terms, now, next(self._numbers))
        if terms is not None and terms.progress:
            self.flowing.announce(in_flight)
        self._place(in_flight, now)

    def _place(self, in_flight: InFlight, now: float) -> None:
        if self._waiting and self._is_filling:
            self._fill()  # who waits comes first
        registration = self._registration_map.best_matching_observation(in_flight.call.procedure)
        if registration is None:
            self._without_callee(in_flight)
            return
        if self._waiting and self._waiting.has(room(registration, in_flight)):
            self._without_room(in_flight, registration, now)
            return
        rota = registration.extra
        seat = choose(rota, in_flight.traffic.invoke or rota.invoke, now, self.random.randrange, in_flight.wish)
        if seat is None:
            self._without_room(in_flight, registration, now)
        else:
            self._ask(in_flight, registration, seat, now)

    def _ask(self, in_flight: InFlight, registration: Any, seat: Seat[Any], now: float) -> None:
        callee = seat.callee
        in_flight.id = request = self._request_id_gen.next()
        in_flight.registration, in_flight.callee, in_flight.seat, in_flight.began = registration, callee, seat, now
        seat.asked(now)
        if in_flight.wish.breaker is not None:
            self._pass_breaker(in_flight, seat, now)
        if in_flight.timeout_call is None:
            self._begin(in_flight)
        self._invocations[request] = in_flight
        known = self._callee_to_invocations.get(callee)
        if known is None:
            known = self._callee_to_invocations[callee] = Calls()
        known[in_flight] = None
        try:
            is_sent = self._invoke(in_flight)
        except PayloadExceededError as error:
            self._end(in_flight, CALL_TOO_LARGE, str(error))
        except Exception:
            self._end(in_flight, NEVER_SENT)
            raise
        else:
            if not is_sent:
                self._not_sent(in_flight, seat, now)

    def _begin(self, in_flight: InFlight) -> None:
        """From now on its caller can cancel it, and its time runs."""
        caller = in_flight.caller
        self._invocations_by_call[in_flight.caller_session_id, in_flight.call.request] = in_flight
        known = self._caller_to_invocations.get(caller)
        if known is None:
            known = self._caller_to_invocations[caller] = Calls()
        known[in_flight] = None
        in_flight.timeout_call = self._cancel_timers.begin(in_flight, in_flight.given / 1000)

    def _forget(self, in_flight: InFlight) -> None:
        self._invocations.pop(in_flight.id, None)
        self._invocations_by_call.pop((in_flight.caller_session_id, in_flight.call.request), None)
        drop(self._callee_to_invocations, in_flight.callee, in_flight)
        drop(self._caller_to_invocations, in_flight.caller, in_flight)
        deadline: Lane | None = in_flight.timeout_call
        if deadline is not None:
            deadline.end(in_flight)
        if self._waiting:
            self._step_out(in_flight)
        if self._delayed:
            timer = self._delayed.pop(in_flight, None)
            if timer is not None:
                timer.cancel()
        self._stop_flow(in_flight)

    def _stop_flow(self, in_flight: InFlight) -> None:
        flowing = self.flowing
        if flowing.flows or flowing.fed:
            flowing.end(in_flight)
            flowing.forget(in_flight)

    # ---- a try has failed -------------------------------------------------------------------------------------------

    def _try_again(self, in_flight: InFlight, code: str, ran: Ran, last: message.Error) -> bool:
        """Let it have another try, later, if it may.

        :param code: of what the last one came to. :param ran: whether that one may have been carried out.
        :returns: whether it has one; else it is for the caller to be told.
        """
        if in_flight.tries is None:
            if not in_flight.retries:
                return False
            in_flight.tries = Tries(in_flight.retries)
        flow = self.flowing.flows.get(in_flight.id)
        if flow is not None and flow.has_begun:
            return False  # its caller has seen a part of an answer, or inputs are spent
        tries, traffic = in_flight.tries, in_flight.traffic
        left = in_flight.due - self._now()
        wait = tries.failed(code, in_flight.callee, ran, left, traffic.spend, self.random.random)
        if wait is None:
            return False
        traffic.retried += 1
        metrics.retries.tally(traffic.label).n += 1
        self._take_back(in_flight, last)
        self._delayed[in_flight] = self._reactor.callLater(wait, self._next_try, in_flight)
        return True

    def _next_try(self, in_flight: InFlight) -> None:
        del self._delayed[in_flight]
        self._guarded(in_flight, self._place, in_flight, self._now())

    def _not_sent(self, in_flight: InFlight, seat: Seat[Any], now: float) -> None:
        """Its callee is gone, and the realm has not noticed yet: somebody else is asked, at once."""
        seat.untouched()
        self._settle(in_flight, None)
        if in_flight.tries is None:
            in_flight.tries = Tries(in_flight.retries)
        in_flight.tries.without.add(seat.callee)
        self._take_back(in_flight, endings.error_of(in_flight, endings.lost(in_flight, in_flight.tries.ran)))
        self._place(in_flight, now)

    def _take_back(self, in_flight: InFlight, last: message.Error) -> None:
        """Nobody is asked for now."""
        assert in_flight.tries is not None
        self.flowing.end(in_flight)
        self._invocations.pop(in_flight.id, None)
        drop(self._callee_to_invocations, in_flight.callee, in_flight)
        in_flight.seat = in_flight.callee = in_flight.registration = None
        in_flight.last = last
        in_flight.wish = replace(in_flight.wish, without=in_flight.tries.without)

    # ---- breakers ---------------------------------------------------------------------------------------------------

    def _pass_breaker(self, in_flight: InFlight, seat: Seat[Any], now: float) -> None:
        traffic = in_flight.traffic
        breaker = seat.breakers.get(traffic.uri)
        if breaker is None:
            assert traffic.policy.breaker is not None
            breaker = seat.breakers[traffic.uri] = Breaker(traffic.policy.breaker)
        in_flight.breaker, in_flight.is_probe = breaker, breaker.begins(now)

    def _settle(self, in_flight: InFlight, failed: bool | None) -> None:
        """Tell the breaker, if there is one, how a try ended."""
        breaker, in_flight.breaker = in_flight.breaker, None
        if breaker is not None and breaker.ended(self._now(), failed, in_flight.is_probe):
            in_flight.traffic.opened += 1
            metrics.breakers.tally(in_flight.traffic.label).n += 1
            callee = getattr(in_flight.callee, "_authid", None)
            LOG.warn("a breaker opens: {authid} fails {procedure}", authid=callee, procedure=in_flight.traffic.uri)

    # ---- work that nobody waits for ---------------------------------------------------------------------------------

    def _abandon(self, in_flight: InFlight, seat: Seat[Any]) -> None:
        """Its callee goes on with it, and keeps its place."""
        seat.abandoned()
        owed = self._owed.setdefault(in_flight.callee, {})
        owed[in_flight.id] = seat, in_flight.registration
        if len(owed) > MAX_OWED:
            forgotten, _ = owed.pop(next(iter(owed)))
            forgotten.forgotten()

    def _leave_seat(self, in_flight: InFlight, seat: Seat[Any], is_free: bool) -> None:
        """Nobody waits for its callee any more.

        :param is_free: whether the callee has nothing left to do for it.
        """
        if not is_free:
            self._abandon(in_flight, seat)
            return
        seat.untouched()
        if self._waiting:
            self._has_room(in_flight.registration, seat)

    def _returned(self, callee: NodeSession, request: int) -> None:
        """A callee is done with what nobody waits for."""
        owed = self._owed.get(callee)
        found = owed.pop(request, None) if owed else None
        if found is not None:
            seat, registration = found
            seat.returned(self._now())
            if not owed:
                del self._owed[callee]
            if self._waiting:
                self._has_room(registration, seat)


def drop(calls: dict[Any, Any], session: Any, in_flight: InFlight) -> None:
    known = calls.get(session)
    if known is not None:
        try:  # noqa: SIM105 - suppress() would be made for each call. Where Crossbar's own tests made it, it is a list.
            known.remove(in_flight)
        except (KeyError, ValueError):
            pass
        if not known:
            del calls[session]
