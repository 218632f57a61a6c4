"""What long-lived services need besides calls: one run for many asks, one computation for many who wait, a cache."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks

from hopsack import Service, cached, debounced, procedure, single_flight, subscribe, to_pool
from hopsack.bridge import bridged, install
from hopsack.due import DUE, Due, remaining
from hopsack.errors import Overloaded, UsageError
from hopsack.pools import use
from hopsack.testing import Fabric
from hopsack.testing.loop import HandTurnedLoop
from hopsack.threads import Threads


async def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await bridged(function(*args, **kwargs))


def begin(loop: HandTurnedLoop, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = loop.create_task(coroutine)
    loop.settle()
    return task


def asked(loop: HandTurnedLoop, function: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
    return begin(loop, called(function, *args, **kwargs))


def slow(counted: list[Any], *, generator: bool = False) -> Callable[..., Any]:
    """Doubles a number in a second, in both worlds; 13 it cannot."""

    async def double(number: int, unit: str = "") -> str:
        counted.append(number)
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            counted.append(f"{number} cancelled")
            raise
        if number == 13:
            raise ValueError("unlucky")
        return f"{2 * number}{unit}"

    @inlineCallbacks
    def deferred(number: int, unit: str = "") -> Generator[Deferred[Any], Any, Any]:
        result = yield Deferred.fromFuture(asyncio.ensure_future(double(number, unit)))
        return result

    return deferred if generator else double


WORLDS = pytest.mark.parametrize("generator", [False, True], ids=["coroutine", "inlineCallbacks"])


# ---- single flight ---------------------------------------------------------------------------------------------------


@WORLDS
def test_those_who_ask_for_the_same_share_one_run(loop: HandTurnedLoop, generator: bool) -> None:
    counted: list[Any] = []
    double = single_flight(slow(counted, generator=generator))

    tasks = [asked(loop, double, *arguments) for arguments in ((1,), (1,), (2,))] + [asked(loop, double, 1, unit="m")]
    loop.advance(1)

    assert [task.result() for task in tasks] == ["2", "2", "4", "2m"]
    assert counted == [1, 2, 1]
    again = asked(loop, double, 1)
    loop.advance(1)
    assert (again.result(), counted) == ("2", [1, 2, 1, 1])


@WORLDS
def test_who_gives_up_does_not_stop_it_for_the_others_but_the_last_does(loop: HandTurnedLoop, generator: bool) -> None:
    counted: list[Any] = []
    double = single_flight(slow(counted, generator=generator))
    first, second, third = (asked(loop, double, 1) for _ in range(3))

    first.cancel()
    loop.advance(0.5)
    second.cancel()
    loop.settle()
    assert counted == [1]
    third.cancel()
    loop.settle()

    assert counted == [1, "1 cancelled"]
    again = asked(loop, double, 1)
    loop.advance(1)
    assert again.result() == "2"


def test_who_comes_when_the_last_has_given_up_does_not_share_its_end(loop: HandTurnedLoop) -> None:
    counted: list[Any] = []
    double = single_flight(slow(counted))
    first = asked(loop, double, 1)

    first.cancel()
    second = loop.create_task(called(double, 1))  # both before the loop turns
    loop.advance(1)

    assert first.cancelled()
    assert second.result() == "2"


@WORLDS
def test_an_error_is_everybodys_who_waited_and_nobodys_after(loop: HandTurnedLoop, generator: bool) -> None:
    counted: list[Any] = []
    double = single_flight(slow(counted, generator=generator))
    tasks = [asked(loop, double, 13) for _ in range(2)]

    loop.advance(1)

    assert [str(task.exception()) for task in tasks] == ["unlucky"] * 2
    assert counted == [13]
    asked(loop, double, 13)
    assert counted == [13, 13]
    loop.advance(1)


def test_what_is_shared_is_not_bound_by_the_call_that_was_first(loop: HandTurnedLoop) -> None:
    seen: list[float | None] = []

    @single_flight
    async def look() -> None:
        seen.append(remaining())

    async def in_a_call() -> None:
        DUE.set(Due(1.0, loop.time))
        await look()

    loop.run(in_a_call())

    assert seen == [None]


def test_it_may_return_a_deferred_or_a_value(loop: HandTurnedLoop) -> None:
    gate: Deferred[int] = Deferred()
    waits, plain = single_flight(lambda: gate), single_flight(lambda: 7)

    task = asked(loop, waits)
    gate.callback(5)
    loop.settle()

    assert task.result() == 5
    assert loop.run(called(plain)) == 7


# ---- cache -----------------------------------------------------------------------------------------------------------


@WORLDS
def test_a_result_is_kept_for_its_time(loop: HandTurnedLoop, generator: bool) -> None:
    counted: list[Any] = []
    double = cached(ttl=10)(slow(counted, generator=generator))
    first, beside = asked(loop, double, 1), asked(loop, double, 1)
    loop.advance(1)
    assert (first.result(), beside.result(), counted) == ("2", "2", [1])

    loop.advance(9.9)
    assert asked(loop, double, 1).result() == "2"
    loop.advance(0.1)
    late = asked(loop, double, 1)

    assert (late.done(), counted) == (False, [1, 1])
    loop.advance(1)


def test_the_one_not_asked_for_longest_gives_way(loop: HandTurnedLoop) -> None:
    counted: list[Any] = []
    double = cached(maxsize=2)(slow(counted))

    for number in (1, 2, 1, 3, 1, 2):
        asked(loop, double, number)
        loop.advance(1)

    assert counted == [1, 2, 3, 2]


def test_errors_are_not_kept(loop: HandTurnedLoop) -> None:
    counted: list[Any] = []
    double = cached()(slow(counted))

    for _ in range(2):
        failing = asked(loop, double, 13)
        loop.advance(1)
        assert isinstance(failing.exception(), ValueError)

    assert counted == [13, 13]


def test_what_is_forgotten_is_asked_for_again_and_what_was_in_flight_is_not_kept(loop: HandTurnedLoop) -> None:
    counted: list[Any] = []
    double: Any = cached()(slow(counted))
    asked(loop, double, 1)
    loop.advance(1)

    double.forget(1)
    old = asked(loop, double, 1)
    double.forget(1)
    new = asked(loop, double, 1)
    loop.advance(1)
    assert (old.result(), new.result(), counted) == ("2", "2", [1, 1, 1])

    old = asked(loop, double, 2)
    double.clear()
    loop.advance(1)
    assert old.result() == "4"
    asked(loop, double, 2)
    asked(loop, double, 1)
    assert counted == [1, 1, 1, 2, 2, 1]
    loop.advance(1)


def test_another_clock_may_tell_the_time(loop: HandTurnedLoop) -> None:
    now, counted = [0.0], []

    @cached(ttl=5, now=lambda: now[0])
    async def look() -> int:
        counted.append(now[0])
        return len(counted)

    async def looks() -> list[int]:
        found = [await look(), await look()]
        now[0] = 5.0
        return [*found, await look()]

    assert loop.run(looks()) == [1, 1, 2]


@pytest.mark.parametrize("options", [{"maxsize": 0}, {"ttl": 0}, {"ttl": -1.0}])
def test_a_cache_that_keeps_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        cached(**options)


def test_an_argument_without_a_hash_is_refused_with_the_name(loop: HandTurnedLoop) -> None:
    double = cached()(slow([]))

    with pytest.raises(UsageError, match=r"double is told apart by its arguments.*unhashable"):
        loop.run(called(double, []))


class Shelf(Service):
    def __init__(self) -> None:
        self.looked: list[str] = []
        self.saved: list[str] = []

    @procedure("demo.price")
    @cached(ttl=10)
    async def price(self, article: str) -> float:
        self.looked.append(article)
        return 1.5

    @cached()
    @inlineCallbacks
    def stock(self, article: str) -> Generator[Deferred[Any], Any, int]:
        yield Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(1)))
        self.looked.append(article)
        return 3

    @subscribe("demo.changed", inline=True)
    @debounced(2.0)
    def save(self, reason: str) -> None:
        self.saved.append(reason)


def test_each_instance_of_a_service_has_its_own() -> None:
    with Fabric() as fabric:
        one, other = fabric.start(Shelf()), Shelf()
        guest = fabric.connect()

        assert [fabric.run(guest.call("demo.price", "tea")) for _ in range(2)] == [1.5, 1.5]
        fabric.run(called(other.price, "tea"))
        waits = [fabric.begin(called(one.stock, "tea")) for _ in range(2)]
        for reason in ("a", "b"):
            fabric.run(guest.publish("demo.changed", reason))
        fabric.advance(2)

        assert [task.result() for task in waits] == [3, 3]
        assert one.looked == ["tea", "tea"]
        assert other.looked == ["tea"]
        assert (one.saved, other.saved) == (["b"], [])


def test_a_class_without_room_for_it_is_told() -> None:
    class Tight:
        __slots__ = ()

        @cached()
        async def look(self) -> None: ...

    with pytest.raises(UsageError, match="Tight has __slots__"):
        _ = Tight().look


# ---- debounced -------------------------------------------------------------------------------------------------------


class Notes:
    def __init__(self) -> None:
        self.runs: list[tuple[float, Any]] = []

    def note(self, value: Any) -> None:
        self.runs.append((asyncio.get_running_loop().time(), value))


@pytest.fixture
def notes() -> Notes:
    return Notes()


def at(loop: HandTurnedLoop, function: Callable[..., Any], *args: Any) -> None:
    async def ask() -> None:
        function(*args)

    loop.run(ask())


def test_many_asks_in_a_short_time_are_one_run_with_the_last_arguments(loop: HandTurnedLoop, notes: Notes) -> None:
    save: Any = debounced(2.0)(notes.note)

    at(loop, save, 1)
    loop.advance(1.5)
    at(loop, save, 2)
    assert save.is_waiting()
    loop.advance(0.5)
    assert (notes.runs, save.is_waiting()) == ([(2.0, 2)], False)
    at(loop, save, 3)
    loop.advance(2)

    assert notes.runs == [(2.0, 2), (4.0, 3)]


def test_until_idle_counts_from_the_last_ask(loop: HandTurnedLoop, notes: Notes) -> None:
    save = debounced(2.0, until_idle=True)(notes.note)

    for value in range(5):
        at(loop, save, value)
        loop.advance(1)
    loop.advance(1)

    assert notes.runs == [(6.0, 4)]


@WORLDS
def test_what_is_asked_during_a_run_comes_after_it(loop: HandTurnedLoop, generator: bool) -> None:
    counted: list[Any] = []
    save = debounced(2.0)(slow(counted, generator=generator))

    at(loop, save, 1)
    loop.advance(2.5)
    at(loop, save, 2)
    at(loop, save, 3)
    loop.advance(2.4)
    assert counted == [1]
    loop.advance(0.1)

    assert counted == [1, 3]


def test_what_a_run_raises_is_logged_and_the_next_comes(loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture) -> None:
    save = debounced(1.0)(slow([]))

    at(loop, save, 13)
    loop.advance(2)
    assert [(record.levelno, record.exc_text is not None) for record in caplog.records] == [(logging.ERROR, True)]
    assert "double failed" in caplog.text
    at(loop, save, 1)
    loop.advance(2)

    assert len(caplog.records) == 1


def test_what_waits_runs_at_once_at_the_end_or_is_dropped(loop: HandTurnedLoop) -> None:
    counted: list[Any] = []
    save: Any = debounced(60.0)(slow(counted))

    at(loop, save, 1)
    flushing = begin(loop, save.flush())
    at(loop, save, 2)
    loop.advance(1)
    assert counted == [1, 2]
    loop.advance(1)
    assert flushing.done()
    at(loop, save, 3)
    save.cancel()
    loop.run(save.flush())
    loop.advance(100)

    assert counted == [1, 2]


def test_a_run_is_not_bound_by_the_call_that_asked_for_it(loop: HandTurnedLoop, notes: Notes) -> None:
    save = debounced(0.5)(lambda: notes.note(remaining()))

    async def in_a_call() -> None:
        DUE.set(Due(1.0, loop.time))
        save()

    loop.run(in_a_call())
    loop.advance(0.5)

    assert notes.runs == [(0.5, None)]


# ---- to_pool ---------------------------------------------------------------------------------------------------------


def test_a_blocking_function_runs_beside_the_loop_in_the_context_of_its_caller() -> None:
    async def main() -> tuple[Any, ...]:
        DUE.set(Due(100.0, lambda: 40.0))
        return await to_pool(lambda *facts: (*facts, remaining(), threading.current_thread().name), 1)

    number, left, thread = asyncio.run(main())

    assert (number, left) == (1, 60.0)
    assert thread.startswith("hopsack")


def test_what_has_not_begun_when_it_is_cancelled_never_begins() -> None:
    begun: list[str] = []
    free, busy = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        free.wait(10)

    async def main() -> None:
        use(asyncio.get_running_loop(), Threads(workers=1, backlog=1))
        first = asyncio.create_task(to_pool(hold))
        await asyncio.to_thread(busy.wait)
        waiting = asyncio.create_task(to_pool(begun.append, "cancelled"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await to_pool(begun.append, "refused")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        free.set()
        await first
        await to_pool(begun.append, "last")

    asyncio.run(main())

    assert begun == ["last"]


def test_in_the_fabric_in_memory_it_runs_in_place() -> None:
    class Reader(Service):
        @procedure("demo.read")
        async def read(self) -> int:
            return await to_pool(len, "four")

    with Fabric() as fabric:
        fabric.start(Reader())

        assert fabric.run(fabric.connect().call("demo.read")) == 4


def test_what_stands_for_a_function_tells_of_itself() -> None:
    @cached()
    async def look(article: str) -> float:
        """How much it is."""
        return 1.0

    assert (look.__name__, look.__doc__) == ("look", "How much it is.")
    assert Shelf.price.__name__ == "price"
    assert "price" not in vars(Shelf())


def test_tasks_of_a_bridged_loop_share_too(loop: HandTurnedLoop) -> None:
    install(loop)
    counted: list[Any] = []
    double = single_flight(slow(counted, generator=True))

    tasks = [asked(loop, double, 1) for _ in range(2)]
    loop.advance(1)

    assert [task.result() for task in tasks] == ["2", "2"]
    assert counted == [1]
