"""Calls that give results, and take inputs, piece by piece: the library on both sides of a node in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from hopsack import Caller, Deadline, DeclaredError, Invalid, Service, procedure
from hopsack.contracts.refs import Progressive
from hopsack.due import Due
from hopsack.errors import BrokenResult, Canceled, Disconnected, RemoteError, UsageError
from hopsack.progress import Inputs, Pieces, Progress, sent
from hopsack.testing import Fabric

CONTRACTS = """
procedures:
  lab.count:
    summary: Numbers, one after the other.
    input: {type: integer}
    progress: {$ref: '#/types/Number'}
    output: {type: integer}
    errors: [lab.tired]
    timeout: 5s
    register: [service]
    call: [guest, service]
  lab.each:
    summary: Numbers, and nothing at the end.
    input: {type: integer}
    progress: {type: integer}
    output: {type: 'null'}
    register: [service]
    call: [guest]
  lab.sum:
    summary: What numbers make together.
    input: {type: string}
    inputs: {$ref: '#/types/Number'}
    output: {type: integer}
    register: [service]
    call: [guest]
  lab.echo:
    summary: Says what it hears.
    input: {type: 'null'}
    inputs: {type: integer}
    progress: {type: integer}
    output: {type: string}
    register: [service]
    call: [guest]
errors:
  lab.tired: {summary: It will not go on.}
types:
  Number:
    type: object
    required: [n]
    properties: {n: {type: integer}}
    additionalProperties: false
"""


class Number(msgspec.Struct):
    n: int


COUNT: Progressive[int, Number, int] = Progressive("lab.count", int, int, progress=Number)
SUM: Progressive[str, None, int] = Progressive("lab.sum", str, int, inputs=Number)


class Lab(Service):
    def __init__(self) -> None:
        self.sent: list[int] = []
        self.ended: list[str] = []
        self.pace = 0.0

    @procedure(COUNT)
    async def count(self, upto: int, progress: Progress[Number], caller: Caller) -> int:
        try:
            for n in range(upto):
                await progress.send(Number(n))
                self.sent.append(n)
                if self.pace:
                    await asyncio.sleep(self.pace)
        finally:
            self.ended.append("count")
        return upto

    @procedure("lab.each")
    async def each(self, upto: int) -> AsyncIterator[int]:
        try:
            for n in range(upto):
                yield n
                self.sent.append(n)
        finally:
            self.ended.append("each")

    @procedure(SUM)
    async def sum(self, name: str, numbers: Inputs[Number]) -> int:
        total = 0
        try:
            async for number in numbers:
                total += number.n
                if self.pace:
                    await asyncio.sleep(self.pace)
        finally:
            self.ended.append(name)
        return total

    @procedure("lab.echo")
    async def echo(self, numbers: Inputs[int], progress: Progress[int]) -> str:
        async for number in numbers:
            await progress.send(number)
        return "bye"


class Counter(Service):
    """The one procedure alone."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @procedure(COUNT)
    async def count(self, upto: int, progress: Progress[Number]) -> int:
        try:
            for n in range(upto):
                await progress.send(Number(n))
        finally:
            self.ended.append("count")
        return upto


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    (tmp_path / "lab.yaml").write_text(CONTRACTS)
    with Fabric(tmp_path) as fabric:
        yield fabric


async def listed(iteration: Any) -> list[Any]:
    return [one async for one in iteration]


def test_each_progressive_result_and_then_the_last(fabric: Fabric) -> None:
    fabric.start(Lab())
    page = fabric.connect()

    async def program() -> tuple[list[Number], int]:
        async with page.iterate(COUNT, 40) as numbers:
            seen = [number async for number in numbers]
            return seen, numbers.result

    assert fabric.run(program()) == ([Number(n) for n in range(40)], 40)


