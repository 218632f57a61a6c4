"""What a program asks of the fabric: publish, call, read back; in the same words for connections and services."""

# A timeout is part of what a request promises here, not something a caller puts around it.
# ruff: noqa: ASYNC109

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, overload

from hopsack import session as on
from hopsack.contracts.refs import Procedure, Progressive, Topic
from hopsack.errors import BrokenResult, DeclaredError, UsageError
from hopsack.history import AT_ONCE, READ, History, events_of, page_of, question
from hopsack.iterating import WINDOW, FurtherInputs, Iteration
from hopsack.iterating import Wanted as Calling
from hopsack.privacy import KeyRing
from hopsack.values import read

__all__ = ["LONGEST_KEY", "REPEATABLE", "Make", "Requests", "concrete", "partly"]

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
P = TypeVar("P")


Make = Callable[[on.Ticket, float], on.Input]
"""Makes a request of its ticket and of the seconds that are left for it."""

LONGEST_KEY = 64
"""Characters of the key of a publication or call."""

REPEATABLE = 110.0
"""Seconds in which what has a key is sent again: the node knows the key of a publication for 120 s."""


class Requests(ABC):
    """Publish, call, read back. Topics and procedures are URIs, or the generated constants, which know their types."""

    @abstractmethod
    async def _request(
        self, make: Make, where: str, timeout: float | None, *, repeatable: float = 0.0, is_call: bool = False
    ) -> Any:
        """Send what ``make`` makes of a ticket, and wait for its outcome.

        :param repeatable: seconds in which it may be sent again, where a lost link has left its outcome open.
        :param is_call: it may take no longer than what is left for the call that is being served (:mod:`hopsack.due`).
        """

    @property
    def keyring(self) -> KeyRing | None:
        """Seals what is published to topics that it has keys of, and opens what is read of them."""
        return None

    @abstractmethod
    def _tell(self, event: on.PublishRequested) -> None:
        """Publish without acknowledgement."""

    @abstractmethod
    def _iterate(self, wanted: Calling, timeout: float | None) -> Iteration[Any, Any]:
        """A call that has not begun."""

    @overload
    async def publish(
        self,
        topic: Topic[T],
        data: T,
        *,
        key: str | None = None,
        acknowledge: bool = True,
        timeout: float | None = None,
        **params: str,
    ) -> on.Published | None: ...
    @overload
    async def publish(
        self,
        topic: str,
        data: Any = None,
        *,
        key: str | None = None,
        acknowledge: bool = True,
        timeout: float | None = None,
        **params: str,
    ) -> on.Published | None: ...
    async def publish(
        self,
        topic: str | Topic[Any],
        data: Any = None,
        *,
        key: str | None = None,
        acknowledge: bool = True,
        timeout: float | None = None,
        **params: str,
    ) -> on.Published | None:
        """Publish an event.

        :param key: names this event, in 1 to 64 characters: of several with one name the stream takes the first, for
            120 s. With a key, an event whose outcome a lost connection left open is sent again.
        :param acknowledge: wait until the node has accepted it. Without, a refusal is only seen in the node's log.
        :param timeout: seconds, waiting for a connection included.
        :param params: the components that are open in the topic.
        :returns: what the node says of it; ``None`` if it is not acknowledged.
        :raises RemoteError: the node refuses it, with the reason, the field and what to do.
        :raises Disconnected: not sent. :raises OutcomeUnknown: sent, and the connection was lost before the answer.
        """
        return await self._publish(concrete(topic, params), data, key, acknowledge, timeout, delete=False)

    async def delete(
        self,
        topic: str | Topic[Any],
        fields: dict[str, Any],
        *,
        key: str | None = None,
        acknowledge: bool = True,
        timeout: float | None = None,
        **params: str,
    ) -> on.Published | None:
        """Delete a key of a ``latest`` topic.

        :param fields: the fields that make the key, with their values.
        :param key: names this deletion, as :meth:`publish` says. Everything else is as there, too.
        """
        return await self._publish(concrete(topic, params), fields, key, acknowledge, timeout, delete=True)

    async def _publish(
        self, uri: str, data: Any, key: str | None, acknowledge: bool, timeout: float | None, *, delete: bool
    ) -> on.Published | None:
        _check_key(uri, key)
        if self.keyring is not None and not delete:
            data = self.keyring.seal(uri, data)
        if not acknowledge:
            self._tell(on.PublishRequested(None, uri, data, key, delete))
            return None
        told = await self._request(
            lambda ticket, _: on.PublishRequested(ticket, uri, data, key, delete),
            uri,
            timeout,
            repeatable=0.0 if key is None else REPEATABLE,
        )
        return told if isinstance(told, on.Published) else on.Published(publication=told)

    async def history(
        self,
        topic: str | Topic[T],
        *,
        last: int | None = None,
        since: float | datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
        type: Any = None,
        timeout: float | None = None,
        **params: str,
    ) -> History[Any]:
        """Read back what a stream keeps: the ``last`` so many events, those ``since`` a time, or those ``after`` one.

        :param since: Unix seconds, or a datetime with its zone.
        :param after: the position of an event.
        :param limit: events at most; 1,000 if it is not given.
        :param type: of the payloads; a :class:`~hopsack.contracts.refs.Topic` knows it by itself.
        :param timeout: seconds for each of the node's pages.
        :raises RemoteError: it is no stream, or this role may not read it.
        """
        uri = concrete(topic, params)
        type_ = type if type is not None else getattr(topic, "payload", None)
        query = question(uri, last, since, after)
        left = limit or last or AT_ONCE
        events: list[on.Event[Any]] = []
        position, reason = after, None
        while True:
            ask = partial(_asking, query | {"limit": min(left, AT_ONCE)})
            payload = await self._request(ask, READ, timeout, is_call=True)
            page = page_of(uri, payload)
            events += events_of(page, type_, self.keyring)
            left -= len(page.events)
            position = str(page.position) if page.position is not None else position
            # Where there is nothing to go on from, there is nothing to recover: then it says no reason.
            reason = reason or (None if page.recovered else page.reason)
            is_over = page.end or not page.events
            if is_over or left <= 0 or position is None:
                return History(tuple(events), position, reason is None, reason, is_over)
            query = question(uri, after=position)

    @overload
    async def call(
        self,
        procedure: Procedure[I, O],
        input: I | None = None,
        *,
        timeout: float | None = None,
        key: str | None = None,
        wait: float | None = None,
        retry: int | None = None,
        queue: bool | None = None,
        breaker: bool | None = None,
        **params: str,
    ) -> O: ...
    @overload
    async def call(
        self,
        procedure: str,
        input: Any = None,
        *,
        returns: type[T],
        timeout: float | None = None,
        key: str | None = None,
        wait: float | None = None,
        retry: int | None = None,
        queue: bool | None = None,
        breaker: bool | None = None,
        **params: str,
    ) -> T: ...
    @overload
    async def call(
        self,
        procedure: str,
        input: Any = None,
        *,
        returns: Any = None,
        timeout: float | None = None,
        key: str | None = None,
        wait: float | None = None,
        retry: int | None = None,
        queue: bool | None = None,
        breaker: bool | None = None,
        **params: str,
    ) -> Any: ...
    async def call(
        self,
        procedure: str | Procedure[Any, Any],
        input: Any = None,
        *,
        returns: Any = None,
        timeout: float | None = None,
        key: str | None = None,
        wait: float | None = None,
        retry: int | None = None,
        queue: bool | None = None,
        breaker: bool | None = None,
        **params: str,
    ) -> Any:
        """Call a procedure and wait for its result.

        :param returns: type of the result; a :class:`~hopsack.contracts.refs.Procedure` knows it by itself, and the
            classes of the errors that its contract declares.
        :param timeout: seconds, waiting for a connection included; then the call is cancelled. In a handler it is no
            longer than what is left for the call that is being served: :func:`hopsack.remaining`.
        :param key: names this call, in 1 to 64 characters: however often it comes, it is executed once, and a repeat
            gets the outcome of the first.
        :param wait: seconds to wait for somebody who serves it, where nobody does; else what the contract says.
        :param retry: how often the node tries an idempotent procedure again; else what the contract says.
        :param queue: ``False``: do not wait where all who serve it are busy.
        :param breaker: ``False``: ask also whom the breaker keeps from calls; for services and operators.
        :param params: the components that are open in the procedure's URI; one that is called as an option of this
            method is filled in by :meth:`hopsack.Procedure.at`.
        :raises RemoteError: refused, failed, or :exc:`~hopsack.errors.Deadline`.
        :raises Disconnected: not sent. :raises OutcomeUnknown: it may have run. Where the connection was lost, a call
            that has a key or is idempotent is sent again first, until its time is over.
        """
        uri = concrete(procedure, params)
        _check_key(uri, key)
        terms = None
        if not (key is None and wait is None and retry is None and queue is None and breaker is None):
            terms = on.Terms(key, None if wait is None else round(wait * 1000), retry, queue, breaker)
        repeatable = 0.0 if key is None else REPEATABLE
        if isinstance(procedure, Procedure) and procedure.idempotent:
            repeatable = math.inf
        type_ = procedure.output if isinstance(procedure, Procedure) and returns is None else returns
        try:
            payload = await self._request(
                lambda ticket, left: on.CallRequested(ticket, uri, input, left, terms),
                uri,
                timeout,
                repeatable=repeatable,
                is_call=True,
            )
        except DeclaredError as error:
            raise _as_declared(error, procedure) from None
        return read(payload, type_, where=uri, error=BrokenResult)

    @overload
    def iterate(
        self,
        procedure: Progressive[I, P, O],
        input: I | None = None,
        *,
        inputs: FurtherInputs | None = None,
        window: int = WINDOW,
        timeout: float | None = None,
        wait: float | None = None,
        queue: bool | None = None,
        **params: str,
    ) -> Iteration[P, O]: ...
    @overload
    def iterate(
        self,
        procedure: str | Procedure[Any, Any],
        input: Any = None,
        *,
        inputs: FurtherInputs | None = None,
        type: Any = None,
        returns: Any = None,
        window: int = WINDOW,
        timeout: float | None = None,
        wait: float | None = None,
        queue: bool | None = None,
        **params: str,
    ) -> Iteration[Any, Any]: ...
    def iterate(
        self,
        procedure: str | Procedure[Any, Any],
        input: Any = None,
        *,
        inputs: FurtherInputs | None = None,
        type: Any = None,
        returns: Any = None,
        window: int = WINDOW,
        timeout: float | None = None,
        wait: float | None = None,
        queue: bool | None = None,
        **params: str,
    ) -> Iteration[Any, Any]:
        """Call a procedure that answers piece by piece: an iterator of its progressive results.

        The call begins with the iteration, or with ``async with``. Leaving either cancels it. Nothing is tried again.

        :param inputs: those that follow the first, as the callee takes them.
        :param type: of the progressive results; a :class:`~hopsack.contracts.refs.Progressive` knows it by itself.
        :param returns: type of the last result, likewise.
        :param window: progressive results that may wait here; the callee waits while there are so many.
        :param timeout: seconds that nothing may come, waiting for a connection included.
        :param wait: as in :meth:`call`. :param queue: as in :meth:`call`.
        :raises RemoteError: (the iteration) as :meth:`call`.
        """
        if window < 1:
            raise UsageError(f"{procedure}: a window of {window} lets nothing through")
        terms = None
        if not (wait is None and queue is None):
            terms = on.Terms(None, None if wait is None else round(wait * 1000), None, queue)
        of_progress, of_result = (getattr(procedure, name, None) for name in ("progress", "output"))
        wanted = Calling(
            uri=concrete(procedure, params),
            input=input,
            inputs=inputs,
            window=window,
            terms=terms,
            progress_type=of_progress if type is None else type,
            result_type=of_result if returns is None else returns,
            declared=lambda error: _as_declared(error, procedure),
        )
        return self._iterate(wanted, timeout)


