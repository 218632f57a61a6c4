"""Calls that wait at the node for a callee, or for room: who may, in which line, and when a line is served.

    none is there, and it may wait (``wait``)         -> the line of its procedure
    all are full, and it may wait (``queue``)         -> the line of the registration; a sharded call: of its callee
    else                                              -> its caller gets no_callee, overloaded or breaker_open
    a callee registers, leaves, or has room           -> the lines that this concerns are served
    the time of ``wait`` is over                      -> no_callee
    the node stops                                    -> unavailable, and it has not run

Lines are served at the end of the turn, and every :data:`LOOK` seconds while somebody waits for room: that a callee
has stalled, or that a breaker lets through again, is no event. Who comes while others wait goes behind them, and who
changes the line keeps its turn: a callee is asked in the order of the calls, as WAMP demands (basic profile, "Ordering
guarantees"). Only a sharded call that has to go to another callee may find later ones there, which have other keys.
The lines themselves are :mod:`~hopsack_router.routing.waiting`'s.

Bounds: theirs, and :data:`MOST_BYTES` of inputs for each procedure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from hopsack_router import metrics
from hopsack_router.routing import endings, uris
from hopsack_router.routing.choosing import Seat, Why, choose, owner_of, why
from hopsack_router.routing.deadlines import deadlines
from hopsack_router.routing.flowing import size_of
from hopsack_router.routing.registrations import Registrations
from hopsack_router.routing.waiting import Waiting

if TYPE_CHECKING:
    from autobahn.wamp import message

    from hopsack.deadlines import Lane
    from hopsack.errors import RemoteError
    from hopsack_router.routing.calls import InFlight, Traffic

MOST_BYTES = 16 << 20
"""Of the inputs of one procedure's calls that wait: as much as one message may have."""

LOOK = 0.25
"""Seconds between two looks at the lines of those who wait for room."""


