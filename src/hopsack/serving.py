"""Running handlers for calls that came, and turning how they end into answers.

    returned a value         -> the value
    raised a RemoteError     -> that error: declared ones, and those of the one table
    raised an undeclared one -> as anything else, where a typed procedure says what is declared
    raised anything else     -> hopsack.internal with an incident's name; the traceback stands only in the log here
    was cancelled            -> hopsack.canceled
    was late before it began -> hopsack.deadline, and it never begins

Calls that come together begin in one task, one after the other, each in a context of its own. Most are answered without
waiting for anything, and a task for each would cost more than all else. The first that has to wait keeps the task, for
itself alone and to its end: nothing that it awaits can tell the difference. Those behind it begin in another task.
(docs/decisions/0011; asyncio's eager tasks would do the same, but Python 3.11 has none.)

Bound: ``at_once`` invocations are in hand; one more is refused with :exc:`~hopsack.errors.Overloaded` and the numbers.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections import deque
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from functools import partial
from typing import Any

from hopsack import session as on
from hopsack.due import DUE, GIVEN_UP, Due, late
from hopsack.errors import ERRORS, Canceled, DeclaredError, Internal, Overloaded, RemoteError, UsageError
from hopsack.link import Carrier
from hopsack.options import Options
from hopsack.progress import Pieces
from hopsack.session import gone
from hopsack.standing import Registration
from hopsack.threads import ThreadsLike

__all__ = ["Serving"]

log = logging.getLogger("hopsack")

RETRY_AFTER = 1.0
"""Seconds after which a caller may try a service again that has too much in hand."""


class _Job:
    """One invocation in hand. ``task`` runs it, once it has begun; ``pieces`` flow, if any may."""

    __slots__ = ("carrier", "due", "pieces", "registration", "serve", "task")

    def __init__(self, serve: on.Serve, registration: Registration, carrier: Carrier, due: Due) -> None:
        self.serve = serve
        self.registration = registration
        self.carrier = carrier
        self.due = due
        self.pieces = Pieces(serve, carrier, due) if registration.binding.flows else None
        self.task: asyncio.Task[None] | None = None


class Serving:
    """The invocations in hand.

    :ivar tasks: those that run them, or are about to. :ivar in_hand: how many there are.
    """

    def __init__(self, options: Options, threads: ThreadsLike) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._options = options
        self._threads = threads
        self._queue: deque[_Job] = deque()
        self.in_hand = 0
        self._by_number: dict[int, _Job] = {}
        self._is_begun = False
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time

    def begin(self, serve: on.Serve, registration: Registration | None, carrier: Carrier) -> None:
        if registration is None:
            where = serve.caller.procedure
            carrier.take(on.Failed(serve.invocation, gone(where)))
        elif self.in_hand >= self._options.at_once:
            refusal = Overloaded(
                f"{self.in_hand} calls run in this service, and the limit is {self._options.at_once}",
                where=serve.caller.procedure,
                advice="try again later, or run more instances of the service",
                data={"ran": "no", "retry_after": RETRY_AFTER},
            )
            carrier.take(on.Failed(serve.invocation, refusal))
        else:
            due = Due(None if serve.timeout is None else self._now() + serve.timeout, self._now)
            job = _Job(serve, registration, carrier, due)
            self.in_hand += 1
            self._by_number[serve.invocation] = job
            self._queue.append(job)
            self._go_on()

    def interrupt(self, invocation: int) -> None:
        """Nobody waits for this one any more."""
        job = self._by_number.get(invocation)
        if job is None:
            return
        job.due.at = GIVEN_UP
        if job.task is not None:
            job.task.cancel()
        else:
            self._queue.remove(job)
            self._answer(job, on.Failed(invocation, _canceled(job.serve.caller.procedure)))
            self._done(job)

    def lost(self) -> None:
        """The numbers belong to a link that is gone.

        The handlers run on: their callers have been told by the node, and half a job is worse than one for nobody.
        Those that give or take piece by piece cannot: they are told at the next one.
        """
        for job in self._by_number.values():
            if job.pieces is not None:
                job.pieces.lost()
        self._by_number.clear()

    # ---- pieces ------------------------------------------------------------------------------------------------------

    def pieces_of(self, invocation: int) -> Pieces | None:
        """What flows for an invocation; ``None``: nothing does, or it has been answered."""
        job = self._by_number.get(invocation)
        return None if job is None else job.pieces

    # ---- tasks -------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """See to it that a task begins what is in the queue."""
        if self._queue and not self._is_begun:
            self._is_begun = True
            self.tasks.add(self._loop.create_task(self._run()))

    async def _run(self) -> None:
        """Begin one job after the other, up to the first that waits."""
        task = asyncio.current_task()
        assert task is not None
        has_waited = False
        try:
            while self._queue and not has_waited and not task.cancelling():
                job = self._queue.popleft()
                job.task = task
                try:
                    has_waited = await self._until_it_waits(self._serve(job))
                finally:
                    self._done(job)
        finally:
            self.tasks.discard(task)
            if not has_waited:
                self._is_begun = False
                self._go_on()

    @types.coroutine
    def _until_it_waits(self, job: Coroutine[Any, Any, None]) -> Generator[Any, Any, bool]:
        """Run a job to its end. Returns whether it waited, and others therefore go on in another task."""
        step = copy_context().run
        try:
            yielded = step(job.send, None)
        except StopIteration:
            return False
        self._is_begun = False
        self._go_on()
        while True:
            try:
                sent = yield yielded
            except GeneratorExit:
                job.close()
                raise
            except BaseException as thrown:
                go = partial(job.throw, thrown)
            else:
                go = partial(job.send, sent)
            try:
                yielded = step(go)
            except StopIteration:
                return True

    def _done(self, job: _Job) -> None:
        self.in_hand -= 1
        if self._by_number.get(job.serve.invocation) is job:
            del self._by_number[job.serve.invocation]

    # ---- one job -----------------------------------------------------------------------------------------------------

    async def _serve(self, job: _Job) -> None:
        due, tally, begun = job.due, job.registration.tally, self._now()
        DUE.set(due)
        outcome: on.Answered | on.Failed
        if due.at is not None and due.at <= begun:
            outcome = on.Failed(job.serve.invocation, late(job.serve.caller.procedure))
        else:
            outcome = await self._outcome(job.registration, job.serve, job.pieces)
        tally.requests += 1
        tally.seconds += self._now() - begun
        if type(outcome) is on.Failed:
            tally.failed(outcome.error)
        self._answer(job, outcome)
        if due.at != GIVEN_UP or job.registration.binding.runs != "thread":
            due.at = None  # A thread that nobody waits for runs on, and may ask.

    def _answer(self, job: _Job, outcome: on.Answered | on.Failed) -> None:
        where = job.serve.caller.procedure
        try:
            job.carrier.take(outcome)
        except RemoteError as error:
            # Too large: the caller is told, and so is this service's log.
            log.error("the answer of %s cannot be sent: %s", where, error)
            job.carrier.take(on.Failed(job.serve.invocation, error))
        except UsageError:
            job.carrier.take(on.Failed(job.serve.invocation, self._incident(where)))

    async def _outcome(
        self, registration: Registration, serve: on.Serve, pieces: Pieces | None
    ) -> on.Answered | on.Failed:
        where, binding = serve.caller.procedure, registration.binding
        try:
            value = await binding.run(binding.for_call(serve.payload, serve.caller, pieces), self._threads, pieces)
            return on.Answered(serve.invocation, value)
        except asyncio.CancelledError:
            return on.Failed(serve.invocation, _canceled(where))
        except RemoteError as error:
            error.where = error.where or where
            return on.Failed(serve.invocation, self._declared(registration, error, where))
        except Exception:
            if pieces is not None and pieces.is_lost:
                return on.Failed(serve.invocation, _canceled(where))
            return on.Failed(serve.invocation, self._incident(where))

    def _declared(self, registration: Registration, error: RemoteError, where: str) -> RemoteError:
        """The error that is being handled, if it may be the answer.

        A procedure that is served by its URI alone does not know its contract: there the node decides, and the
        traceback is logged for those who look.
        """
        if error.where != where and error.data.get("ran") == "no":
            error.data["ran"] = "maybe"  # what was not run is a call of the handler's, which has run up to there
        is_ours = error.code in ERRORS and error.code != DeclaredError.CODE
        if not is_ours and registration.errors is None:
            log.debug("%s answers with %s", where, error.code, exc_info=error)
        elif not is_ours and error.code not in (registration.errors or ()):
            return self._incident(where, f"raised {error.code}, which its contract does not declare")
        return error

    def _incident(self, where: str, what: str = "failed") -> Internal:
        """Log the exception that is being handled, and make the answer that names only its place in the log."""
        name = self._options.incident()
        log.exception("incident %s: %s %s", name, where, what)
        return Internal(f"the service failed; its log has incident {name}", where=where, data={"incident": name})


def _canceled(where: str) -> Canceled:
    return Canceled("the call was cancelled", where=where)
