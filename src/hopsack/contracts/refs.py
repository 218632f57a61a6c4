"""Names of topics and procedures that know their types, so that a type checker follows a payload from end to end.

The generated module has one constant for each contract::

    HOST_METRICS: Topic[HostSample] = Topic("host.metrics", HostSample)
    await self.publish(HOST_METRICS, sample)

A URI with parameters is filled in by ``at``: ``WATCH_CHANGED.at(root="src")``. Light on purpose: services import this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from hopsack.errors import DeclaredError, UsageError

T = TypeVar("T")
I = TypeVar("I", contravariant=True)  # noqa: E741 (input and output, as in every signature that has both)
O = TypeVar("O", covariant=True)  # noqa: E741
P = TypeVar("P", covariant=True)


@dataclass(frozen=True)  # no slots: typing writes to the instances that Topic[X](…) makes
class Topic(Generic[T]):
    """A topic's URI and the type of what it carries.

    :ivar uri: as declared, or concrete after :meth:`at`.
    :ivar payload: what msgspec converts an event to: a class or a type expression.
    :ivar latest: the fields that tell its newest values apart, ``()`` where there is one; ``None``: none are kept.
    """

    uri: str
    payload: Any = None
    latest: tuple[str, ...] | None = None

    @property
    def params(self) -> tuple[str, ...]:
        """The parameters that are still open."""
        return _parameters(self.uri)

    def at(self, **params: str) -> Topic[T]:
        """The concrete topic.

        :raise UsageError: a parameter is missing, unknown, or not one component of a URI.
        """
        return replace(self, uri=_filled(self.uri, params))

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)  # no slots: typing writes to the instances that Topic[X](…) makes
class Procedure(Generic[I, O]):
    """A procedure's URI and the types of what goes in and comes out.

    :ivar input: what msgspec converts an input to; ``None``: it takes none. :ivar output: likewise.
    :ivar errors: the exception classes of the errors that it declares.
    :ivar idempotent: a call whose outcome is not known may be tried again.
    """

    uri: str
    input: Any = None
    output: Any = None
    errors: tuple[type[DeclaredError], ...] = ()
    idempotent: bool = False

    @property
    def params(self) -> tuple[str, ...]:
        """The parameters that are still open."""
        return _parameters(self.uri)

    def at(self, **params: str) -> Self:
        """The concrete procedure.

        :raise UsageError: a parameter is missing, unknown, or not one component of a URI.
        """
        return replace(self, uri=_filled(self.uri, params))

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True)
class Progressive(Procedure[I, O], Generic[I, P, O]):
    """A procedure that answers or asks piece by piece.

    :ivar progress: what msgspec converts a progressive result to.
    :ivar inputs: what it converts an input that follows the first to; ``None``: none follows.
    """

    progress: Any = None
    inputs: Any = None


def _parameters(uri: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in uri.split(".") if part.startswith("{"))


def _filled(uri: str, params: dict[str, str]) -> str:
    names = _parameters(uri)
    if set(names) != set(params):
        wanted = ", ".join(f"{name}=…" for name in names) or "no parameters"
        given = ", ".join(sorted(params)) or "none"
        raise UsageError(f"{uri} takes {wanted}; given: {given}")
    for name, value in params.items():
        if not value or any(character in ".#{}" or character.isspace() for character in value):
            raise UsageError(f"{name}={value!r} is not one component of a URI: no dots, spaces, #, braces; not empty")
    return ".".join(params[part[1:-1]] if part.startswith("{") else part for part in uri.split("."))
