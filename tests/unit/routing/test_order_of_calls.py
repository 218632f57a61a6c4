"""A callee is asked in the order in which its callers call, whatever waits where: random lives of a realm.

WAMP demands it of two calls of one caller that go to one callee (basic profile, "Ordering guarantees"), of the same
procedure or not. Here it holds for what does not wait; of what waits, for a callee to come or to have room, it holds
for each procedure: a call of another one, which has room, goes by. Of sharded calls it holds for each key: one that
waited for the callee of its key, which left, goes to another that has been asked for other keys meanwhile.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopsack.contracts import load
from hopsack_router.embed import EmbeddedNode

from .conftest import Client, Realm
from .test_call_ends import CANCEL
from .test_calls import CALL, REGISTER, YIELD

UNREGISTER, UNREGISTERED, INTERRUPT = 66, 67, 69

CONTRACTS = """
procedures:
  lab.plain:
    summary: As it comes.
    input: {$ref: '#/types/Work'}
    register: [service]
    call: [guest]
  lab.other:
    summary: As it comes, too.
    input: {$ref: '#/types/Work'}
    register: [service]
    call: [guest]
  lab.narrow:
    summary: Two at a time for each callee.
    input: {$ref: '#/types/Work'}
    concurrency: 2
    queue: 6
    register: [service]
    call: [guest]
  lab.patient:
    summary: Waits for its service, which does one thing at a time.
    input: {$ref: '#/types/Work'}
    wait: 5s
    concurrency: 1
    queue: 6
    register: [service]
    call: [guest]
  lab.sharded:
    summary: By its key.
    input: {$ref: '#/types/Work'}
    shard_by: key
    wait: 5s
    concurrency: 1
    queue: 6
    register: [service]
    call: [guest]
types:
  Work:
    type: object
    required: [caller, number, key]
    properties:
      caller: {type: string}
      number: {type: integer}
      key: {type: integer}
"""

AT_ONCE = ("lab.plain", "lab.other")
PROCEDURES = (*AT_ONCE, "lab.narrow", "lab.patient", "lab.sharded")
LIVES, STEPS = 8, 2600


class Callee:
    """Who serves, and what it has in hand."""

    def __init__(self, realm: Realm, name: str) -> None:
        self.client = realm.join("service", name)
        self.registrations: dict[str, int] = {}
        self.asked: dict[int, str] = {}
        self.in_hand: list[int] = []
        self.newest: dict[Any, int] = defaultdict(int)
        self._requests = iter(range(1, 1 << 30))
        self.came = 0

    def register(self, procedure: str) -> None:
        request = next(self._requests)
        self.asked[request] = procedure
        self.client.send_only(REGISTER, request, {"invoke": "roundrobin"}, procedure)

    def unregister(self, procedure: str) -> None:
        self.client.send_only(UNREGISTER, next(self._requests), self.registrations.pop(procedure))

    def look(self) -> None:
        """Read what came, and see that nothing overtook anything."""
        received, self.client.received = self.client.received, []
        for message in received:
            match message:
                case [69, *_] | [67, *_]:
                    pass
                case [65, request, registration]:
                    self.registrations[self.asked.pop(request)] = registration
                case [68, invocation, registration, _, [work]]:
                    self.in_hand.append(invocation)
                    self._check(registration, work)
                case other:
                    raise AssertionError(other)

    def _check(self, registration: int, work: dict[str, Any]) -> None:
        self.came += 1
        procedure = work["procedure"]
        key = work["key"] if procedure == "lab.sharded" else None
        line = (work["caller"], "at once" if procedure in AT_ONCE else procedure, key)
        assert work["number"] > self.newest[line], f"{work} comes after {self.newest[line]}"
        self.newest[line] = work["number"]


class Life:
    """One realm, disturbed at random."""

    def __init__(self, folder: Path, seed: int) -> None:
        (folder / "lab.yaml").write_text(CONTRACTS)
        self.realm = Realm.ours(load(folder))
        self.chance = random.Random(seed)
        assert isinstance(self.realm.node, EmbeddedNode)
        self.realm.node.router._dealer.random = random.Random(seed)
        self._names = iter(range(1 << 30))
        self.callers = [self._caller() for _ in range(3)]
        self.callees = [self._callee() for _ in range(2)]
        self.newest: dict[str, int] = defaultdict(int)
        self.came = self.waited = 0

    def _caller(self) -> tuple[str, Client, Iterator[int]]:
        name = f"caller-{next(self._names)}"
        return name, self.realm.join("guest", name), iter(range(1, 1 << 30))

    def _callee(self) -> Callee:
        return Callee(self.realm, f"callee-{next(self._names)}")

    def step(self) -> None:
        steps: tuple[tuple[int, Callable[[], None]], ...] = (
            (40, self._call),
            (36, self._answer),
            (12, self._turn),
            (6, self._register),
            (3, self._unregister),
            (3, self._cancel),
            (2, self._advance),
            (1, self._callee_leaves),
            (1, self._caller_leaves),
        )
        weights, does = zip(*steps, strict=True)
        self.chance.choices(does, weights)[0]()
        for callee in self.callees:
            callee.look()
        assert isinstance(self.realm.node, EmbeddedNode)
        self.waited += bool(self.realm.node.router._dealer._waiting)

    def _call(self) -> None:
        name, client, numbers = self.chance.choice(self.callers)
        procedure, number = self.chance.choice(PROCEDURES), next(numbers)
        work = {"caller": name, "procedure": procedure, "number": number, "key": self.chance.randrange(4)}
        self.newest[name] = number
        client.send_only(CALL, number, {}, procedure, [work])

    def _answer(self) -> None:
        callee = self.chance.choice(self.callees)
        if callee.in_hand:
            request = callee.in_hand.pop(self.chance.randrange(len(callee.in_hand)))
            callee.client.send_only(YIELD, request, {}, [None])

    def _turn(self) -> None:
        self.realm.turn()

    def _register(self) -> None:
        callee, procedure = self.chance.choice(self.callees), self.chance.choice(PROCEDURES)
        if procedure not in callee.registrations and procedure not in callee.asked.values():
            callee.register(procedure)

    def _unregister(self) -> None:
        callee = self.chance.choice(self.callees)
        if callee.registrations:
            callee.unregister(self.chance.choice(list(callee.registrations)))

    def _cancel(self) -> None:
        """One of the newest calls, if it has not ended."""
        name, client, _ = self.chance.choice(self.callers)
        request = self.newest[name] - self.chance.randrange(6)
        client.send_only(CANCEL, max(request, 1), {"mode": "killnowait"})

    def _advance(self) -> None:
        self.realm.clock.advance(self.chance.choice((0.1, 0.3, 1.0, 3.0)))

    def _callee_leaves(self) -> None:
        callee = self.callees.pop(self.chance.randrange(len(self.callees)))
        self.came += callee.came
        callee.client.leave()
        self.callees.append(self._callee())

    def _caller_leaves(self) -> None:
        _, client, _ = self.callers.pop(self.chance.randrange(len(self.callers)))
        client.leave()
        self.callers.append(self._caller())


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_callee_is_asked_in_the_order_of_the_calls(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path, seed)

    for _ in range(STEPS):
        life.step()

    assert life.came + sum(callee.came for callee in life.callees) > STEPS / 10
    assert life.waited > STEPS / 10


def test_the_lives_together_are_long_enough() -> None:
    assert LIVES * STEPS >= 20_000
