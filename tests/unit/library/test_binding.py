"""What a handler's signature asks for, and what is said when it cannot be given."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from hopsack.binding import Binding, Pattern
from hopsack.errors import Invalid, UsageError
from hopsack.session import Caller, Event, Publication
from hopsack.testing.loop import HandTurnedLoop
from hopsack.threads import Threads
from hopsack.values import is_array, typed


class Change(msgspec.Struct):
    path: str
    size: float = 0.0


class Value:
    """A payload that has arrived."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def read(self, array: bool = False) -> Any:
        return self.value

    def read_as(self, type_: Any) -> Any:
        return msgspec.convert(self.value, type_)


def received(handler: Any, uri: str, topic: str, value: Any, **options: Any) -> Any:
    binding = Binding.of(handler, Pattern.of(uri), facts=Event, **options)
    return asyncio.run(binding.run(binding.for_event(Value(value), Publication(topic, 9)), Threads()))


def test_payload_component_and_facts() -> None:
    async def handler(change: Change, root: str, event: Event[Change]) -> Any:
        return change, root, event.topic, event.data is change

    assert received(handler, "watch.{root}.changed", "watch.src.changed", {"path": "a"}) == (
        Change("a"),
        "src",
        "watch.src.changed",
        True,
    )


def test_a_handler_may_ask_for_less() -> None:
    async def nothing() -> str:
        return "called"

    async def facts(event: Event) -> Any:
        return event.data

    assert received(nothing, "t", "t", 1) == "called"
    assert received(facts, "t", "t", 1) == 1


def test_a_type_that_the_topic_declares_fills_in_for_an_annotation() -> None:
    async def handler(change):  # type: ignore[no-untyped-def]
        return change

    assert received(handler, "t", "t", {"path": "a"}, declared=Change) == Change("a")


def test_what_an_event_carries_is_typed_where_the_handler_takes_nothing_else() -> None:
    async def told(event: Event[Change]) -> Any:
        return event.data

    async def untold(event: Event) -> Any:
        return event.data

    assert received(told, "t", "t", {"path": "a"}) == Change("a")
    assert received(untold, "t", "t", {"path": "a"}, declared=Change) == Change("a")
    assert received(untold, "t", "t", {"path": "a"}) == {"path": "a"}


def test_plain_functions_run_in_a_thread_unless_they_are_inline() -> None:
    import threading

    def where(value: int) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert received(where, "t", "t", 1) is False
    assert received(where, "t", "t", 1, inline=True) is True


def test_generator_handlers_and_functions_that_give_deferreds(loop: HandTurnedLoop) -> None:
    class Watch:
        @inlineCallbacks
        def on_change(self, change: Change) -> Any:
            size = yield succeed(1.5)
            return change.size + size

    def deferred(value: int) -> Deferred[int]:
        return succeed(value)

    assert received(Watch().on_change, "t", "t", {"path": "a", "size": 1}) == 2.5
    assert received(deferred, "t", "t", 3, inline=True) == 3
    with pytest.raises(UsageError, match="add inline=True"):
        received(deferred, "t", "t", 3)


def test_what_does_not_fit_is_invalid_with_the_place() -> None:
    async def handler(change: Change) -> None: ...

    with pytest.raises(Invalid) as caught:
        received(handler, "t", "t", {"path": "a", "size": "big"})

    assert (caught.value.path, caught.value.where) == ("/size", "t")


def test_signatures_that_cannot_be_filled_are_refused_with_what_to_write() -> None:
    async def two(a: int, b: int) -> None: ...

    async def typed_component(change: Change, root: int) -> None: ...

    async def unknown(change: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UsageError, match="b cannot be filled: a payload is one value, taken by 'a'"):
        Binding.of(two, Pattern.of("t"), facts=Caller)
    with pytest.raises(UsageError, match="root is a component of the URI, which is text"):
        Binding.of(typed_component, Pattern.of("w.{root}"), facts=Event)
    with pytest.raises(UsageError, match="Unknown is not known when the program runs"):
        Binding.of(unknown, Pattern.of("t"), facts=Event)
    with pytest.raises(UsageError, match="a prefix has no named components"):
        Pattern.of("w.{root}", "prefix")


def test_patterns() -> None:
    assert Pattern.of("a.{b}.c.{d}") == Pattern("a..c.", "wildcard", ((1, "b"), (3, "d")))
    assert Pattern.of("a.{b}.c.{d}").bound("a.x.c.y") == {"b": "x", "d": "y"}
    assert Pattern.of("a..c", "wildcard").bound("a.x.c") == {}


@pytest.mark.parametrize(
    ("value", "type_", "result"),
    [
        (1.0, int, 1),
        ([1.0, {"a": 2.0}], Any, [1.0, {"a": 2.0}]),
        ([1.0], list[int], [1]),
        ({"a": [1, 2.0]}, dict[str, list[int]], {"a": [1, 2]}),
        (1, float, 1.0),
        ("aGk=", bytes, b"hi"),
        ({"anything": 1}, None, {"anything": 1}),
    ],
)
def test_values_take_the_type_that_is_asked_for(value: Any, type_: Any, result: Any) -> None:
    assert typed(value, type_) == result


@pytest.mark.parametrize(
    ("value", "type_", "path"),
    [
        ("x", int, ""),
        ({"path": 1}, Change, "/path"),
        ([{"path": "a"}, {"path": "b", "size": "c"}], list[Change], "/1/size"),
        ({"k": {"path": 1}}, dict[str, Change], "/*/path"),
    ],
)
def test_values_of_another_shape_name_the_place(value: Any, type_: Any, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        typed(value, type_, where="t")

    assert caught.value.path == path
    assert "`$" not in caught.value.message


def test_which_types_are_arrays() -> None:
    assert [is_array(t) for t in (list[int], list, tuple[int, str], set[str], dict[str, int], Change, None, Any)] == [
        *(True, True, True, True),
        *(False, False, False, False),
    ]
