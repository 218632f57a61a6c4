"""Keyed calls in a realm: executed once, answered to all who ask with the key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.internet.task import Clock

from hopsack.contracts import Source, build
from hopsack_router.embed import EmbeddedNode
from hopsack_router.keyed.calls import GRACE, KeyedCalls
from hopsack_router.keyed.keys import Key, Row
from tests.unit.routing.conftest import Client, Realm

CALL, CANCEL, RESULT, ERROR, REGISTER, INVOCATION, INTERRUPT, YIELD = 48, 49, 50, 8, 64, 68, 69, 70

CONTRACTS = """
procedures:
  shop.buy:
    summary: Buy something.
    input: {type: string}
    output: {type: integer}
    errors: [shop.sold_out]
    timeout: 2s
    once: 2m
    register: [service]
    call: [guest, user]
"""


class Disk:
    """A store whose commits wait until a test says that they are done."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.full = False

    def open(self) -> list[Row]:
        return list(self.rows.values())

    def commit(self, rows: Sequence[Row], gone: Sequence[Key]) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        for key in gone:
            self.rows.pop(key, None)
        self.rows.update((row.key, row) for row in rows)

    def close(self) -> None:
        pass


class Steps:
    """A lane whose jobs a test does."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Callable[[], Any], Callable[[Any, Exception | None], object]]] = []

    def run(self, job: Callable[[], Any], done: Callable[[Any, Exception | None], object]) -> None:
        self._jobs.append((job, done))

    def step(self) -> None:
        job, done = self._jobs.pop(0)
        try:
            result = job()
        except Exception as error:
            done(None, error)
        else:
            done(result, None)

    def stop(self) -> None:
        pass


class Shop:
    """A realm, its keyed calls' store, and the service that sells."""

    def __init__(self, disk: Disk, contracts: str = CONTRACTS) -> None:
        self.disk, self.lane = disk, Steps()
        clock = Clock()
        node = EmbeddedNode(build([Source("shop.yaml", "shop.yaml", contracts)]), clock)
        self.keyed = KeyedCalls(disk, self.lane, clock, lambda: 1_000_000 + clock.seconds())
        self.keyed.start(60.0)
        self.lane.step()
        node.router._dealer.serve_keyed(self.keyed)
        self.realm = Realm(clock, node)
        self.service = self.realm.join("service", "shop")
        self.service.send(REGISTER, 1, {}, "shop.buy")

    def committed(self) -> None:
        self.lane.step()
        self.realm.turn()

    def asked(self) -> list[int]:
        """The invocations that came."""
        return [message[1] for message in self.service.take() if message[0] == INVOCATION]

    def sells(self, invocation: int, order: int = 7) -> None:
        self.service.send(YIELD, invocation, {}, [order])


@pytest.fixture
def shop() -> Shop:
    return Shop(Disk())


def _buy(client: Client, request: int, what: str = "tea", key: str = "k1", **options: Any) -> list[list[Any]]:
    return client.send(CALL, request, {"x_hopsack_key": key, **options}, "shop.buy", [what])


def _code(answer: list[list[Any]]) -> str:
    (error,) = answer
    assert error[0] == ERROR, answer
    code: str = error[6]["code"] if len(error) > 6 else error[4]
    return code


