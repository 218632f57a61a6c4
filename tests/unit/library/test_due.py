"""The time that is left travels: from a call to its handler, and from there to the calls that it makes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks

from hopsack import Connection, Service, procedure
from hopsack.due import no_deadline, remaining
from hopsack.errors import Deadline
from hopsack.testing import Fabric
from hopsack.testing.loop import HandTurnedLoop
from hopsack.threads import Threads

from .conftest import Peer, RawPeer

SECOND = {"timeout": 1000}


def serving(peer: Peer, loop: HandTurnedLoop, handler: Callable[..., Any]) -> Connection:
    connection = peer.connect()
    registering = loop.create_task(connection.register("p", handler))
    peer.heard()
    peer.says([65, 1, 6])
    registering.result()
    return connection


def test_a_handler_is_told_what_is_left_and_its_calls_have_no_more(peer: Peer, loop: HandTurnedLoop) -> None:
    seen: list[float | None] = []

    async def work() -> None:
        seen.append(remaining())
        await asyncio.sleep(0.25)
        seen.append(remaining())
        await peer.connection.call("longer")

    async def brief() -> None:
        await peer.connection.call("brief", timeout=0.5)

    serving(peer, loop, work)
    peer.says([68, 1, 6, SECOND])
    loop.advance(0.25)

    assert seen == [1.0, 0.75]
    assert peer.heard() == [[48, 2, {"timeout": 750}, "longer"]]
    loop.advance(0.75)
    assert [message[:3] for message in peer.heard()] == [[49, 2, {"mode": "killnowait"}], [8, 68, 1]]

    serving(peer, loop, brief)
    peer.says([68, 1, 6, SECOND])
    assert peer.heard() == [[48, 2, {"timeout": 500}, "brief"]]


def test_outside_of_a_call_nothing_is_left_or_lacking(peer: Peer, loop: HandTurnedLoop) -> None:
    seen: list[float | None] = [remaining()]

    async def work() -> None:
        seen.append(remaining())

    serving(peer, loop, work)
    peer.says([68, 1, 6, {}])

    assert seen == [None, None]


def test_what_is_late_before_it_begins_is_answered_and_never_begins(peer: Peer, loop: HandTurnedLoop) -> None:
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            loop._now += 1.5  # it blocks the loop for so long

    serving(peer, loop, work)
    peer.says([68, 1, 6, {"timeout": 9000}, [1]], [68, 2, 6, SECOND, [2]], [68, 3, 6, {"timeout": 2000}, [3]])

    answers = peer.heard()
    assert begun == [1, 3]
    assert [message[:3] for message in answers] == [[70, 1, {}], [8, 68, 2], [70, 3, {}]]
    assert answers[1][4] == "wamp.error.timeout"
    assert answers[1][6]["data"] == {"ran": "no"}


def test_a_call_for_which_nothing_is_left_is_not_sent(peer: Peer, loop: HandTurnedLoop) -> None:
    errors: list[Deadline] = []

    async def work() -> None:
        loop._now += 1.5
        try:
            await peer.connection.call("next")
        except Deadline as error:
            errors.append(error)
        with no_deadline():
            await peer.connection.call("clean.up")

    serving(peer, loop, work)
    peer.says([68, 1, 6, SECOND])

    assert [(error.where, error.data) for error in errors] == [("next", {"ran": "no"})]
    assert peer.heard() == [[48, 2, {"timeout": 10_000}, "clean.up"]]


def test_a_task_that_outlives_its_call_is_not_bound_by_it(peer: Peer, loop: HandTurnedLoop) -> None:
    seen: list[float | None] = []
    later: list[asyncio.Task[None]] = []

    async def work() -> None:
        later.append(asyncio.create_task(go_on()))
        await asyncio.sleep(0)

    async def go_on() -> None:
        seen.append(remaining())
        await asyncio.sleep(2)
        seen.append(remaining())

    serving(peer, loop, work)
    peer.says([68, 1, 6, SECOND])
    loop.advance(2)

    assert seen == [1.0, None]


def test_nothing_is_left_for_a_call_that_was_given_up(peer: Peer, loop: HandTurnedLoop) -> None:
    seen: list[float | None] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append(remaining())

    serving(peer, loop, work)
    peer.says([68, 1, 6, {}])
    peer.says([69, 1, {}])

    assert seen == [0.0]


def test_one_that_came_over_the_raw_door_is_bound_too(raw: RawPeer, loop: HandTurnedLoop) -> None:
    async def work() -> None:
        await raw.connection.call("next", 5)

    connection = raw.connect()
    registering = loop.create_task(connection.register("p", work))
    [[request, *_]] = raw.asked()
    raw.answers(request, registration=6)
    registering.result()

    raw.says({"jsonrpc": "2.0", "id": 1, "method": "p", "hopsack": {"timeout": 800}})

    assert raw.heard() == [{"jsonrpc": "2.0", "id": 3, "method": "next", "params": 5, "hopsack": {"timeout": 800}}]


class Threaded(Service):
    def __init__(self) -> None:
        self.seen: list[float | None] = []

    @procedure("demo.thread")
    def thread(self) -> None:
        self.seen.append(remaining())

    @procedure("demo.generator")
    @inlineCallbacks
    def generator(self) -> Generator[Deferred[Any], Any, None]:
        yield Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0.5)))
        self.seen.append(remaining())


def test_plain_functions_and_generators_are_told_as_well() -> None:
    with Fabric() as fabric:
        service = fabric.start(Threaded())
        user = fabric.connect()

        fabric.run(user.call("demo.thread", timeout=2.0))
        waits = fabric.begin(user.call("demo.generator", timeout=2.0))
        fabric.advance(0.5)

        assert waits.done()
        assert service.seen == [2.0, 1.5]


def test_a_thread_has_the_context_and_begins_nothing_that_is_late() -> None:
    from hopsack.due import DUE, Due

    now = [10.0]
    begun: list[str] = []
    free, busy = threading.Event(), threading.Event()

    def first() -> float | None:
        busy.set()
        free.wait(10)
        return remaining()

    async def main() -> Any:
        threads = Threads(workers=1)
        DUE.set(Due(12.0, lambda: now[0]))
        running = asyncio.create_task(threads.run(first))
        waiting = asyncio.create_task(threads.run(lambda: begun.append("late")))
        await asyncio.to_thread(busy.wait)
        now[0] = 12.5
        free.set()
        with pytest.raises(Deadline):
            await waiting
        try:
            return await running
        finally:
            threads.close()

    assert asyncio.run(main()) == 0.0
    assert begun == []
