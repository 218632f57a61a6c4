"""Further tries: how many, when, and what may be tried at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from hopsack_router.routing.retrying import BASE, EARNED, ELSEWHERE, LOST, SAVED, Budget, Tries

CODES = st.sampled_from([LOST, *sorted(ELSEWHERE), "hopsack.internal", "hopsack.deadline", "hopsack.denied", "lab.own"])


class Spending(RuleBasedStateMachine):
    """Retries never add more than a fifth to the load, beyond what was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget()
        self.calls = self.spent = self.refused = 0

    @rule(calls=st.integers(0, 30))
    def call(self, calls: int) -> None:
        self.calls += calls
        self.budget.earn(calls)

    @rule()
    def spend(self) -> None:
        had = self.budget.kept
        if self.budget.spend():
            self.spent += 1
        else:
            self.refused += 1
            assert had < 1

    def teardown(self) -> None:
        assert 0 <= self.budget.kept <= SAVED
        assert self.spent <= SAVED + EARNED * self.calls + 1e-6


class Trying(RuleBasedStateMachine):
    """One call, whose tries fail."""

    @initialize(retry=st.integers(0, 4), left=st.floats(0.01, 2.0))
    def begin(self, retry: int, left: float) -> None:
        self.tries, self.retry, self.left = Tries(retry), retry, left
        self.made = 0
        self.may_have_run = self.ended = False
        self.said_no: set[str] = set()

    @rule(
        code=CODES,
        callee=st.sampled_from("abc"),
        ran=st.sampled_from(["no", "maybe"]),
        dice=st.floats(0, 0.999),
        can_pay=st.sampled_from([True, True, True, False]),
    )
    def fails(self, code: str, callee: str, ran: str, dice: float, can_pay: bool) -> None:
        if self.ended or callee in self.said_no:
            return
        paid: list[bool] = []

        def pay() -> bool:
            paid.append(can_pay)
            return can_pay

        wait = self.tries.failed(code, callee, ran, self.left, pay, lambda: dice)  # type: ignore[arg-type]

        self.may_have_run |= ran != "no"
        assert self.tries.ran == ("maybe" if self.may_have_run else "no")
        if code in ELSEWHERE:
            self.said_no.add(callee)
        assert self.tries.without == self.said_no
        if wait is None:
            in_time = dice * BASE * 2**self.made < self.left
            assert (code not in ELSEWHERE and code != LOST) or self.made == self.retry or not can_pay or not in_time
            self.ended = True
            return
        assert paid == [True], "each try is paid for once"
        assert 0 <= wait < min(BASE * 2**self.made, self.left)
        assert code in ELSEWHERE or code == LOST
        self.left -= wait
        self.made += 1
        assert self.made <= self.retry


TestSpending = Spending.TestCase
TestTrying = Trying.TestCase
TestSpending.settings = TestTrying.settings = settings(
    max_examples=100, stateful_step_count=20, deadline=None, derandomize=True
)


@given(st.floats(0, 0.999))
def test_waits_double_and_are_random_from_nothing_on(dice: float) -> None:
    tries = Tries(3)

    waits = [tries.failed(LOST, "a", "maybe", 60.0, lambda: True, lambda: dice) for _ in range(4)]

    assert waits == [dice * BASE, dice * BASE * 2, dice * BASE * 4, None]