def test_it_is_written_before_it_runs_and_its_outcome_before_it_is_told(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")

    _buy(ann, 1)
    before = shop.asked()
    shop.committed()
    (invocation,) = shop.asked()
    begun = [row.outcome for row in shop.disk.rows.values()]
    shop.sells(invocation)
    untold = ann.take()
    shop.committed()

    assert before == []
    assert begun == [None]
    assert untold == []
    assert ann.take() == [[RESULT, 1, {}, [7]]]
    assert [row.outcome is not None for row in shop.disk.rows.values()] == [True]


def test_a_repeat_gets_the_first_one_s_outcome_and_nothing_runs(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    _buy(ann, 2)
    shop.sells(invocation)
    shop.committed()
    both = ann.take()
    later = _buy(ann, 3)

    assert both == [[RESULT, 1, {}, [7]], [RESULT, 2, {}, [7]]]
    assert later == [[RESULT, 3, {}, [7]]]
    assert shop.asked() == []


def test_who_left_gets_the_outcome_when_they_are_back(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    ann.leave()
    interrupted = [message for message in shop.service.take() if message[0] == INTERRUPT]
    shop.sells(invocation)
    shop.committed()

    assert interrupted == []
    assert _buy(shop.realm.join("user", "ann"), 1) == [[RESULT, 1, {}, [7]]]


def test_a_declared_error_is_an_outcome(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    shop.service.send(ERROR, INVOCATION, invocation, {}, "shop.sold_out", ["none left"])
    shop.committed()

    assert _code(ann.take()) == "shop.sold_out"
    assert _code(_buy(ann, 2)) == "shop.sold_out"
    assert shop.asked() == []


def test_what_nobody_could_run_is_tried_anew(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    shop.service.leave()
    _buy(ann, 1)
    shop.committed()
    assert _code(ann.take()) == "hopsack.no_callee"

    shop.service = shop.realm.join("service", "shop")
    shop.service.send(REGISTER, 1, {}, "shop.buy")
    shop.committed()
    _buy(ann, 2)
    shop.committed()

    assert len(shop.asked()) == 1


def test_a_callee_that_vanished_may_have_done_it_and_it_is_not_done_again(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    shop.asked()
    shop.service.leave()

    assert _code(ann.take()) == "hopsack.outcome_unknown"
    assert _code(_buy(ann, 2)) == "hopsack.outcome_unknown"


def test_a_deadline_ends_it_and_a_repeat_is_told_that_nobody_knows(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1, timeout=500)
    shop.committed()
    shop.asked()
    shop.realm.clock.advance(0.5)

    assert _code(ann.take()) == "hopsack.deadline"
    assert [message[0] for message in shop.service.take()] == [INTERRUPT]
    assert _code(_buy(ann, 2)) == "hopsack.outcome_unknown"


def test_a_repeat_has_a_deadline_of_its_own(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    _buy(ann, 2, timeout=100)
    shop.realm.clock.advance(0.1)
    late = ann.take()
    shop.sells(invocation)
    shop.committed()

    assert _code(late) == "hopsack.deadline"
    assert ann.take() == [[RESULT, 1, {}, [7]]]


def test_it_is_cancelled_when_all_who_wait_have_cancelled(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    shop.asked()
    _buy(ann, 2)

    assert _code(ann.send(CANCEL, 1, {})) == "hopsack.canceled"
    assert shop.service.take() == []
    assert _code(ann.send(CANCEL, 2, {})) == "hopsack.canceled"
    assert [message[0] for message in shop.service.take()] == [INTERRUPT]


def test_time_that_the_disk_takes_is_the_call_s(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1, timeout=500)
    shop.realm.clock.advance(0.3)
    shop.committed()
    (asked,) = [message for message in shop.service.take() if message[0] == INVOCATION]
    shop.realm.clock.advance(0.2)

    assert asked[3]["timeout"] == 200
    assert _code(ann.take()) == "hopsack.deadline"


def test_a_disk_that_hangs_keeps_nobody_and_what_nobody_waits_for_does_not_begin(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1, timeout=500)
    shop.realm.clock.advance(0.5 + GRACE)
    late = ann.take()
    shop.committed()
    before = shop.asked()
    _buy(ann, 2)
    shop.committed()
    shop.committed()

    assert _code(late) == "hopsack.deadline"
    assert before == []
    assert len(shop.asked()) == 1, "its key is free again"


def test_a_disk_that_hangs_with_the_outcome_keeps_nobody(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1, timeout=500)
    shop.committed()
    (invocation,) = shop.asked()
    shop.sells(invocation)
    shop.realm.clock.advance(0.5 + GRACE)
    late = ann.take()
    shop.committed()

    assert _code(late) == "hopsack.deadline"
    assert _buy(ann, 2) == [[RESULT, 2, {}, [7]]]


def test_one_that_is_cancelled_before_it_is_written_does_not_begin(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    canceled = ann.send(CANCEL, 1, {})
    shop.committed()

    assert _code(canceled) == "hopsack.canceled"
    assert shop.asked() == []


def test_one_that_is_cancelled_and_asked_for_again_before_it_is_written_begins(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    ann.send(CANCEL, 1, {})
    _buy(ann, 2)
    shop.committed()
    (invocation,) = shop.asked()
    shop.sells(invocation)
    shop.committed()

    assert ann.take() == [[RESULT, 2, {}, [7]]]


def test_one_whose_caller_leaves_before_it_is_written_goes_on(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    ann.leave()
    shop.committed()

    assert len(shop.asked()) == 1


def test_an_outcome_that_is_too_large_for_one_is_told_to_the_others() -> None:
    shop = Shop(Disk(), CONTRACTS.replace("output: {type: integer}", "output: {type: string}"))
    small = shop.realm.join("user", "ann", max_size=2000)
    large = shop.realm.join("user", "ann")
    _buy(small, 1)
    _buy(large, 1)
    shop.committed()
    (invocation,) = shop.asked()
    shop.service.send(YIELD, invocation, {}, ["x" * 5000])
    shop.committed()

    assert _code(small.take()) == "hopsack.too_large"
    assert large.take() == [[RESULT, 1, {}, ["x" * 5000]]]


def test_keys_belong_to_users_and_guests_share_theirs(shop: Shop) -> None:
    _buy(shop.realm.join("user", "ann"), 1)
    shop.committed()
    _buy(shop.realm.join("user", "bob"), 1)
    shop.committed()
    assert len(shop.asked()) == 2

    _buy(shop.realm.join("guest", "guest-1"), 1)
    shop.committed()
    (invocation,) = shop.asked()
    shop.sells(invocation)
    shop.committed()
    assert _buy(shop.realm.join("guest", "guest-2"), 1) == [[RESULT, 1, {}, [7]]]


def test_another_input_with_a_key_is_refused(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)

    assert _code(_buy(ann, 2, "coffee")) == "hopsack.bad_request"


def test_one_with_progress_is_refused(shop: Shop) -> None:
    assert _code(_buy(shop.realm.join("user", "ann"), 1, receive_progress=True)) == "hopsack.bad_request"


def test_a_disk_that_is_full_refuses_before_anything_runs(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    shop.disk.full = True
    _buy(ann, 1)
    shop.committed()
    refused = ann.take()
    shop.disk.full = False
    shop.committed()
    _buy(ann, 2)
    shop.committed()

    assert _code(refused) == "hopsack.store_failed"
    assert len(shop.asked()) == 1


def test_an_outcome_that_cannot_be_written_is_told_and_not_done_again(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    shop.disk.full = True
    shop.sells(invocation)
    shop.committed()

    assert ann.take() == [[RESULT, 1, {}, [7]]]
    assert [row.outcome for row in shop.disk.rows.values()] == [None]


def test_a_node_that_was_killed_amid_a_call_does_not_run_it_again() -> None:
    disk = Disk()
    before = Shop(disk)
    _buy(before.realm.join("user", "ann"), 1)
    before.committed()
    assert len(before.asked()) == 1

    after = Shop(disk)

    assert _code(_buy(after.realm.join("user", "ann"), 1)) == "hopsack.outcome_unknown"
    assert after.asked() == []


def test_a_node_that_was_killed_after_a_call_still_knows_its_outcome() -> None:
    disk = Disk()
    before = Shop(disk)
    _buy(before.realm.join("user", "ann"), 1)
    before.committed()
    (invocation,) = before.asked()
    before.sells(invocation)
    before.committed()

    assert _buy(Shop(disk).realm.join("user", "ann"), 1) == [[RESULT, 1, {}, [7]]]


def test_after_its_time_a_key_is_free(shop: Shop) -> None:
    ann = shop.realm.join("user", "ann")
    _buy(ann, 1)
    shop.committed()
    (invocation,) = shop.asked()
    shop.sells(invocation)
    shop.committed()
    ann.take()
    shop.realm.clock.advance(121)
    shop.committed()
    assert shop.disk.rows == {}

    _buy(ann, 2)
    shop.committed()

    assert len(shop.asked()) == 1


def test_closing_writes_what_waits(shop: Shop) -> None:
    _buy(shop.realm.join("user", "ann"), 1)
    closed = shop.keyed.close()
    shop.lane.step()
    shop.lane.step()

    assert closed.called
    assert len(shop.disk.rows) == 1
