"""Locks of the whole fabric: the core, and a long random life of it."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hopsack.errors import BadRequest, NotHeld, Overloaded, TooMany
from hopsack_router import locks as module
from hopsack_router.locks import Grants, Held, Locks, Waiting


@pytest.fixture
def locks() -> Locks:
    return Locks(count(1).__next__, lambda: 5.0)


def _held(got: Held | Waiting | None) -> Held:
    assert isinstance(got, Held)
    return got


def _waiting(got: Held | Waiting | None) -> Waiting:
    assert isinstance(got, Waiting)
    return got


def test_one_holds_it_and_the_others_follow_in_their_order(locks: Locks) -> None:
    first = _held(locks.acquire("a", 1))
    second, third = _waiting(locks.acquire("a", 2)), _waiting(locks.acquire("a", 3))

    after_first = locks.release("a", 1, first.token)
    after_second = locks.release("a", 2, _held(after_first[0][1]).token)

    assert first == Held("a", 1, 1, 5.0)
    assert after_first == [(second, Held("a", 2, 2, 5.0))]
    assert after_second == [(third, Held("a", 3, 3, 5.0))]


def test_so_many_hold_it_as_it_has_slots(locks: Locks) -> None:
    assert [isinstance(locks.acquire("a", one, slots=2), Held) for one in (1, 2, 3)] == [True, True, False]
    assert (locks.standing("a").slots, len(locks.standing("a").holders), locks.standing("a").waiting) == (2, 2, 1)


def test_who_does_not_want_to_wait_is_told_at_once(locks: Locks) -> None:
    locks.acquire("a", 1)

    assert locks.acquire("a", 2, wait=False) is None
    assert locks.standing("a").waiting == 0


def test_nobody_overtakes_who_waits(locks: Locks) -> None:
    first = _held(locks.acquire("a", 1, slots=2))
    locks.acquire("a", 2, slots=2)
    waiting = _waiting(locks.acquire("a", 3, slots=2))
    ((granted, _),) = locks.release("a", 1, first.token)

    assert granted is waiting
    assert isinstance(locks.acquire("a", 4, slots=2), Waiting)


def test_a_session_that_ends_gives_back_what_it_held_and_leaves_the_queues(locks: Locks) -> None:
    locks.acquire("a", 1)
    waiting_for_a = _waiting(locks.acquire("a", 2))
    locks.acquire("b", 3)
    waiting_for_b = _waiting(locks.acquire("b", 1))

    left = locks.left(1)

    assert left.waited == [waiting_for_b]
    assert left.grants == [(waiting_for_a, Held("a", 2, 3, 5.0))]
    assert left.names == ["a", "b"]
    assert [one.name for one in locks.all()] == ["a", "b"]
    assert locks.left(1).names == []


def test_a_token_is_good_for_its_holder_and_once(locks: Locks) -> None:
    held = _held(locks.acquire("a", 1))

    for owner, token in ((2, held.token), (1, held.token + 1)):
        with pytest.raises(NotHeld):
            locks.release("a", owner, token)
    locks.release("a", 1, held.token)
    with pytest.raises(NotHeld):
        locks.release("a", 1, held.token)
    assert list(locks.all()) == []


def test_the_same_attempt_asks_for_the_same_grant(locks: Locks) -> None:
    held = locks.acquire("a", 1, attempt="x")
    waiting = locks.acquire("a", 2, attempt="y")

    assert locks.acquire("a", 1, attempt="x") == held
    assert locks.acquire("a", 2, attempt="y") is waiting
    assert locks.abandon("a", 2, "y") == (waiting, [])
    assert locks.abandon("a", 1, "x") == (None, [])
    assert locks.abandon("a", 1, "x") == (None, [])
    assert list(locks.all()) == []


def test_all_users_of_a_lock_say_the_same_number_of_slots(locks: Locks) -> None:
    locks.acquire("a", 1, slots=2)

    with pytest.raises(BadRequest, match="held with 2 slots, and was asked for with 3"):
        locks.acquire("a", 2, slots=3)


def test_everything_has_a_bound(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NAMES", 2), ("WAITING", 2), ("OF_ONE", 2)):
        monkeypatch.setattr(module, name, value)
    locks.acquire("a", 1)
    locks.acquire("b", 1)
    locks.acquire("a", 2)
    locks.acquire("a", 3)

    with pytest.raises(TooMany, match="at most 2 locks"):
        locks.acquire("b", 1)
    with pytest.raises(Overloaded, match="2 locks in use"):
        locks.acquire("c", 2)
    with pytest.raises(Overloaded, match="2 sessions wait"):
        locks.acquire("a", 4)


class Life(RuleBasedStateMachine):
    """Sessions come, wait, give up and vanish; a plain model says who may hold what."""

    NAMES = st.sampled_from(["a", "b"])
    OWNERS = st.integers(1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.slots = {"a": 1, "b": 2}
        self.locks = Locks(count(1).__next__, lambda: 0.0)
        self.held: dict[int, Held] = {}
        self.queues: dict[str, list[Waiting]] = {"a": [], "b": []}
        self.last = 0

    def _grants(self, grants: Grants) -> None:
        for waiting, held in grants:
            assert held is not None
            assert self.queues[waiting.name].pop(0) is waiting
            self._take(held)

    def _take(self, held: Held) -> None:
        assert held.token > self.last
        self.last = held.token
        self.held[held.token] = held

    @rule(name=NAMES, owner=OWNERS, wait=st.booleans())
    def acquire(self, name: str, owner: int, wait: bool) -> None:
        got = self.locks.acquire(name, owner, self.slots[name], wait=wait)
        free = sum(one.name == name for one in self.held.values()) < self.slots[name]
        assert isinstance(got, Held) == (free and not self.queues[name])
        if isinstance(got, Held):
            self._take(got)
        elif got is not None:
            self.queues[name].append(got)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.held:
            held = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
            self._grants(self.locks.release(held.name, held.owner, held.token))

    @rule(data=st.data(), name=NAMES)
    def withdraw(self, data: st.DataObject, name: str) -> None:
        if self.queues[name]:
            waiting = self.queues[name].pop(data.draw(st.integers(0, len(self.queues[name]) - 1)))
            self.locks.withdraw(waiting)

    @rule(owner=OWNERS)
    def leave(self, owner: int) -> None:
        for token in [token for token, held in self.held.items() if held.owner == owner]:
            del self.held[token]
        for queue in self.queues.values():
            queue[:] = [one for one in queue if one.owner != owner]
        self._grants(self.locks.left(owner).grants)

    @invariant()
    def nobody_holds_more_than_there_is(self) -> None:
        counts = Counter(one.name for one in self.held.values())
        standing = {one.name: one for one in self.locks.all()}
        for name, slots in self.slots.items():
            assert counts[name] <= slots
            assert not (self.queues[name] and counts[name] < slots), "somebody waits where there is room"
            found = standing.get(name)
            assert counts[name] == (len(found.holders) if found else 0)
            assert len(self.queues[name]) == (found.waiting if found else 0)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_without_a_token_nobody_is_granted_it_and_nobody_waits_for_ever() -> None:
    numbers = [1, 2]

    def tokens() -> int:
        if not numbers:
            raise OSError("disk full")
        return numbers.pop(0)

    locks = Locks(tokens, lambda: 5.0)
    locks.acquire("a", 1)
    locks.acquire("b", 1)
    second, third = _waiting(locks.acquire("a", 2)), _waiting(locks.acquire("b", 3))

    left = locks.left(1)
    with pytest.raises(OSError, match="disk full"):
        locks.acquire("c", 4, slots=2)

    assert left.grants == [(second, None), (third, None)]
    assert list(locks.all()) == []
