"""Running handlers for calls that came, and turning how they end into answers.

    returned a value         -> the value
    raised a RemoteError     -> that error: declared ones, and those of the one table
    raised anything else     -> hopsack.internal with an incident's name; the traceback stands only in the log here
    was cancelled            -> hopsack.canceled

Bound: ``at_once`` invocations run; one more is refused with :exc:`~hopsack.errors.Overloaded` and the numbers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from hopsack import session as on
from hopsack.binding import Binding
from hopsack.errors import Canceled, Internal, Overloaded, RemoteError, UsageError
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
            task = self._loop.create_task(self._serve(carrier, registration.binding, serve))
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

    async def _serve(self, carrier: Carrier, binding: Binding, serve: on.Serve) -> None:
        outcome = await self._outcome(binding, serve)
        where = serve.caller.procedure
        try:
            carrier.take(outcome)
        except RemoteError as error:
            # Too large: the caller is told, and so is this service's log.
            log.error("the answer of %s cannot be sent: %s", where, error)
            carrier.take(on.Failed(serve.invocation, error))
        except UsageError:
            carrier.take(on.Failed(serve.invocation, self._incident(where)))

    async def _outcome(self, binding: Binding, serve: on.Serve) -> on.Answered | on.Failed:
        where = serve.caller.procedure
        try:
            value = await binding.run(binding.for_call(serve.payload, serve.caller), self._threads)
            return on.Answered(serve.invocation, value)
        except asyncio.CancelledError:
            return on.Failed(serve.invocation, Canceled("the call was cancelled", where=where))
        except RemoteError as error:
            error.where = error.where or where
            return on.Failed(serve.invocation, error)
        except Exception:
            return on.Failed(serve.invocation, self._incident(where))

    def _incident(self, where: str) -> Internal:
        """Log the exception that is being handled, and make the answer that names only its place in the log."""
        name = self._options.incident()
        log.exception("incident %s: %s failed", name, where)
        return Internal(f"the service failed; its log has incident {name}", where=where, data={"incident": name})