class Queueing(Registrations, ABC):
    """The calls of one realm that wait."""

    random: Random
    _now: Callable[[], float]

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self._patience = deadlines(reactor, self._give_up)
        self._patient: dict[InFlight, Lane] = {}
        self._sizes: dict[InFlight, int] = {}  # of the inputs of those who wait
        self._bytes: dict[str, int] = defaultdict(int)  # by procedure
        self._waiting: Waiting[InFlight] = Waiting()
        self._open_lines: set[Any] = set()
        self._changed: set[Any] = set()
        self._is_filling = False
        self._look: Any = None

    def waiting_of(self, traffic: Traffic) -> int:
        """How many of a procedure's calls wait."""
        return self._waiting.of(traffic.uri)

    # ---- what placing and the dealer do -----------------------------------------------------------------------------

    @abstractmethod
    def _ask(self, in_flight: InFlight, registration: Any, seat: Seat[Any], now: float) -> None: ...

    @abstractmethod
    def _begin(self, in_flight: InFlight) -> None: ...

    @abstractmethod
    def _forget(self, in_flight: InFlight) -> None: ...

    @abstractmethod
    def _stop_flow(self, in_flight: InFlight) -> None: ...

    @abstractmethod
    def _answer(self, in_flight: InFlight, answer: message.Error) -> None: ...

    # ---- there is no callee, or no room -----------------------------------------------------------------------------

    def _without_callee(self, in_flight: InFlight) -> None:
        procedure, patience = in_flight.call.procedure, in_flight.patience
        invalid = uris.check(procedure, restricted=False, where="procedure")
        if patience <= 0 or invalid is not None:
            self._refuse(in_flight, invalid or endings.nobody(procedure))
        elif self._wait(in_flight, procedure, in_flight.places_without_callee):
            self._patient[in_flight] = self._patience.begin(in_flight, patience)

    def _without_room(self, in_flight: InFlight, registration: Any, now: float) -> None:
        procedure = in_flight.call.procedure
        reason, after = why(registration.extra, now, in_flight.wish)
        if reason is Why.OPEN:
            self._refuse(in_flight, endings.opened(procedure, _rounded(after)))
        elif reason is Why.REFUSED:
            self._refuse(in_flight, endings.nobody(procedure, waited=True))
        elif not in_flight.places:
            self._refuse(in_flight, endings.full(procedure, self._wait_of(in_flight, registration, after)))
        elif self._wait(in_flight, room(registration, in_flight), in_flight.places, registration, after):
            self._keep_looking()

    def _wait(self, in_flight: InFlight, line: Any, bound: int, registration: Any = None, after: float = 1.0) -> bool:
        """Let it wait, if there is a place; else its caller is told to come later."""
        uri, size = in_flight.traffic.uri, size_of(in_flight.call)
        has_room = self._bytes.get(uri, 0) + size <= MOST_BYTES
        if not has_room or not self._waiting.enter(in_flight, in_flight.number, line, uri, bound):
            retry_after = self._wait_of(in_flight, registration, after)
            self._refuse(in_flight, endings.crowded(in_flight.call.procedure, retry_after))
            return False
        self._sizes[in_flight] = size
        self._bytes[uri] += size
        metrics.waiting.tally(in_flight.traffic.label).n += 1
        if in_flight.timeout_call is None:
            self._begin(in_flight)
        return True

    def _wait_of(self, in_flight: InFlight, registration: Any, after: float) -> float:
        """Seconds after which there may be room: what waits, at the pace of those who work on it."""
        callees = len(registration.extra.seats) if registration is not None else 1
        return _rounded(after * (1 + self._waiting.of(in_flight.traffic.uri) / max(callees, 1)))

    def _refuse(self, in_flight: InFlight, refusal: RemoteError) -> None:
        """It cannot be placed. One that was tried before gets what that came to."""
        if in_flight.timeout_call is not None:
            self._forget(in_flight)
        else:
            self._stop_flow(in_flight)
        if in_flight.last is not None:
            self._answer(in_flight, in_flight.last)
        else:
            self._router.refuse(in_flight.caller, in_flight.call, refusal)

    def _give_up(self, in_flight: InFlight, seconds: float) -> None:
        self._refuse(in_flight, endings.nobody(in_flight.call.procedure, waited=True))

    def _step_out(self, in_flight: InFlight) -> None:
        """It does not wait any more."""
        if self._waiting.leave(in_flight):
            metrics.waiting.tally(in_flight.traffic.label).n -= 1
            self._bytes[in_flight.traffic.uri] -= self._sizes.pop(in_flight)
            patience = self._patient.pop(in_flight, None)
            if patience is not None:
                patience.end(in_flight)

    def turn_away(self, hint: Callable[[], float]) -> None:
        """The node stops: nobody waits any more.

        :param hint: seconds that a client should stay away.
        """
        for in_flight in list(self._waiting):
            self._refuse(in_flight, endings.stopping(in_flight.call.procedure, hint()))

    # ---- lines are served -------------------------------------------------------------------------------------------

    def changed(self, registration: Any) -> None:
        """It has got a callee, or lost one."""
        if self._waiting:
            self._changed.add(registration)
            self._fill_soon()

    def _has_room(self, registration: Any, seat: Seat[Any]) -> None:
        """Called where anybody waits: a callee has one call less in hand."""
        self._open_lines.update((("room", registration.id, None), ("room", registration.id, seat.name)))
        self._fill_soon()

    def _fill_soon(self) -> None:
        if not self._is_filling:
            self._is_filling = True
            self._reactor.callLater(0, self._fill)

    def _fill(self) -> None:
        self._is_filling = False
        lines, changed = self._open_lines, self._changed
        self._open_lines, self._changed = set(), set()
        if changed:
            numbers = {registration.id for registration in changed}
            for line in self._waiting.lines():
                if not isinstance(line, tuple) or line[1] in numbers:
                    lines.add(line)
        blocked: set[Any] = set()
        for in_flight, line in self._waiting.in_order(lines, but=blocked):
            is_there = in_flight in self._waiting and self._waiting[in_flight][0] == line
            if is_there and line not in blocked and not self._serve(in_flight, line) and not changed:
                blocked.add(line)  # where callees have changed, those behind it may belong elsewhere by now

    def _serve(self, in_flight: InFlight, line: Any) -> bool:
        """Place a call that waits, if anything can be done about it now.

        :returns: whether those behind it may have a chance.
        """
        registration = self._registration_map.best_matching_observation(in_flight.call.procedure)
        if registration is None:
            if in_flight in self._patient:
                return True
            self._step_out(in_flight)
            self._guarded(in_flight, self._without_callee, in_flight)
            return True
        now, rota, wish = self._now(), registration.extra, in_flight.wish
        seat = choose(rota, in_flight.traffic.invoke or rota.invoke, now, self.random.randrange, wish)
        if seat is None and line == room(registration, in_flight) and why(rota, now, wish)[0] is Why.FULL:
            return bool(wish.without)
        self._step_out(in_flight)
        if seat is None:
            self._guarded(in_flight, self._without_room, in_flight, registration, now)
        else:
            self._guarded(in_flight, self._ask, in_flight, registration, seat, now)
        return True

    def _guarded(self, in_flight: InFlight, step: Callable[..., None], *args: Any) -> None:
        """A step of a call outside of any message: its caller is told what goes wrong."""
        try:
            step(*args)
        except Exception as error:
            self._router._failed(in_flight.caller, in_flight.call, error)

    def _keep_looking(self) -> None:
        if self._look is None:
            self._look = self._reactor.callLater(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        rooms = [line for line in self._waiting.lines() if not isinstance(line, str)]
        if rooms:
            self._open_lines.update(rooms)
            self._keep_looking()
            self._fill()


def room(registration: Any, in_flight: InFlight) -> Any:
    """The line of those who wait for the same room."""
    key = in_flight.wish.key
    return "room", registration.id, None if key is None else owner_of(key, registration.extra.seats).name


def _rounded(seconds: float) -> float:
    return round(min(max(seconds, 0.05), 10.0), 3)
