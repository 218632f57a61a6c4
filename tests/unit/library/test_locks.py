"""Locks and leaders, in the fabric in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hopsack.connection import Connection
from hopsack.contracts import Source, build
from hopsack.errors import Deadline, NotHeld
from hopsack.locks import Held
from hopsack.testing import Fabric


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(build([Source("lab.yaml", "lab.yaml", "topics: {}")])) as fabric:
        yield fabric


class Worker:
    """Holds a lock until it is told to let go."""

    def __init__(self, fabric: Fabric, connection: Connection, wait: float | None = None, slots: int = 1) -> None:
        self.connection = connection
        self.held: Held | None = None
        self._enough = asyncio.Event()
        self.task = fabric.begin(self._work(wait, slots))
        fabric.settle()

    async def _work(self, wait: float | None, slots: int) -> str:
        async with self.connection.lock("door", wait=wait, slots=slots) as held:
            self.held = held
            await self._enough.wait()
        return "done"

    def let_go(self, fabric: Fabric) -> None:
        self._enough.set()
        fabric.settle()


def test_one_after_the_other_with_growing_tokens(fabric: Fabric) -> None:
    first, second = (Worker(fabric, fabric.connect("service")) for _ in range(2))
    assert first.held is not None
    assert second.held is None

    first.let_go(fabric)

    assert first.task.result() == "done"
    assert not first.held.is_held
    assert second.held is not None
    assert second.held.token > first.held.token


def test_it_counts(fabric: Fabric) -> None:
    workers = [Worker(fabric, fabric.connect("service"), slots=2) for _ in range(3)]

    assert [worker.held is not None for worker in workers] == [True, True, False]


def test_waiting_without_end_is_longer_than_any_call(fabric: Fabric) -> None:
    first, second = (Worker(fabric, fabric.connect("service")) for _ in range(2))

    fabric.advance(3 * 3600)
    first.let_go(fabric)

    assert second.held is not None


def test_waiting_ends_in_time_and_leaves_the_queue(fabric: Fabric) -> None:
    first, late = Worker(fabric, fabric.connect("service")), Worker(fabric, fabric.connect("service"), wait=0.5)
    third = Worker(fabric, fabric.connect("service"))

    fabric.advance(0.5)
    first.let_go(fabric)

    assert isinstance(late.task.exception(), Deadline)
    assert third.held is not None


def test_who_does_not_wait_is_told_at_once(fabric: Fabric) -> None:
    Worker(fabric, fabric.connect("service"))
    second = Worker(fabric, fabric.connect("service"), wait=0)

    error = second.task.exception()

    assert isinstance(error, NotHeld)
    assert "somebody else" in str(error)


def test_a_block_whose_lock_is_lost_is_cancelled_and_raises_it(fabric: Fabric) -> None:
    first, second = (Worker(fabric, fabric.connect("service")) for _ in range(2))

    fabric.cut(first.connection)
    fabric.settle()

    assert isinstance(first.task.exception(), NotHeld)
    assert first.held is not None
    assert "connection was lost" in first.held.lost.result()
    assert second.held is not None


def test_who_waits_when_the_connection_is_lost_waits_on(fabric: Fabric) -> None:
    first, second = (Worker(fabric, fabric.connect("service")) for _ in range(2))

    fabric.cut(second.connection)
    fabric.advance(5)
    first.let_go(fabric)

    assert second.held is not None
    assert second.held.is_held


def test_a_program_that_gives_up_leaves_the_queue(fabric: Fabric) -> None:
    first, second, third = (Worker(fabric, fabric.connect("service")) for _ in range(3))

    second.task.cancel()
    fabric.settle()
    first.let_go(fabric)

    assert second.task.cancelled()
    assert third.held is not None


def test_cancelling_the_block_from_outside_is_a_cancellation_and_gives_the_lock_back(fabric: Fabric) -> None:
    first, second = (Worker(fabric, fabric.connect("service")) for _ in range(2))

    first.task.cancel()
    fabric.settle()

    assert first.task.cancelled()
    assert second.held is not None


def test_what_the_block_raises_is_raised_and_gives_the_lock_back(fabric: Fabric) -> None:
    connection, second = fabric.connect("service"), None

    async def fail() -> None:
        async with connection.lock("door"):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fabric.run(fail())
    second = Worker(fabric, fabric.connect("service"))

    assert second.held is not None


def test_there_is_one_leader_and_when_it_is_lost_another(fabric: Fabric) -> None:
    leads: list[tuple[str, str]] = []

    async def stand(connection: Connection, name: str) -> None:
        async def run(held: Held) -> None:
            leads.append((name, "leads"))
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                leads.append((name, "ended"))

        await connection.lead("leader", run)

    a, b = fabric.connect("service"), fabric.connect("service")
    tasks = [fabric.begin(stand(a, "a")), fabric.begin(stand(b, "b"))]
    fabric.settle()
    assert leads == [("a", "leads")]

    fabric.cut(a)
    fabric.advance(5)
    assert sorted(leads[1:]) == [("a", "ended"), ("b", "leads")]

    fabric.cut(b)
    fabric.advance(5)
    assert sorted(leads[3:]) == [("a", "leads"), ("b", "ended")]
    for task in tasks:
        task.cancel()
    fabric.settle()
