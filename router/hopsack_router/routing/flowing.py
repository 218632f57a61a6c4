"""Calls that give their results, or take their inputs, piece by piece: what flows, and how fast.

    CALL receive_progress        -> INVOCATION receive_progress, x_hopsack_window
    YIELD progress               -> RESULT progress; nobody asked for it: dropped
    MORE of the caller           -> MORE to the callee, when the caller's link has room
    CALL progress                -> INVOCATION progress
    CALL with the same id        -> INVOCATION with the same id; the last one has no progress
    MORE of the callee           -> MORE to the caller, when the callee's link has room
    more than can be borne       -> ERROR hopsack.overloaded to the caller, INTERRUPT to the callee

What may be under way is decided in :mod:`~hopsack_router.routing.flows`; calls, links and messages are here. Each
item and each MORE begins the call's deadline anew: such a call may last, but not be silent for longer than it has.

Bounds: those of the core; :data:`EARLY` inputs of :data:`EARLY_BYTES` that come before there is a callee, from a
caller that was not told to send any; and :data:`REMEMBERED` calls that ended before their inputs did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from autobahn.wamp import message

from hopsack.errors import BrokenResult, Overloaded, RemoteError
from hopsack_router.routing import asked
from hopsack_router.routing.flows import Effect, Overrun, Promise, Room, Window
from hopsack_router.routing.joining import has_feature
from hopsack_router.routing.links import DEFAULT_BUDGET, Link
from hopsack_router.routing.unread import Carried, carried_by

if TYPE_CHECKING:
    from hopsack_router.routing.dealer import Dealer
    from hopsack_router.routing.session import NodeSession

CALL = message.Call.MESSAGE_TYPE
INVOCATION = message.Invocation.MESSAGE_TYPE
NOT_SUPPORTED = "wamp.error.feature_not_supported"
"""What WAMP calls it when one of the two does not know a feature that the other one needs."""
EARLY = 100
EARLY_BYTES = DEFAULT_BUDGET
REMEMBERED = 1000


@dataclass(eq=False, slots=True)
class Flow:
    """One call.

    :ivar call: as the dealer knows it: its ``id``, ``call``, ``caller`` and ``callee``.
    :ivar results: its progressive results; ``None``: nobody asked for any, or nobody is asked at the moment.
    :ivar inputs: those that follow its first; ``None``: none does, or nobody is asked at the moment.
    :ivar is_fed: whether more inputs may follow.
    :ivar has_begun: whether something has flowed: it cannot be tried again.
    :ivar early: inputs that came before there was a callee.
    """

    call: Any
    is_fed: bool
    results: Window | None = None
    inputs: Window | None = None
    has_begun: bool = False
    early: list[message.Call] = field(default_factory=list)
    early_bytes: int = 0


OVER = Flow(None, False)
"""Stands for calls that have ended, and whose callers may not know it yet."""


class Flowing:
    """The calls of one realm that flow.

    :ivar flows: by invocation.
    :ivar fed: those that may get more inputs, by the session and the request of their caller; :data:`OVER` where the
        call has ended before its inputs.
    """

    def __init__(self, dealer: Dealer) -> None:
        self._dealer = dealer
        self.flows: dict[int, Flow] = {}
        self.fed: dict[tuple[int, int], Flow] = {}
        self._over: deque[tuple[int, int]] = deque()

    # ---- a call begins and ends -------------------------------------------------------------------------------------

    def announce(self, in_flight: Any) -> None:
        """A call came whose inputs are to follow; it may have to wait for a callee."""
        self.fed[in_flight.caller_session_id, in_flight.call.request] = Flow(in_flight, True)

    def begin(self, in_flight: Any, details: dict[str, Any]) -> RemoteError | None:
        """A callee is about to be asked.

        :param details: of its INVOCATION; what it has to know is put there.
        :returns: why it cannot be asked.
        """
        call, callee, caller = in_flight.call, in_flight.callee, in_flight.caller
        flow = self.fed.get((in_flight.caller_session_id, call.request))
        if flow is None or flow.call is not in_flight:
            if not call.receive_progress:
                return None
            flow = Flow(in_flight, False)
        self.flows[in_flight.id] = flow
        if flow.is_fed:
            if not has_feature(callee, "callee", "progressive_call_invocations"):
                return RemoteError(
                    "its callee takes one input only",
                    code=NOT_SUPPORTED,
                    where=call.procedure,
                    advice="send one input, or serve it with a library that takes several",
                )
            details["progress"] = True
        if call.receive_progress:
            self._open_results(flow, caller, callee, details)
        return None

    def _open_results(self, flow: Flow, caller: Any, callee: Any, details: dict[str, Any]) -> None:
        terms = getattr(flow.call.call, "terms", None)
        takes = terms.window if terms is not None else None
        is_told = has_feature(callee, "callee", "x_hopsack_flow")
        flow.results = Window(flow, takes, is_told)
        link = caller._transport
        promises = self._room(link).open(flow.results, _is_full(link))
        self._obey(one for one in promises if one.window is not flow.results)
        details["receive_progress"] = True
        if is_told:
            details["x_hopsack_window"] = flow.results.promised

    def begun(self, in_flight: Any) -> None:
        """The callee has been asked: it takes its further inputs from now on."""
        flow = self.flows.get(in_flight.id)
        if flow is None or not flow.is_fed:
            return
        callee = in_flight.callee
        says = has_feature(callee, "callee", "x_hopsack_flow")
        flow.inputs = Window(flow, 0 if says else None, has_feature(in_flight.caller, "caller", "x_hopsack_flow"))
        self._obey(self._room(callee._transport).open(flow.inputs, _is_full(callee._transport)))
        early, flow.early = flow.early, []
        for call in early:
            self._feed(flow, call)

    def end(self, in_flight: Any) -> None:
        """The call has ended, or its callee will not answer it."""
        flow = self.flows.pop(in_flight.id, None)
        if flow is None:
            return
        for window, session in ((flow.results, in_flight.caller), (flow.inputs, in_flight.callee)):
            if window is not None:
                link = session._transport
                self._obey(self._room(link).close(window, _is_full(link)))
        flow.results = flow.inputs = None

    def forget(self, in_flight: Any) -> None:
        """The call has ended for its caller; further inputs may be on their way, and are none of another call."""
        key = in_flight.caller_session_id, in_flight.call.request
        flow = self.fed.get(key)
        if flow is not None and flow.call is in_flight:
            flow.is_fed = False
            self._remember(key)

    def refused(self, session: NodeSession, call: message.Call) -> None:
        """A call was refused before it began. What follows it is none of another: its last input looks like a call."""
        if _goes_on(call) and session._session_id is not None:
            self._remember((session._session_id, call.request))

    def _remember(self, key: tuple[int, int]) -> None:
        self.fed[key] = OVER
        self._over.append(key)
        if len(self._over) > REMEMBERED:
            oldest = self._over.popleft()
            if self.fed.get(oldest) is OVER:
                del self.fed[oldest]

    # ---- progressive results ----------------------------------------------------------------------------------------

    def passes(self, in_flight: Any, yield_: message.Yield) -> bool:
        """Whether a progressive result goes to its caller. One that must not has been dealt with."""
        flow = self.flows.get(in_flight.id)
        if flow is None or flow.results is None:
            return False  # WAMP advanced profile, progressive call results: not without being asked
        flow.has_begun = True
        self._dealer.renew(in_flight)
        link = in_flight.caller._transport
        size = _size_of(carried_by(yield_), link) if yield_.payload is None else len(yield_.payload)
        return self._obey(self._room(link).came(flow.results, size, _is_full(link)))

    # ---- progressive inputs -----------------------------------------------------------------------------------------

    def fed_by(self, session: NodeSession, call: message.Call) -> Flow | None:
        """The call that a CALL is a further input of, :data:`OVER` if that has ended."""
        return self.fed.get((session._session_id, call.request))  # type: ignore[arg-type]

    def continues(self, session: NodeSession, call: message.Call) -> bool:
        """Take a CALL that is a further input of one before; ``False``: it is a call of its own."""
        flow = self.fed_by(session, call)
        if flow is None:
            return False
        if flow is OVER:
            if not _goes_on(call):
                del self.fed[session._session_id, call.request]  # type: ignore[arg-type]
        elif flow.inputs is not None:
            self._feed(flow, call)
        else:
            self._keep(flow, call)
        return True

    def _keep(self, flow: Flow, call: message.Call) -> None:
        """An input came before its callee."""
        flow.early_bytes += size_of(call)
        if len(flow.early) >= EARLY:
            self._end(flow, f"{EARLY} inputs that nobody has asked for")
        elif flow.early_bytes > EARLY_BYTES:
            self._end(flow, f"{flow.early_bytes} bytes that nobody has asked for")
        else:
            flow.early.append(call)

    def _feed(self, flow: Flow, call: message.Call) -> None:
        in_flight, window, more = flow.call, flow.inputs, _goes_on(call)
        if window is None or not flow.is_fed:
            return  # it ended while its early inputs were passed on
        flow.has_begun = True
        self._dealer.renew(in_flight)
        link = in_flight.callee._transport
        room, is_full = self._room(link), _is_full(link)
        if more:
            size = _size_of(carried_by(call), link) if call.payload is None else len(call.payload)
            if self._obey(room.came(window, size, is_full)):
                self._dealer.ask_on(in_flight, call, {"progress": True})
            return
        flow.is_fed, flow.inputs = False, None
        del self.fed[in_flight.caller_session_id, in_flight.call.request]
        self._obey(room.close(window, is_full))  # nobody has to be told that more would be taken
        self._dealer.ask_on(in_flight, call, {})

    # ---- what consumers take ----------------------------------------------------------------------------------------

    def takes(self, session: NodeSession, more: asked.More) -> None:
        """A consumer takes more. What it was about may have ended meanwhile."""
        in_flight = self._dealer.in_flight(session, more.kind, more.request)
        flow = self.flows.get(in_flight.id) if in_flight is not None else None
        window = None if flow is None else flow.results if more.kind == CALL else flow.inputs
        if window is None or in_flight is None:
            return
        self._dealer.renew(in_flight)
        link = session._transport
        self._obey(self._room(link).takes(window, more.items, _is_full(link)))

    # ---- links ------------------------------------------------------------------------------------------------------

    def _room(self, link: Any) -> Room:
        if not isinstance(link, Link):
            return Room(DEFAULT_BUDGET)  # a component of the node, which is never full
        room = link.room
        if room is None:
            room = link.room = Room(link.budget)
            link.relieved = partial(self._relieved, room)
        return room

    def _relieved(self, room: Room) -> None:
        self._obey(room.emptied())

    # ---- effects ----------------------------------------------------------------------------------------------------

    def _obey(self, effects: Iterable[Effect]) -> bool:
        """:returns: whether the call that this is about goes on."""
        goes_on = True
        for effect in effects:
            match effect:
                case Promise(window, items):
                    self._promise(window, items)
                case Overrun(window, why):
                    goes_on = False
                    self._end(window.of, why)
        return goes_on

    def _promise(self, window: Window, items: int) -> None:
        flow: Flow = window.of
        in_flight = flow.call
        if window is flow.results:
            self._dealer.send(in_flight.callee, asked.More(INVOCATION, in_flight.id, items))
        else:
            self._dealer.send(in_flight.caller, asked.More(CALL, in_flight.call.request, items))

    def _end(self, flow: Flow, why: str) -> None:
        procedure = flow.call.call.procedure
        error = Overloaded(f"too much was sent that was not asked for: {why}", where=procedure, data={"retry_after": 1})
        self._dealer.give_up(flow.call, error)


def _goes_on(call: message.Call) -> bool:
    return getattr(getattr(call, "terms", None), "progress", False)


def _is_full(link: Any) -> bool:
    return isinstance(link, Link) and link.paused


def size_of(call: message.Call) -> int:
    """Bytes of a call's input as the node holds it."""
    if call.payload is not None:
        return len(call.payload)
    carried = carried_by(call)
    return _size_of(carried, None) if carried.codec is None else len(carried.args) + len(carried.kwargs)


def _size_of(carried: Carried, link: Any) -> int:
    """Bytes of a payload on this link, or more: in another codec than its own it is taken for twice as large.

    Of one that cannot be written it is 0: whoever passes it on will find out.
    """
    if carried.codec is None:
        try:
            return 2 * len(msgspec.msgpack.encode(carried.values()))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return 0
    size = len(carried.args) + len(carried.kwargs)
    return size if getattr(getattr(link, "format", None), "codec", None) is carried.codec else 2 * size


def broken(procedure: str) -> BrokenResult:
    """What a caller is told whose callee sent a progressive result that breaks the contract."""
    return BrokenResult(
        "a progressive result of the callee breaks the contract", where=procedure, advice="its service's log says how"
    )
