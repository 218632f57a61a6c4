"""What a handler wants, read from its signature once, and how it is run.

    async def on_change(self, change: Change, root: str, event: Event) -> None
                              |               |          `-- injected: annotated with Event (or Caller)
                              |               `-- injected: {root} in the URI it is bound to
                              `-- the payload, converted to its annotation

The payload's parameter is the first that is not injected; a handler may have none. The function may be a coroutine
function, one decorated with ``@inlineCallbacks``, or a plain one, which then runs in a thread unless it was declared
``inline``. One that serves a procedure may be a generator, asynchronous or plain, or be injected with
:class:`~hopsack.progress.Progress` and :class:`~hopsack.progress.Inputs`.
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
from hopsack.progress import Inputs, Pieces, Progress, sent, sent_from_thread, sent_inline
from hopsack.session import Caller, Event, Payload, Publication
from hopsack.threads import ThreadsLike
from hopsack.values import read

__all__ = ["Binding", "Pattern"]

_FLOWING = (Progress, Inputs)


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
    :ivar flows: whether it may give results, or take inputs, piece by piece. :ivar yields: whether it is a generator.
    :ivar progress: name of the parameter that takes a :class:`Progress`, if there is one.
    :ivar inputs: the same for :class:`Inputs`. :ivar inputs_type: of each of them.
    """

    function: Callable[..., Any]
    pattern: Pattern
    input: str | None
    type: Any
    facts: str | None
    names: frozenset[str]
    runs: Literal["loop", "thread"]
    flows: bool = False
    yields: bool = False
    progress: str | None = None
    inputs: str | None = None
    inputs_type: Any = None

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        pattern: Pattern,
        *,
        facts: type[Caller] | type[Event[Any]],
        declared: Any = None,
        further_input: Any = None,
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
        flow: dict[Any, inspect.Parameter] = {}
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name)
            if hint is facts or get_origin(hint) is facts:
                facts_name = parameter.name
                of_facts = next(iter(get_args(hint)), declared)
            elif hint in _FLOWING or get_origin(hint) in _FLOWING:
                flow[get_origin(hint) or hint] = parameter
            elif parameter.name in named:
                _check_text(function, parameter.name, hint)
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                inputs.append(parameter)
        _check_inputs(function, inputs, facts)
        runs: Literal["loop", "thread"] = "loop" if inline or _is_cooperative(function) else "thread"
        yields = inspect.isasyncgenfunction(inspect.unwrap(function)) or inspect.isgeneratorfunction(function)
        _check_flow(function, bool(flow), yields, runs, facts)
        parameters = inspect.signature(function).parameters
        further = hints.get(flow[Inputs].name) if Inputs in flow else None
        return cls(
            function=function,
            pattern=pattern,
            input=inputs[0].name if inputs else None,
            type=hints.get(inputs[0].name, of_facts) if inputs else of_facts,
            facts=facts_name,
            names=frozenset(named & parameters.keys()),
            runs=runs,
            flows=yields or bool(flow),
            yields=yields,
            progress=flow[Progress].name if Progress in flow else None,
            inputs=flow[Inputs].name if Inputs in flow else None,
            inputs_type=next(iter(get_args(further)), further_input),
        )

    def for_call(self, payload: Payload, caller: Caller, pieces: Pieces | None = None) -> Callable[[], Any]:
        """The function with its arguments.

        :param pieces: what flows; there is one if :attr:`flows`.
        :raises hopsack.errors.Invalid: the payload is not of the type.
        """
        arguments: dict[str, Any] = self._components(caller.procedure) if self.names else {}
        if self.input is not None:
            arguments[self.input] = read(payload, self.type, where=caller.procedure)
        if self.facts is not None:
            arguments[self.facts] = caller
        if self.progress is not None and pieces is not None:
            arguments[self.progress] = Progress(pieces)
        if self.inputs is not None and pieces is not None:
            arguments[self.inputs] = Inputs(pieces, self.inputs_type)
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

    async def run(self, ready: Callable[[], Any], threads: ThreadsLike, pieces: Pieces | None = None) -> Any:
        """Run what :meth:`for_call` or :meth:`for_event` made, to its end.

        :param pieces: where a generator's results go.
        """
        if self.yields and pieces is not None:
            if self.runs == "thread":
                return await sent_from_thread(ready, pieces, threads)
            generator = ready()
            return await drive((sent if inspect.isasyncgen(generator) else sent_inline)(generator, pieces))
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


def _check_flow(function: Callable[..., Any], is_given: bool, yields: bool, runs: str, facts: type[Any]) -> None:
    if (is_given or yields) and facts is not Caller:
        raise UsageError(f"{_name(function)}: only what serves a procedure gives or takes anything piece by piece")
    if is_given and runs == "thread":
        raise UsageError(f"{_name(function)}: a function that runs in a thread cannot wait for pieces: make it async")


def _is_cooperative(function: Callable[..., Any]) -> bool:
    """Whether calling it returns at once: a coroutine function, or a generator function under @inlineCallbacks."""
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(inner):
        return True
    return inspect.isgeneratorfunction(inner) and not inspect.isgeneratorfunction(function)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
