"""What a program asks of the fabric: publish and call, in the same words for connections and services."""

# A timeout is part of what a request promises here, not something a caller puts around it.
# ruff: noqa: ASYNC109

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, overload

from hopsack import session as on
from hopsack.contracts.refs import Procedure, Topic
from hopsack.errors import BrokenResult, DeclaredError
from hopsack.values import read

__all__ = ["Requests", "concrete", "partly"]

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class Requests(ABC):
    """Publish and call. Topics and procedures are URIs, or the generated constants, which know their types."""

    @abstractmethod
    async def _request(self, make: Callable[[on.Ticket], on.Input], where: str, timeout: float | None) -> Any:
        """Send what ``make`` makes of a ticket, and wait for its outcome."""

    @abstractmethod
    def _tell(self, uri: str, data: Any) -> None:
        """Publish without acknowledgement."""

    @overload
    async def publish(
        self, topic: Topic[T], data: T, *, acknowledge: bool = True, timeout: float | None = None, **params: str
    ) -> None: ...
    @overload
    async def publish(
        self, topic: str, data: Any = None, *, acknowledge: bool = True, timeout: float | None = None, **params: str
    ) -> None: ...
    async def publish(
        self,
        topic: str | Topic[Any],
        data: Any = None,
        *,
        acknowledge: bool = True,
        timeout: float | None = None,
        **params: str,
    ) -> None:
        """Publish an event.

        :param acknowledge: wait until the node has accepted it. Without, a refusal is only seen in the node's log.
        :param timeout: seconds, waiting for a connection included.
        :param params: the components that are open in the topic.
        :raises RemoteError: the node refuses it, with the reason, the field and what to do.
        :raises Disconnected: not sent. :raises OutcomeUnknown: sent, and the connection was lost before the answer.
        """
        uri = concrete(topic, params)
        if acknowledge:
            await self._request(lambda ticket: on.PublishRequested(ticket, uri, data), uri, timeout)
            return
        self._tell(uri, data)

    @overload
    async def call(
        self,
        procedure: Procedure[I, O],
        input: I | None = None,
        *,
        timeout: float | None = None,
        **params: str,
    ) -> O: ...
    @overload
    async def call(
        self, procedure: str, input: Any = None, *, returns: type[T], timeout: float | None = None, **params: str
    ) -> T: ...
    @overload
    async def call(
        self, procedure: str, input: Any = None, *, returns: Any = None, timeout: float | None = None, **params: str
    ) -> Any: ...
    async def call(
        self,
        procedure: str | Procedure[Any, Any],
        input: Any = None,
        *,
        returns: Any = None,
        timeout: float | None = None,
        **params: str,
    ) -> Any:
        """Call a procedure and wait for its result.

        :param returns: type of the result; a :class:`~hopsack.contracts.refs.Procedure` knows it by itself, and the
            classes of the errors that its contract declares.
        :param timeout: seconds, waiting for a connection included; then the call is cancelled.
        :param params: the components that are open in the procedure's URI.
        :raises RemoteError: refused, failed, or :exc:`~hopsack.errors.Deadline`.
        :raises Disconnected: not sent. :raises OutcomeUnknown: sent, and the connection was lost before the answer.
        """
        uri = concrete(procedure, params)
        type_ = procedure.output if isinstance(procedure, Procedure) and returns is None else returns
        try:
            payload = await self._request(lambda ticket: on.CallRequested(ticket, uri, input), uri, timeout)
        except DeclaredError as error:
            raise _as_declared(error, procedure) from None
        return read(payload, type_, where=uri, error=BrokenResult)


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