def test_a_generator_s_values_are_its_results(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()

    assert fabric.run(listed(page.iterate("lab.each", 3))) == [0, 1, 2]
    assert lab.ended == ["each"]


def test_a_slow_consumer_makes_a_slow_producer(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()
    ahead: list[int] = []

    async def program() -> None:
        taken = 0
        async for _ in page.iterate("lab.each", 300, window=8):
            taken += 1
            await asyncio.sleep(0.1)
            ahead.append(len(lab.sent) - taken)

    running = fabric.begin(program())
    fabric.advance(60)

    running.result()
    assert len(lab.sent) == 300
    assert max(ahead) <= 8


def test_a_consumer_that_takes_its_time_with_each_is_not_late(fabric: Fabric) -> None:
    """Half a window takes longer than the silence that the contract allows: it says in between that it takes more."""
    fabric.start(Lab())
    page = fabric.connect()

    async def program() -> int:
        async with page.iterate(COUNT, 30, timeout=5) as numbers:
            async for _ in numbers:
                await asyncio.sleep(2)
            return numbers.result

    running = fabric.begin(program())
    fabric.advance(100)

    assert running.result() == 30


def test_a_call_may_last_but_not_be_silent(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    lab.pace = 4.0
    page = fabric.connect()
    lasting = fabric.begin(listed(page.iterate(COUNT, 5)))
    fabric.advance(30)
    lab.pace = 6.0
    silent = fabric.begin(listed(page.iterate(COUNT, 5)))
    fabric.advance(30)

    assert len(lasting.result()) == 5
    assert isinstance(silent.exception(), Deadline)


def test_leaving_the_loop_cancels_the_call_and_closes_the_generator(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()

    async def program() -> None:
        async for number in page.iterate("lab.each", 1000):
            if number == 3:
                break

    fabric.run(program())
    fabric.settle()

    assert lab.ended == ["each"]
    assert len(lab.sent) < 30


def test_leaving_the_block_cancels_the_call(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()

    async def program() -> None:
        async with page.iterate(COUNT, 1000) as numbers:
            async for _ in numbers:
                break
        with pytest.raises(UsageError, match="no result"):
            _ = numbers.result

    fabric.run(program())
    fabric.settle()

    assert lab.ended == ["count"]


def test_a_call_that_asks_for_no_progress_gets_the_last_result_alone(fabric: Fabric) -> None:
    fabric.start(Lab())
    page = fabric.connect()

    assert fabric.run(page.call("lab.count", 1000)) == 1000
    assert fabric.run(page.call("lab.each", 1000)) is None
    assert fabric.run(page.iterate(COUNT, 7).outcome()) == 7


def test_a_generator_whose_results_nobody_asked_for_lets_others_run() -> None:
    wanted = SimpleNamespace(flow=None, caller=SimpleNamespace(procedure="lab.each"), invocation=1, timeout=None)
    pieces, made = Pieces(cast(Any, wanted), cast(Any, None), Due(None, lambda: 0.0)), 0

    async def each() -> AsyncIterator[int]:
        nonlocal made
        for made in range(1000):
            yield made

    async def program() -> int:
        serving = asyncio.ensure_future(sent(cast(Any, each()), pieces))
        await asyncio.sleep(0)
        seen = made
        await serving
        return seen

    assert asyncio.run(program()) < 999


def test_inputs_are_given_as_they_are_taken(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    lab.pace = 0.1
    page = fabric.connect()
    given: list[int] = []

    def numbers() -> Iterator[Number]:
        for n in range(100):
            given.append(n)
            yield Number(n)

    summing = fabric.begin(page.iterate(SUM, "sum", inputs=numbers()).outcome())
    fabric.advance(1.0)
    early = len(given)
    fabric.advance(20)

    assert early <= 10 + 16 + 8 + 1
    assert summing.result() == sum(range(100))
    assert lab.ended == ["sum"]


def test_inputs_and_results_flow_in_one_call(fabric: Fabric) -> None:
    fabric.start(Lab())
    page = fabric.connect()

    async def numbers() -> AsyncIterator[int]:
        for n in range(50):
            yield n

    async def program() -> tuple[list[int], str]:
        async with page.iterate("lab.echo", inputs=numbers()) as echo:
            return [number async for number in echo], echo.result

    assert fabric.run(program()) == (list(range(50)), "bye")


def test_a_call_without_further_inputs_has_none(fabric: Fabric) -> None:
    fabric.start(Lab())

    assert fabric.run(fabric.connect().call("lab.sum", "nothing")) == 0


def test_an_input_that_breaks_the_contract_ends_the_call(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()

    with pytest.raises(Invalid, match="a further input: ") as refused:
        fabric.run(page.iterate(SUM, "sum", inputs=[{"n": 1}, {"n": "two"}]).outcome())
    fabric.settle()

    assert refused.value.path == "/n"
    assert lab.ended == ["sum"]


def test_what_the_inputs_raise_ends_the_call(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()

    def numbers() -> Iterator[Number]:
        yield Number(1)
        raise RuntimeError("no more numbers")

    with pytest.raises(RuntimeError, match="no more numbers"):
        fabric.run(page.iterate(SUM, "sum", inputs=numbers()).outcome())
    fabric.settle()

    assert lab.ended == ["sum"]


def test_a_progressive_result_that_breaks_the_contract_is_reported_to_its_callee(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Service):
        @procedure("lab.each")
        async def each(self, upto: int) -> AsyncIterator[Any]:
            yield "one"

    fabric.start(Wrong())
    page = fabric.connect()

    with pytest.raises(BrokenResult):
        fabric.run(listed(page.iterate("lab.each", 1)))
    fabric.settle()

    assert 'must be a whole number, got "one"' in caplog.text


def test_errors_come_after_the_results_that_were_sent(fabric: Fabric) -> None:
    class Tired(Service):
        @procedure("lab.count")
        async def count(self, upto: int, progress: Progress[Any]) -> int:
            await progress.send({"n": 0})
            raise DeclaredError("enough", code="lab.tired")

    fabric.start(Tired())
    page = fabric.connect()
    seen: list[Any] = []

    async def program() -> None:
        async for number in page.iterate("lab.count", 3):
            seen.append(number)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(DeclaredError, match="enough"):
        fabric.run(program())
    assert seen == [{"n": 0}]


def test_a_callee_that_vanishes_ends_the_iteration_and_its_handler(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    lab.pace = 1.0
    page = fabric.connect()
    running = fabric.begin(listed(page.iterate(COUNT, 100)))
    fabric.advance(3)

    fabric.cut(lab)
    fabric.advance(5)

    assert isinstance(running.exception(), RemoteError)
    assert lab.ended == ["count"]


def test_a_caller_that_vanishes_cancels_the_handler(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    lab.pace = 1.0
    page = fabric.connect()
    running = fabric.begin(listed(page.iterate(COUNT, 100)))
    fabric.advance(3)

    fabric.cut(page)
    fabric.settle()

    assert not isinstance(running.exception(), (Disconnected, Canceled))
    assert lab.ended == ["count"]


def test_a_plain_generator_runs_in_threads_and_returns_its_result(fabric: Fabric) -> None:
    ended: list[str] = []

    class Walker(Service):
        @procedure("lab.count")
        def count(self, upto: int) -> Generator[Number, None, int]:
            try:
                for n in range(upto):
                    yield Number(n)
                return upto
            finally:
                ended.append("count")

    fabric.start(Walker())
    page = fabric.connect()

    async def program() -> tuple[int, int]:
        async with page.iterate(COUNT, 20) as numbers:
            return len([number async for number in numbers]), numbers.result

    async def leaving() -> None:
        async for _ in page.iterate(COUNT, 1000):
            break

    assert fabric.run(program()) == (20, 20)
    fabric.run(leaving())
    fabric.settle()
    assert ended == ["count", "count"]


def test_what_cannot_begin_says_why_and_leaves_nothing(fabric: Fabric) -> None:
    lab = fabric.start(Lab())
    page = fabric.connect()
    unwritable = page.iterate("lab.count", object())

    with pytest.raises(UsageError, match="no JSON form"):
        fabric.run(listed(unwritable))
    with pytest.raises(UsageError, match="call it again"):
        fabric.run(listed(unwritable))
    with pytest.raises(UsageError, match="lets nothing through"):
        page.iterate("lab.count", 1, window=0)

    assert page._iterations == {}
    assert page._requests == 0
    assert lab.sent == []


def test_a_handler_passes_on_what_another_gives_it(fabric: Fabric) -> None:
    class Relay(Service):
        @procedure("lab.each")
        async def each(self, upto: int) -> AsyncIterator[int]:
            async for number in self.iterate(COUNT, upto):
                yield number.n

    lab = fabric.start(Counter())
    fabric.start(Relay())
    page = fabric.connect()

    async def leaving() -> None:
        async for _ in page.iterate("lab.each", 1000, window=2):
            break

    assert fabric.run(listed(page.iterate("lab.each", 50))) == list(range(50))
    lab.ended.clear()
    fabric.run(leaving())
    fabric.settle()
    assert lab.ended == ["count"]


def test_handlers_that_cannot_give_pieces_are_told_so_when_they_are_bound(fabric: Fabric) -> None:
    page = fabric.connect("service")

    def blocking(upto: int, progress: Progress[Number]) -> int:
        return upto

    async def on_event(event: Any) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(UsageError, match="make it async"):
        fabric.run(page.register("lab.count", blocking))
    with pytest.raises(UsageError, match="only what serves a procedure"):
        fabric.run(page.subscribe("lab.news", on_event))