def _check_key(uri: str, key: str | None) -> None:
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise UsageError(f"{uri}: a key has 1 to {LONGEST_KEY} characters, this one {len(key)}")


def _asking(query: dict[str, Any], ticket: on.Ticket, left: float) -> on.Input:
    return on.CallRequested(ticket, READ, query, left)


def concrete(uri: str | Topic[Any] | Procedure[Any, Any], params: dict[str, str]) -> str:
    """The URI with its open components filled in.

    :raises UsageError: one is missing, unknown, or not a component of a URI.
    """
    text = uri if isinstance(uri, str) else uri.uri
    if not params and "{" not in text:
        return text
    ref = Topic[Any](uri) if isinstance(uri, str) else uri
    return ref.at(**params).uri


def _as_declared(error: DeclaredError, procedure: str | Procedure[Any, Any]) -> DeclaredError:
    """The error in the class that the generated module has for it, so that ``except HostUnknown`` catches it."""
    if isinstance(procedure, Procedure):
        for cls in procedure.errors:
            if error.code == cls.CODE:
                return cls(error.message, where=error.where, path=error.path, advice=error.advice, data=error.data)
    return error


def partly(uri: str | Topic[Any] | Procedure[Any, Any], params: dict[str, str]) -> str:
    """A URI for a pattern: with parameters given it is concrete, without any they stay open."""
    return concrete(uri, params) if params else str(uri)
