"""Keyed calls at the dealer: written before they are executed, executed once, answered to all who ask.

    CALL with a key -> begun is on disk -> the call, as anybody's -> its outcome is on disk -> RESULT or ERROR to all
                       a repeat meanwhile waits, a later one is answered from what is remembered

The call runs in the name of who asked first, and goes on when they have left: whoever comes back with the key gets its
outcome. It ends early when all who waited have cancelled it, and does not begin where nobody waits any more. Errors
that say it never ran are not remembered. A disk that hangs keeps nobody beyond their deadline.

Batches: one commit is under way, and what comes meanwhile is in the next one. The bound is that of the keys.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack.contracts.policy import ONCE
from hopsack.errors import BadRequest, BrokenResult, Canceled, Deadline, RemoteError, StoreFailed, to_wamp
from hopsack_router.keyed.keys import Key, Keys, Outcome, Row, Run, Wait
from hopsack_router.keyed.store import Store
from hopsack_router.routing.deadlines import deadlines
from hopsack_router.streams.lanes import Lane

if TYPE_CHECKING:
    from hopsack_router.routing.dealer import Dealer
    from hopsack_router.routing.session import NodeSession

LOG = Logger()

NEVER_RAN = frozenset(
    f"hopsack.{name}" for name in ("no_callee", "overloaded", "unavailable", "breaker_open", "denied", "invalid")
)
"""Errors of the node's or a callee's that say so."""

OPEN = frozenset(f"hopsack.{name}" for name in ("canceled", "deadline", "outcome_unknown"))
"""Errors after which it may have run. Who waits is told them; who comes later, that nobody knows."""

SWEEP = 1.0
"""How often keys that are past their time are looked for, in seconds."""

GRACE = 0.02
"""Seconds after its deadline when who asked first is told of it here: the dealer knows more of what became of the call,
and tells it at the deadline, unless the disk keeps it from beginning."""

Asker = tuple[Any, int]
"""A session, and its request."""


class InItsName:
    """Who calls, as the dealer sees it: somebody with the first asker's name who takes the answer.

    :param answered: takes RESULT or ERROR.
    """

    _session_roles = None

    def __init__(self, session: NodeSession, answered: Callable[[message.Message], None]) -> None:
        self._session_id, self._authid, self._authrole = session._session_id, session._authid, session._authrole
        self.door, self.agent = session.door, session.agent
        self._transport = self
        self._answered = answered

    def send(self, msg: message.Message) -> None:
        self._answered(msg)


class _Running:
    """A call under way.

    :ivar due: its deadline, seconds of the clock. :ivar caller: who calls, once it is asked.
    :ivar is_given_up: nobody waited for it any more before it was asked, and not because they left.
    """

    __slots__ = ("authorization", "call", "caller", "due", "is_given_up", "session")

    def __init__(self, session: NodeSession, call: message.Call, authorization: dict[str, Any], due: float) -> None:
        self.session, self.call, self.authorization, self.due = session, call, authorization, due
        self.caller: InItsName | None = None
        self.is_given_up = False


class KeyedCalls:
    """The keyed calls of one realm.

    :param clock: ``IReactorTime``; it does not jump. :param wall: tells Unix time.
    """

    def __init__(self, store: Store, lane: Lane, clock: Any, wall: Callable[[], float]) -> None:
        self._store, self._lane, self._clock, self._wall = store, lane, clock, wall
        self._keys = Keys()
        self._waits: dict[Asker, Key] = {}
        self._of: dict[Any, set[int]] = {}
        self._running: dict[Key, _Running] = {}
        self._times = deadlines(clock, self._expire)
        self._timed: dict[Asker, Any] = {}
        self._rows: list[tuple[Row, Callable[[Exception | None], None]]] = []
        self._gone: list[Key] = []
        self._is_busy = False
        self._sweeping: Any = None
        self._closed: Deferred[None] | None = None
        self._dealer: Dealer

    def start(self, longest: float) -> Deferred[None]:
        """Read what is known.

        :param longest: seconds for which any contract remembers a key.
        """
        started: Deferred[None] = Deferred()

        def opened(rows: list[Row] | None, error: Exception | None) -> None:
            if error is not None:
                started.errback(Failure(error))
                return
            self._keys.recover(rows or (), self._clock.seconds(), self._wall(), max(longest, ONCE))
            self._look_later()
            started.callback(None)

        self._lane.run(self._store.open, opened)
        return started

    def serve(self, dealer: Dealer) -> None:
        """Have the calls executed by this dealer."""
        self._dealer = dealer

    def close(self) -> Deferred[None]:
        """Write what waits, and close the store."""
        self._closed = Deferred()
        closed = self._closed
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._times.close()
        self._pump()
        return closed

    # ---- a call comes -----------------------------------------------------------------------------------------------

    def take(
        self, session: NodeSession, call: message.Call, authorization: dict[str, Any], name: str, window: float
    ) -> None:
        """A CALL with a key, which is allowed.

        :param window: seconds for which the key is remembered.
        """
        key = Key(call.procedure, _user(session), name)
        asker = (session, call.request)
        try:
            if call.receive_progress:
                raise BadRequest("a keyed call has one result", where=call.procedure, advice="leave out progress")
            if call.payload is not None:
                raise BadRequest("the input of a keyed call cannot be opaque", where=call.procedure)
            got = self._keys.ask(key, _digest(call), asker, window, self._clock.seconds(), self._wall())
        except RemoteError as error:
            self._refuse(asker, error)
            return
        if isinstance(got, Outcome):
            self._answer(asker, got, call.procedure)
            return
        self._waits[asker] = key
        self._of.setdefault(session, set()).add(call.request)
        seconds = self._dealer.seconds_for(call)
        match got:
            case Run(row):
                self._look_later()
                self._running[key] = _Running(session, call, authorization, self._clock.seconds() + seconds)
                self._timed[asker] = self._times.begin(asker, seconds + GRACE)
                self._write(row, partial(self._begun, key))
            case Wait():
                self._timed[asker] = self._times.begin(asker, seconds)

    def calls_as(self, session: Any) -> bool:
        """Whether this is how a keyed call is executed."""
        return isinstance(session, InItsName)

    def _begun(self, key: Key, error: Exception | None) -> None:
        running = self._running[key]
        if error is not None:
            failure = StoreFailed(f"a keyed call cannot be written: {error}", where=key.procedure)
            self._never_ran(key, Outcome(*to_wamp(failure)))
            return
        left = running.due - self._clock.seconds()
        if not self._keys.is_awaited(key) and (running.is_given_up or left <= 0):
            self._never_ran(key, Outcome(*to_wamp(Canceled("nobody waits for it", where=key.procedure))))
            return
        if left > 0:  # else somebody waits who came later
            running.call.timeout = max(1, round(left * 1000))
        caller = running.caller = InItsName(running.session, partial(self._ended, key))
        self._dealer.route_for(caller, running.call, running.authorization)

    # ---- it ends ----------------------------------------------------------------------------------------------------

    def _ended(self, key: Key, answer: message.Message) -> None:
        if isinstance(answer, message.Error):
            outcome = Outcome(answer.error, answer.args, answer.kwargs)
            code, data = (answer.kwargs or {}).get("code"), (answer.kwargs or {}).get("data")
            if code in NEVER_RAN or (isinstance(data, dict) and data.get("ran") == "no"):
                self._never_ran(key, outcome)
                return
        else:
            outcome = Outcome(None, answer.args, answer.kwargs)
        is_open = _is_open(outcome)
        row = self._keys.ended(key, None if is_open else outcome)
        if row is None or is_open:  # what is on disk says already that nobody knows
            self._tell(key, outcome, None)
        else:
            self._write(row, partial(self._tell, key, outcome))

    def _tell(self, key: Key, outcome: Outcome, error: Exception | None) -> None:
        """The outcome is written. If it could not be, it is told all the same: what stands there is that it began."""
        if error is not None:
            LOG.error("the outcome of a keyed call of {procedure} is not on disk", procedure=key.procedure)
        self._running.pop(key, None)
        for asker in self._keys.take_waiting(key):
            self._settle(asker, outcome, key)

    def _never_ran(self, key: Key, outcome: Outcome) -> None:
        self._running.pop(key, None)
        waiting = self._keys.unasked(key)
        self._gone.append(key)
        for asker in waiting:
            self._settle(asker, outcome, key)
        self._pump()

    def _settle(self, asker: Any, outcome: Outcome, key: Key) -> None:
        if self._forget(asker):
            self._answer(asker, outcome, key.procedure)

    def _forget(self, asker: Asker) -> bool:
        """:returns: whether it waited."""
        lane = self._timed.pop(asker, None)
        if lane is not None:
            lane.end(asker)
        requests = self._of.get(asker[0])
        if requests is not None:
            requests.discard(asker[1])
            if not requests:
                del self._of[asker[0]]
        return self._waits.pop(asker, None) is not None

    def _answer(self, asker: Asker, outcome: Outcome, procedure: str) -> None:
        """Tell one of those who ask. What cannot be sent to one may be what others can read."""
        session, request = asker
        try:
            self._dealer.send(session, _message(request, outcome))
        except PayloadExceededError as error:
            self._refuse(asker, RemoteError(str(error), code="hopsack.too_large", where=procedure))
        except Exception:
            LOG.failure("the outcome of a keyed call of {procedure} cannot be passed on", procedure=procedure)
            self._refuse(asker, BrokenResult(where=procedure, advice="its service sent a payload that cannot be read"))

    def _refuse(self, asker: Asker, error: RemoteError) -> None:
        session, request = asker
        self._dealer.send(session, _message(request, Outcome(*to_wamp(error))))

    # ---- nobody waits any more --------------------------------------------------------------------------------------

    def cancel(self, session: Any, request: int) -> bool:
        """CANCEL. :returns: whether it was about a keyed call."""
        asker = (session, request)
        key = self._waits.get(asker)
        if key is None:
            return False
        is_alone = self._keys.leave(key, asker)
        self._forget(asker)
        self._refuse(asker, Canceled("the caller canceled the call", where=key.procedure))
        running = self._running.get(key)
        if is_alone and running is not None:
            running.is_given_up = True
            if running.caller is not None:
                self._dealer.cancel_for(running.caller, running.call)
        return True

    def _expire(self, asker: Asker, seconds: float) -> None:
        key = self._waits.get(asker)
        if key is None:
            return
        is_alone, running = self._keys.leave(key, asker), self._running.get(key)
        self._forget(asker)
        why = "the first call with this key goes on"
        if running is not None and (running.session, running.call.request) == asker:
            seconds, why = seconds - GRACE, "the node waits for its disk"
            running.is_given_up = is_alone
        facts = f"no answer within {round(seconds * 1000)} ms; {why}"
        self._refuse(asker, Deadline(facts, where=key.procedure, data={"ran": "maybe"}))

    def left(self, session: Any) -> None:
        """A session has ended. What runs in its name goes on."""
        for request in list(self._of.get(session, ())):
            asker = (session, request)
            self._keys.leave(self._waits[asker], asker)
            self._forget(asker)

    def is_concerned(self, session: Any) -> bool:
        """Whether it waits for an outcome."""
        return session in self._of

    @property
    def count(self) -> int:
        """How many wait for one."""
        return len(self._waits)

    # ---- writing ----------------------------------------------------------------------------------------------------

    def _look_later(self) -> None:
        """While there are keys, some are past their time now and then."""
        if self._sweeping is None and self._closed is None and len(self._keys):
            self._sweeping = self._clock.callLater(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        self._gone += self._keys.sweep(self._clock.seconds())
        self._look_later()
        self._pump()

    def _write(self, row: Row, done: Callable[[Exception | None], None]) -> None:
        self._rows.append((row, done))
        self._pump()

    def _pump(self) -> None:
        if self._is_busy:
            return
        if not self._rows and not self._gone:
            self._close_when_idle()
            return
        self._is_busy = True
        batch, self._rows = self._rows, []
        gone, self._gone = self._gone, []
        rows = [row for row, _ in batch]
        self._lane.run(partial(self._store.commit, rows, gone), lambda _, error: self._committed(batch, gone, error))

    def _committed(
        self, batch: list[tuple[Row, Callable[[Exception | None], None]]], gone: list[Key], error: Exception | None
    ) -> None:
        self._is_busy = False
        if error is not None:
            if not isinstance(error, OSError | sqlite3.Error):
                LOG.failure("the store of keyed calls failed in a way it should not", Failure(error))
            self._gone = gone + self._gone
        for _, done in batch:
            done(error)
        if error is None:
            self._pump()
        else:
            self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._closed is None or self._is_busy:
            return
        closed, self._closed = self._closed, None
        self._lane.run(self._store.close, lambda _, error: closed.callback(None))
        self._lane.stop()


def _message(request: int, outcome: Outcome) -> message.Message:
    kind = message.Call.MESSAGE_TYPE
    if outcome.uri is None:
        return message.Result(request, args=outcome.args, kwargs=outcome.kwargs)
    return message.Error(kind, request, outcome.uri, args=outcome.args, kwargs=outcome.kwargs)


def _is_open(outcome: Outcome) -> bool:
    return outcome.uri is not None and (outcome.kwargs or {}).get("code") in OPEN


def _user(session: Any) -> str:
    return "" if session._authrole == "guest" else f"{session._authrole}:{session._authid}"


def _digest(call: message.Call) -> bytes:
    """Of the input, whatever it was encoded with."""
    encoded = msgspec.msgpack.encode((call.args or [], call.kwargs or {}), order="deterministic")
    return hashlib.sha256(encoded).digest()[:16]
