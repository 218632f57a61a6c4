"""Calls that come together begin in one task, and no handler can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from hopsack.testing.loop import HandTurnedLoop

from .conftest import Peer

NAME: ContextVar[str] = ContextVar("NAME", default="nobody")


def serving(peer: Peer, loop: HandTurnedLoop, handler: Callable[..., Any], **options: Any) -> None:
    connection = peer.connect(**options)
    registering = loop.create_task(connection.register("p", handler))
    assert peer.heard() == [[64, 1, {"invoke": "roundrobin", "x_hopsack_invoke": "least"}, "p"]]
    peer.says([65, 1, 6])
    registering.result()


def calls(*inputs: Any) -> list[list[Any]]:
    return [[68, number, 6, {}, [one]] for number, one in enumerate(inputs, 1)]


def answers(peer: Peer) -> dict[int, Any]:
    """Results by number; the URI of an error in place of one."""
    return {
        message[1] if message[0] == 70 else message[2]: message[3][0] if message[0] == 70 else message[4]
        for message in peer.heard()
    }


def test_who_waits_has_a_task_of_its_own_and_who_does_not_shares_one(peer: Peer, loop: HandTurnedLoop) -> None:
    tasks: dict[int, set[Any]] = {}

    async def work(number: int) -> int:
        seen = tasks[number] = {asyncio.current_task()}
        if number % 2:
            await asyncio.sleep(1)
        seen.add(asyncio.current_task())
        return number

    serving(peer, loop, work)
    peer.says(*calls(1, 2, 3, 4, 5))
    assert answers(peer) == {2: 2, 4: 4}
    loop.advance(1)

    assert answers(peer) == {1: 1, 3: 3, 5: 5}
    assert all(len(seen) == 1 for seen in tasks.values())
    assert len(set.union(*(tasks[number] for number in (1, 3, 5)))) == 3


def test_a_context_variable_belongs_to_one_call(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(name: str | None) -> list[str]:
        before = NAME.get()
        if name is not None:
            NAME.set(name)
        if name == "ann":
            await asyncio.sleep(1)
        inner = await asyncio.create_task(asyncio.sleep(0, NAME.get())) if name == "ann" else NAME.get()
        return [before, NAME.get(), inner]

    serving(peer, loop, work)
    peer.says(*calls("bob", None, "ann", None))
    first = answers(peer)
    loop.advance(1)

    assert first == {1: ["nobody", "bob", "bob"], 2: ["nobody"] * 3, 4: ["nobody"] * 3}
    assert answers(peer) == {3: ["nobody", "ann", "ann"]}


def test_only_the_one_that_is_interrupted_is_cancelled(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(number: int) -> int:
        if number > 1:
            await asyncio.sleep(1)
        return number

    serving(peer, loop, work)
    peer.says(*calls(1, 2, 3))
    assert answers(peer) == {1: 1}
    peer.says([69, 2, {}])

    assert answers(peer) == {2: "wamp.error.canceled"}
    loop.advance(1)
    assert answers(peer) == {3: 3}


def test_one_that_is_interrupted_before_it_began_is_answered_and_never_begins(peer: Peer, loop: HandTurnedLoop) -> None:
    began: list[int] = []

    async def work(number: int) -> None:
        began.append(number)

    serving(peer, loop, work)
    peer.says(*calls(1, 2, 3), [69, 2, {}])

    assert [message[:3] for message in peer.heard()] == [[8, 68, 2], [70, 1, {}], [70, 3, {}]]
    assert began == [1, 3]


def test_a_handler_that_cancels_its_own_task_harms_nobody(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(number: int) -> int:
        if number == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        else:
            await asyncio.sleep(0)
        return number

    serving(peer, loop, work)
    peer.says(*calls(1, 2))

    assert answers(peer) == {1: 1, 2: 2}


def test_time_limits_and_groups_of_tasks_work_from_the_first_step(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(seconds: float) -> str:
        try:
            async with asyncio.timeout(2), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(seconds))
        except TimeoutError:
            return "late"
        return "in time"

    serving(peer, loop, work)
    peer.says(*calls(1, 3, 1))
    loop.advance(2)

    assert answers(peer) == {1: "in time", 2: "late", 3: "in time"}


def test_with_a_thousand_calls_pending_another_procedure_answers_and_all_finish(
    peer: Peer, loop: HandTurnedLoop
) -> None:
    opened = asyncio.Event()

    async def slow(number: int) -> int:
        await opened.wait()
        return number

    async def quick() -> str:
        return "here"

    serving(peer, loop, slow, at_once=1001)
    registering = loop.create_task(peer.connection.register("q", quick))
    peer.heard()
    peer.says([65, 2, 7])
    registering.result()

    peer.says(*calls(*range(1, 1001)))
    assert peer.heard() == []
    peer.says([68, 1001, 7, {}])
    assert answers(peer) == {1001: "here"}

    opened.set()
    assert answers(peer) == {number: number for number in range(1, 1001)}


def test_a_thousand_calls_of_ours_may_wait_and_another_is_answered(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    waiting = [loop.create_task(connection.call("slow", number)) for number in range(1000)]
    numbers = [message[1] for message in peer.heard()]
    quick = loop.create_task(connection.call("quick"))
    [[_, number, *_]] = peer.heard()

    peer.says([50, number, {}, ["here"]])
    assert quick.result() == "here"
    assert not any(task.done() for task in waiting)

    peer.says(*([50, number, {}, [number]] for number in reversed(numbers)))
    assert [task.result() for task in waiting] == numbers


def test_ending_waits_for_those_that_begin_in_another_task(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(number / 10)
        return number

    serving(peer, loop, work)
    peer.says(*calls(1, 2, 3))
    closing = loop.create_task(peer.connection.close())
    assert peer.heard() == [[66, 2, 6]]
    peer.says([67, 2])
    loop.advance(1)

    assert [message[:2] for message in peer.heard()] == [[70, 1], [70, 2], [70, 3], [6, {}]]
    peer.says([6, {}, "wamp.close.goodbye_and_out"])
    assert closing.done()


def test_what_comes_until_the_node_has_confirmed_that_no_more_does_is_served(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(1)
        return number

    serving(peer, loop, work)
    peer.says([68, 1, 6, {}, [1]])
    draining = loop.create_task(peer.connection.drain(5.0))
    assert peer.heard() == [[66, 2, 6]]
    peer.says([68, 2, 6, {}, [2]])
    peer.says([67, 2])
    assert peer.connection.in_hand == 2

    peer.says([68, 3, 6, {}, [3]])
    [refusal] = peer.heard()
    assert (refusal[:3], refusal[4]) == ([8, 68, 3], "hopsack.unavailable")
    assert refusal[6]["data"] == {"ran": "no"}
    loop.advance(1)

    assert answers(peer) == {1: 1, 2: 2}
    assert draining.result() == 0


def test_what_is_not_finished_in_its_time_is_cancelled_and_counted(peer: Peer, loop: HandTurnedLoop) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(number)
        return number

    serving(peer, loop, work)
    peer.says(*calls(1, 20, 30))
    draining = loop.create_task(peer.connection.drain(5.0))
    assert peer.heard() == [[66, 2, 6]]
    peer.says([67, 2])
    loop.advance(5)

    assert answers(peer) == {1: 1, 2: "wamp.error.canceled", 3: "wamp.error.canceled"}
    assert draining.result() == 2
