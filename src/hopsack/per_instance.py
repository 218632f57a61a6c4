"""Decorators that keep something between calls: for a function once, for a method once for each instance."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from hopsack.errors import UsageError

__all__ = ["PerInstance", "is_inline_callbacks", "name_of"]

P = ParamSpec("P")
R = TypeVar("R")


class PerInstance(Generic[P, R]):
    """Stands in a module in place of a function, or in a class in place of a method.

    What ``make`` returns is a plain function, so that whoever looks at it (:mod:`hopsack.binding` does) sees the kind
    and the signature of the one that it stands for. It is kept in the instance, and goes with it.

    :param make: of a function, or of a method that is bound already, what is called in its place.
    """

    def __init__(self, function: Callable[P, R], make: Callable[[Callable[..., Any]], Callable[..., R]]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._make = make
        self._name = getattr(function, "__name__", "function")

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @functools.cached_property
    def _alone(self) -> Callable[..., R]:
        return self._make(self._function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._alone(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> PerInstance[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Any: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        made = self._make(self._function.__get__(instance, owner))
        try:
            vars(instance)[self._name] = made  # found there from now on: this is no data descriptor
        except TypeError:
            raise UsageError(f"{owner.__name__} has __slots__: there is no room for what {self._name} keeps") from None
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._alone, name)


def is_inline_callbacks(function: Callable[..., Any]) -> bool:
    """Whether it is a generator under ``@inlineCallbacks``, whose callers expect a Deferred."""
    return inspect.isgeneratorfunction(inspect.unwrap(function)) and not inspect.isgeneratorfunction(function)


def name_of(function: Callable[..., Any]) -> str:
    """For messages."""
    return getattr(function, "__qualname__", repr(function))
