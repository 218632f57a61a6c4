"""Lines, against a model of plain lists."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hopsack_router.routing.waiting import Waiting

MOST = 6
LINES = st.sampled_from(["lab.a", "lab.b", ("room", 1, None), ("room", 2, None)])


class Lines(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.waiting: Waiting[int] = Waiting(MOST)
        self.lines: dict[Any, list[int]] = defaultdict(list)
        self.of: dict[int, str] = {}
        self.number = 0

    @rule(line=LINES, procedure=st.sampled_from(["lab.a", "lab.b"]), bound=st.integers(0, 4))
    def enter(self, line: Any, procedure: str, bound: int) -> None:
        self.number += 1
        has_place = len(self.of) < MOST and list(self.of.values()).count(procedure) < bound

        entered = self.waiting.enter(self.number, self.number, line, procedure, bound)

        assert entered is has_place
        if entered:
            self.lines[line].append(self.number)
            self.of[self.number] = procedure

    @precondition(lambda self: self.of)
    @rule(n=st.integers(0, 99), line=LINES)
    def change(self, n: int, line: Any) -> None:
        call = sorted(self.of)[n % len(self.of)]
        procedure = self.of[call]
        for one in self.lines.values():
            if call in one:
                one.remove(call)
        self.lines[line] = sorted([*self.lines[line], call])

        assert self.waiting.leave(call)
        assert self.waiting.enter(call, call, line, procedure, MOST)

    @precondition(lambda self: self.number)
    @rule(n=st.integers(0, 99))
    def leave(self, n: int) -> None:
        call = n % self.number + 1
        waited = self.of.pop(call, None) is not None
        for line in self.lines.values():
            if call in line:
                line.remove(call)

        assert self.waiting.leave(call) is waited

    @invariant()
    def agree(self) -> None:
        there = {line: calls for line, calls in self.lines.items() if calls}
        assert {line: list(self.waiting.line(line)) for line in self.waiting.lines()} == there
        assert [call for call, _ in self.waiting.in_order(there)] == sorted(self.of)
        assert len(self.waiting) == len(self.of)
        assert bool(self.waiting) is bool(self.of)
        for procedure in ("lab.a", "lab.b"):
            assert self.waiting.of(procedure) == list(self.of.values()).count(procedure)


TestLines = Lines.TestCase
TestLines.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)


def test_lines_may_change_while_they_are_walked() -> None:
    waiting: Waiting[int] = Waiting(100)
    for number in range(50):
        waiting.enter(number, number, "ab"[number % 2], "lab.x", 100)

    walked = []
    for call, _ in waiting.in_order(["a", "b"]):
        walked.append(call)
        waiting.leave(call)
        if call < 10:
            waiting.enter(call + 50, call + 50, "a", "lab.x", 100)

    assert walked == list(range(50)), "and not those who came meanwhile"
    assert len(waiting) == 10


def test_a_line_is_walked_as_far_as_anybody_looks() -> None:
    waiting: Waiting[int] = Waiting(100)
    for number in range(50):
        waiting.enter(number, number, "ab"[number % 2], "lab.x", 100)

    but: set[str] = set()
    walked = []
    for call, line in waiting.in_order(["a", "b"], but):
        walked.append(call)
        if call == 6:
            but.add(str(line))

    assert len([call for call in walked if call % 2 == 0]) <= 5
    assert [call for call in walked if call % 2] == list(range(1, 50, 2))
