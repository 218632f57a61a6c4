"""Who gives a call up gives up all that was begun for it: through services that call services, in both worlds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError as DeferredCancelled
from twisted.internet.defer import Deferred, inlineCallbacks

from hopsack import Connection, Service, no_deadline, procedure, remaining
from hopsack.errors import Canceled, Deadline, Unavailable
from hopsack.testing import Fabric


class Deepest(Service):
    """The third level: it waits for what never comes, in each of the ways to wait."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.waits = 0

    @procedure("deep.task")
    async def task(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.ends.append("task")
            raise

    @procedure("deep.deferred")
    async def deferred(self) -> None:
        await Deferred(lambda _: self.ends.append("deferred"))

    @procedure("deep.generator")
    @inlineCallbacks
    def generator(self) -> Generator[Deferred[Any], Any, None]:
        try:
            yield Deferred()
        except DeferredCancelled:
            self.ends.append("generator")
            raise

    @procedure("deep.group")
    async def group(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.task())
            group.create_task(self.deferred())

    @procedure("deep.stubborn")
    async def stubborn(self) -> str:
        for _ in range(3):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                self.ends.append("stubborn")
        return "at last"

    @procedure("deep.notes")
    async def notes(self, note: str) -> None:
        self.ends.append(note)


class Between(Service):
    @procedure("mid.{way}")
    async def mid(self, way: str) -> Any:
        return await self.call(f"deep.{way}")


class Gate(Service):
    """The first level, in Twisted's way."""

    @procedure("gate.{way}")
    @inlineCallbacks
    def gate(self, way: str) -> Generator[Deferred[Any], Any, Any]:
        result = yield Deferred.fromFuture(asyncio.ensure_future(self.call(f"mid.{way}")))
        return result


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric() as fabric:
        yield fabric


@pytest.fixture
def deepest(fabric: Fabric) -> Deepest:
    deepest = fabric.start(Deepest())
    fabric.start(Between())
    fabric.start(Gate())
    return deepest


@pytest.fixture
def caller(fabric: Fabric) -> Connection:
    return fabric.connect()


WAYS = {"task": ["task"], "deferred": ["deferred"], "generator": ["generator"], "group": ["deferred", "task"]}


@pytest.mark.parametrize("way", WAYS)
def test_giving_up_is_heard_three_levels_down(fabric: Fabric, deepest: Deepest, caller: Connection, way: str) -> None:
    call = fabric.begin(caller.call(f"gate.{way}"))
    assert (call.done(), deepest.ends) == (False, [])

    call.cancel()
    fabric.settle()

    assert call.cancelled()
    assert sorted(deepest.ends) == WAYS[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_deadline_is_heard_three_levels_down(fabric: Fabric, deepest: Deepest, caller: Connection, way: str) -> None:
    call = fabric.begin(caller.call(f"gate.{way}", timeout=1.0))

    fabric.advance(0.999)
    assert (call.done(), deepest.ends) == (False, [])
    fabric.advance(0.001)

    assert isinstance(call.exception(), Deadline)
    assert sorted(deepest.ends) == WAYS[way]


def test_a_caller_that_vanishes_gives_up(fabric: Fabric, deepest: Deepest, caller: Connection) -> None:
    fabric.begin(caller.call("gate.task"))

    fabric.cut(caller)

    assert deepest.ends == ["task"]


def test_a_service_between_that_vanishes_gives_up_what_it_asked_for(
    fabric: Fabric, deepest: Deepest, caller: Connection
) -> None:
    between = next(service for service in fabric._engagements if isinstance(service, Between))
    call = fabric.begin(caller.call("gate.task"))

    fabric.cut(between)

    assert call.exception() is not None
    assert deepest.ends == ["task"]


def test_a_handler_that_will_not_stop_does_not_hold_its_caller(
    fabric: Fabric, deepest: Deepest, caller: Connection
) -> None:
    given_up = fabric.begin(caller.call("mid.stubborn"))
    late = fabric.begin(caller.call("mid.stubborn", timeout=1.0))

    given_up.cancel()
    fabric.advance(1.0)

    assert given_up.cancelled()
    assert isinstance(late.exception(), Deadline)
    assert deepest.ends == ["stubborn"] * 2
    fabric.advance(300)  # it ends, and nobody hears of it
    assert deepest.ends == ["stubborn"] * 2


class Tidy(Service):
    @procedure("tidy.up")
    async def up(self) -> None:
        try:
            await self.call("deep.task")
        finally:
            with no_deadline():
                await self.call("deep.notes", f"tidied up, {remaining()} left")


def test_who_was_given_up_may_still_tidy_up(fabric: Fabric, deepest: Deepest, caller: Connection) -> None:
    fabric.start(Tidy())
    call = fabric.begin(caller.call("tidy.up", timeout=1.0))

    fabric.advance(1.0)

    assert call.done()
    assert deepest.ends == ["task", "tidied up, None left"]


class Careful(Service):
    @procedure("careful.work")
    async def work(self) -> None:
        async with self.connection.lock("one"):
            await self.call("deep.task")


def test_a_lock_is_released_at_the_end_of_a_call_that_has_no_time_left(
    fabric: Fabric, deepest: Deepest, caller: Connection
) -> None:
    fabric.start(Careful())
    call = fabric.begin(caller.call("careful.work", timeout=1.0))

    fabric.advance(1.0)
    assert isinstance(call.exception(), Deadline)

    async def next_one() -> None:
        async with caller.lock("one", wait=0.0):
            pass

    fabric.run(next_one())


class Handing(Service):
    @procedure("handing.on")
    async def on(self, what: str) -> None:
        raise Unavailable("not here", where=what, data={"ran": "no"})


def test_what_a_handler_was_refused_does_not_say_that_the_handler_did_not_run(
    fabric: Fabric, caller: Connection
) -> None:
    fabric.start(Handing())

    def ran(where: str) -> str:
        with pytest.raises(Unavailable) as refused:
            fabric.run(caller.call("handing.on", where))
        return str(refused.value.data["ran"])

    assert ran("another.procedure") == "maybe"
    assert ran("handing.on") == "no"


def test_the_answer_to_who_cancelled_nothing_says_that_it_was_cancelled(
    fabric: Fabric, caller: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    class Fickle(Service):
        @procedure("fickle.ask")
        async def ask(self) -> None:
            raise asyncio.CancelledError

    fabric.start(Fickle())
    with caplog.at_level(logging.ERROR), pytest.raises(Canceled):
        fabric.run(caller.call("fickle.ask"))
    assert caplog.records == []
