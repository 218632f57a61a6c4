"""What a handler wants, read from its signature once, and how it is run.

    async def on_change(self, change: Change, root: str, event: Event) -> None
                              |               |          `-- injected: annotated with Event (or Caller)
                              |               `-- injected: {root} in the URI it is bound to
                              `-- the payload, converted to its annotation

The payload's parameter is the first that is not injected; a handler may have none. The function may be a coroutine
function, one decorated with ``@inlineCallbacks``, or a plain one, which then runs in a thread unless it was declared
``inline``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hopsack.bridge import bridged, drive, is_deferred
from hopsack.errors import UsageError
from hopsack.session import Caller, Event, Payload, Publication
from hopsack.threads import ThreadsLike
from hopsack.values import read

__all__ = ["Binding", "Pattern"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A URI as a handler is bound to it.

    :ivar uri: what is subscribed or registered: ``{name}`` components are empty, which is WAMP's wildcard.
    :ivar match: how ``uri`` matches.
    :ivar names: position of each named component.
    """

    uri: str
    match: Literal["exact", "prefix", "wildcard"]
    names: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, uri: str, match: Literal["exact", "prefix", "wildcard"] = "exact") -> Pattern:
        """:raises UsageError: a named component together with a prefix."""
        parts = uri.split(".")
        names = tuple((at, part[1:-1]) for at, part in enumerate(parts) if part.startswith("{") and part.endswith("}"))
        if not names:
            return cls(uri, match)
        if match == "prefix":
            raise UsageError(f"{uri}: a prefix has no named components; leave out match='prefix'")
        named = dict(names)
        return cls(".".join("" if at in named else part for at, part in enumerate(parts)), "wildcard", names)

    def bound(self, uri: str) -> dict[str, str]:
        """The named components of a concrete URI."""
        if not self.names:
            return {}
        parts = uri.split(".")
        return {name: parts[at] for at, name in self.names if at < len(parts)}


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler and what it is given.

    :ivar input: name of the parameter that takes the payload, if there is one.
    :ivar type: what the payload is converted to: for the parameter that takes it, and for ``Event.data``.
    :ivar facts: name of the parameter that takes the :class:`Caller` or :class:`Event`, if there is one.
    :ivar names: parameters that take components of the URI.
    :ivar runs: where the function runs.
    """

    function: Callable[..., Any]
    pattern: Pattern
    input: str | None
    type: Any
    facts: str | None
    names: frozenset[str]
    runs: Literal["loop", "thread"]

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        pattern: Pattern,
        *,
        facts: type[Caller] | type[Event[Any]],
        declared: Any = None,
        inline: bool = False,
    ) -> Binding:
        """Read a signature.

        :param facts: the class whose annotation asks for the facts of the call or event.
        :param declared: the payload's type where the signature does not tell it: neither the annotation of the
            parameter that takes it, nor ``Event[T]``.
        :raises UsageError: the signature cannot be filled; the message says which parameter.
        """
        hints = _hints(function)
        named = {name for _, name in pattern.names}
        inputs: list[inspect.Parameter] = []
        facts_name, of_facts = None, declared
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name)
            if hint is facts or get_origin(hint) is facts:
                facts_name = parameter.name
                of_facts = next(iter(get_args(hint)), declared)
            elif parameter.name in named:
                _check_text(function, parameter.name, hint)
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                inputs.append(parameter)
        _check_inputs(function, inputs, facts)
        parameters = inspect.signature(function).parameters
        return cls(
            function=function,
            pattern=pattern,
            input=inputs[0].name if inputs else None,
            type=hints.get(inputs[0].name, of_facts) if inputs else of_facts,
            facts=facts_name,
            names=frozenset(named & parameters.keys()),
            runs="loop" if inline or _is_cooperative(function) else "thread",
        )

    def for_call(self, payload: Payload, caller: Caller) -> Callable[[], Any]:
        """The function with its arguments.

        :raises hopsack.errors.Invalid: the payload is not of the type.
        """
        arguments: dict[str, Any] = self._components(caller.procedure) if self.names else {}
        if self.input is not None:
            arguments[self.input] = read(payload, self.type, where=caller.procedure)
        if self.facts is not None:
            arguments[self.facts] = caller
        return partial(self.function, **arguments)

    def for_event(self, payload: Payload, publication: Publication) -> Callable[[], Any]:
        """The function with its arguments.

        :raises hopsack.errors.Invalid: the payload is not of the type.
        """
        arguments: dict[str, Any] = self._components(publication.topic) if self.names else {}
        # What tells a deletion holds the key's fields alone, which need not make the type.
        data = read(payload, None if publication.deleted else self.type, where=publication.topic)
        if self.input is not None:
            arguments[self.input] = data
        if self.facts is not None:
            arguments[self.facts] = event_of(publication, data)
        return partial(self.function, **arguments)

    def _components(self, uri: str) -> dict[str, Any]:
        return {name: value for name, value in self.pattern.bound(uri).items() if name in self.names}

    async def run(self, ready: Callable[[], Any], threads: ThreadsLike) -> Any:
        """Run what :meth:`for_call` or :meth:`for_event` made, to its end."""
        if self.runs == "thread":
            result = await threads.run(ready)
            if is_deferred(result) or inspect.isawaitable(result):
                raise UsageError(
                    f"{_name(self.function)} returned something to wait for from a thread: add inline=True"
                )
            return result
        result = ready()
        if type(result) is CoroutineType:
            return await drive(result)
        if is_deferred(result) or inspect.isawaitable(result):
            return await bridged(result)
        return result


def event_of(publication: Publication, data: Any) -> Event[Any]:
    return Event(
        topic=publication.topic,
        publication=publication.publication,
        publisher=publication.publisher,
        publisher_authid=publication.publisher_authid,
        publisher_role=publication.publisher_role,
        position=publication.position,
        deleted=publication.deleted,
        retained=publication.retained,
        time=publication.time,
        data=data,
    )


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(getattr(function, "__func__", function)))
    except NameError as error:
        raise UsageError(
            f"{_name(function)}: {error.name} is not known when the program runs: import it outside TYPE_CHECKING"
        ) from error


def _check_text(function: Callable[..., Any], name: str, hint: Any) -> None:
    if hint not in (None, str, Any):
        raise UsageError(f"{_name(function)}: {name} is a component of the URI, which is text: annotate it with str")


def _check_inputs(function: Callable[..., Any], inputs: list[inspect.Parameter], facts: type[Any]) -> None:
    surplus = [one.name for one in inputs[1:] if one.default is inspect.Parameter.empty]
    if surplus:
        raise UsageError(
            f"{_name(function)}: {', '.join(surplus)} cannot be filled: a payload is one value, taken by"
            f" {inputs[0].name!r}; annotate with {facts.__name__} to be given the facts"
        )


def _is_cooperative(function: Callable[..., Any]) -> bool:
    """Whether calling it returns at once: a coroutine function, or a generator function under @inlineCallbacks."""
    return inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(inspect.unwrap(function))


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
