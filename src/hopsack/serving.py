"""Running handlers for calls that came, and turning how they end into answers.

    returned a value         -> the value
    raised a RemoteError     -> that error: declared ones, and those of the one table
    raised an undeclared one -> as anything else, where a typed procedure says what is declared
    raised anything else     -> hopsack.internal with an incident's name; the traceback stands only in the log here
    was cancelled            -> hopsack.canceled

Bound: ``at_once`` invocations run; one more is refused with :exc:`~hopsack.errors.Overloaded` and the numbers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from hopsack import session as on
from hopsack.errors import ERRORS, Canceled, DeclaredError, Internal, Overloaded, RemoteError, UsageError
from hopsack.link import Carrier
from hopsack.options import Options
from hopsack.standing import Registration
from hopsack.threads import ThreadsLike

__all__ = ["Serving"]

log = logging.getLogger("hopsack")


class Serving:
    """The invocations that run."""

    def __init__(self, options: Options, threads: ThreadsLike) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._options = options
        self._threads = threads
        self._by_number: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()

    def begin(self, serve: on.Serve, registration: Registration | None, carrier: Carrier) -> None:
        where = serve.caller.procedure
        if registration is None:
            carrier.take(on.Failed(serve.invocation, Internal("nothing serves this here any more", where=where)))
        elif len(self.tasks) >= self._options.at_once:
            refusal = Overloaded(
                f"{len(self.tasks)} calls run in this service, and the limit is {self._options.at_once}",
                where=where,
                advice="try again later, or run more instances of the service",
            )
            carrier.take(on.Failed(serve.invocation, refusal))
        else:
            task = self._loop.create_task(self._serve(carrier, registration, serve))
            self.tasks.add(task)
            self._by_number[serve.invocation] = task
            task.add_done_callback(partial(self._done, serve.invocation))

    def interrupt(self, invocation: int) -> None:
        """Nobody waits for this one any more."""
        task = self._by_number.get(invocation)
        if task is not None:
            task.cancel()

    def lost(self) -> None:
        """The numbers belong to a link that is gone.

        The handlers run on: their callers have been told by the node, and half a job is worse than one for nobody.
        """
        self._by_number.clear()

    def _done(self, invocation: int, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if self._by_number.get(invocation) is task:
            del self._by_number[invocation]

    async def _serve(self, carrier: Carrier, registration: Registration, serve: on.Serve) -> None:
        outcome = await self._outcome(registration, serve)
        where = serve.caller.procedure
        try:
            carrier.take(outcome)
        except RemoteError as error:
            # Too large: the caller is told, and so is this service's log.
            log.error("the answer of %s cannot be sent: %s", where, error)
            carrier.take(on.Failed(serve.invocation, error))
        except UsageError:
            carrier.take(on.Failed(serve.invocation, self._incident(where)))

    async def _outcome(self, registration: Registration, serve: on.Serve) -> on.Answered | on.Failed:
        where, binding = serve.caller.procedure, registration.binding
        try:
            value = await binding.run(binding.for_call(serve.payload, serve.caller), self._threads)
            return on.Answered(serve.invocation, value)
        except asyncio.CancelledError:
            return on.Failed(serve.invocation, Canceled("the call was cancelled", where=where))
        except RemoteError as error:
            error.where = error.where or where
            return on.Failed(serve.invocation, self._declared(registration, error, where))
        except Exception:
            return on.Failed(serve.invocation, self._incident(where))

    def _declared(self, registration: Registration, error: RemoteError, where: str) -> RemoteError:
        """The error that is being handled, if it may be the answer.

        A procedure that is served by its URI alone does not know its contract: there the node decides, and the
        traceback is logged for those who look.
        """
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
