"""The ledger of calls believes a true history, and finds each way in which one can be false."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack_bench.outcomes import OK, Ledger, Stalls, Verdict, lines_of

SLOTS = {"one": 1, "two": 2}


def runs(ledger: Ledger, run: str, work: str = "w", procedure: str = "chaos.plain", value: int | None = 7) -> None:
    ledger.executed({"run": run, "id": work, "procedure": procedure, "at": 10.5})
    if value is not None:
        ledger.executed({"run": run, "value": value})


def result(run: str, work: str = "w", value: int = 7) -> dict[str, Any]:
    return {"id": work, "run": run, "value": value}


def asks(ledger: Ledger, code: str = OK, value: Any = None, procedure: str = "chaos.plain", at: float = 11.0) -> None:
    ledger.ended(ledger.begun("ann", procedure, "w", 10.0, 1.0), at, code, value)


def holds(ledger: Ledger, lock: str, pid: int, token: int, at: float, holds: bool = True) -> None:
    ledger.held({"lock": lock, "pid": pid, "token": token, "holds": holds, "at": at})


def judged(ledger: Ledger, stalls: Stalls | None = None) -> Verdict:
    return ledger.judge(stalls or Stalls(), SLOTS)


def test_a_true_history_is_believed() -> None:
    ledger = Ledger()
    asks(ledger, OK, result("a"), at=11.04)
    asks(ledger, "hopsack.deadline", procedure="chaos.plain")
    runs(ledger, "a")
    for token, pid in enumerate((1, 2, 1), 1):
        holds(ledger, "one", pid, token, token)
        holds(ledger, "one", pid, token, token + 0.5, holds=False)
    holds(ledger, "two", 1, 8, 1.0)
    holds(ledger, "two", 2, 7, 1.0)

    verdict = judged(ledger)

    assert verdict.faults == ()
    assert (verdict.calls, verdict.executions, verdict.grants) == (2, 1, 5)
    assert verdict.codes == {OK: 1, "hopsack.deadline": 1}


@pytest.mark.parametrize(("lost", "counts"), [(0.0, {"late": 1}), (0.5, {})])
def test_a_late_end_counts_unless_the_machine_was_away(lost: float, counts: dict[str, int]) -> None:
    ledger, stalls = Ledger(), Stalls()
    asks(ledger, "hopsack.deadline", at=11.4)
    stalls.beat(11.0, 0.0)
    stalls.beat(11.5, lost)

    verdict = judged(ledger, stalls)

    assert verdict.counts == counts
    assert verdict.late_at_all == pytest.approx(0.4)
    assert verdict.late == pytest.approx(max(0.4 - lost, 0))


def test_what_the_machine_took_elsewhere_excuses_nothing() -> None:
    ledger, stalls = Ledger(), Stalls()
    asks(ledger, "hopsack.deadline", at=11.4)
    for at, lost in ((10.2, 0.0), (10.5, 0.3), (11.0, 0.1), (11.5, 0.0), (12.0, 0.5)):
        stalls.beat(at, lost)

    assert judged(ledger, stalls).counts == {"late": 1}


def test_each_fault_is_found() -> None:
    ledger = Ledger()
    ledger.begun("bob", "chaos.plain", "never", 10.0, 1.0)
    asked = ledger.begun("bob", "chaos.plain", "x", 10.0, 1.0)
    ledger.ended(asked, 10.5, OK, result("x1", "x"))
    ledger.ended(asked, 10.6, OK, result("x1", "x"))
    runs(ledger, "x1", "x", value=8)  # another value than came
    asks(ledger, OK, result("unheard"))  # nobody wrote that it ran
    runs(ledger, "twice-1", "twice")
    runs(ledger, "twice-2", "twice")

    assert judged(ledger).counts == {"unanswered": 1, "answered twice": 1, "altered": 2, "done twice": 1}


@pytest.mark.parametrize(("times", "sends", "counts"), [(3, 1, {}), (4, 1, {"tried too often": 1}), (6, 2, {})])
def test_what_is_idempotent_may_run_as_often_as_it_is_tried(times: int, sends: int, counts: dict[str, int]) -> None:
    ledger = Ledger()
    asked = ledger.begun("ann", "chaos.again", "w", 10.0, 1.0)
    asked.sends = sends
    ledger.ended(asked, 10.5, "hopsack.outcome_unknown")
    for number in range(times):
        runs(ledger, f"r{number}", procedure="chaos.again", value=None)

    assert judged(ledger).counts == counts


def test_two_answers_of_one_key_are_of_one_execution() -> None:
    ledger = Ledger()
    asks(ledger, OK, result("a"), "chaos.keyed")
    asks(ledger, OK, result("a"), "chaos.keyed")
    runs(ledger, "a", procedure="chaos.keyed")
    assert judged(ledger).is_clean

    asks(ledger, OK, result("b"), "chaos.keyed")
    runs(ledger, "b", procedure="chaos.keyed")
    assert judged(ledger).counts["done twice"] >= 1


def test_a_lock_is_held_by_as_many_as_it_has_slots() -> None:
    ledger = Ledger()
    holds(ledger, "one", 1, 1, 1.0)
    holds(ledger, "one", 2, 2, 1.1)
    holds(ledger, "one", 1, 1, 1.2, holds=False)
    holds(ledger, "two", 1, 3, 1.0)
    holds(ledger, "two", 2, 4, 1.0)

    assert judged(ledger).counts == {"shared": 1}


def test_who_was_killed_holds_nothing() -> None:
    ledger = Ledger()
    holds(ledger, "one", 1, 1, 1.0)
    ledger.killed(1, 1.05)
    holds(ledger, "one", 2, 2, 1.1)

    assert judged(ledger).is_clean


def test_writes_with_older_tokens_are_found() -> None:
    ledger = Ledger()
    holds(ledger, "one", 2, 2, 1.0)
    holds(ledger, "one", 2, 2, 1.1, holds=False)
    ledger.held({"lock": "one", "pid": 1, "token": 1, "writes": True, "at": 1.2})

    assert judged(ledger).counts == {"went back": 1}


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert list(lines_of(b'{"a": 1}\n{"b": 2}\n{"c"')) == [b'{"a": 1}', b'{"b": 2}']
