"""A breaker's life, against a model that remembers every outcome."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from hopsack.contracts.policy import Breaker as Rule
from hopsack_router.routing.breaker import BUCKETS, Breaker, State

RULE = Rule(failures=3, within=10.0, open=2.0)
OUTCOMES = st.sampled_from([True, True, False, None])


class Breaking(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.breaker = Breaker(RULE)
        self.outcomes: list[tuple[float, bool]] = []
        self.opened: float | None = None
        self.under_way: list[bool] = []  # for each call, whether it is the probe

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 1.999, 2.0, 5.0, 11.0]))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        allowed = self.breaker.allows(self.now)
        if self.opened is None:
            assert allowed, "closed"
        elif self.now < self.opened + RULE.open:
            assert not allowed, "open"
            assert 0 < self.breaker.opens_in(self.now) <= RULE.open
        else:
            assert allowed is not any(self.under_way), "half-open: one at a time"
        if allowed:
            self.under_way.append(self.breaker.begins(self.now))
            assert self.under_way[-1] is (self.opened is not None)

    @precondition(lambda self: self.under_way)
    @rule(n=st.integers(0, 99), failed=OUTCOMES)
    def ends(self, n: int, failed: bool | None) -> None:
        was_probe = self.under_way.pop(n % len(self.under_way))
        opens = self.breaker.ended(self.now, failed, was_probe)
        if was_probe:
            assert opens is (failed is True)
            if failed is not None:
                self.opened, self.outcomes = (self.now if failed else None), []
        elif self.opened is not None or failed is None:
            assert not opens, "what was under way before says nothing of now"
        else:
            self.outcomes.append((self.now, failed))
            self.look(opens)

    def look(self, opens: bool) -> None:
        """The breaker looks back in parts of the time: it may overlook what lies in the oldest one."""

        def wants(within: float) -> bool:
            counted = [failed for when, failed in self.outcomes if when > self.now - within]
            return sum(counted) >= RULE.failures and 2 * sum(counted) >= len(counted)

        part = RULE.within / BUCKETS
        if opens:
            assert self.outcomes[-1][1]
            assert wants(RULE.within) or wants(RULE.within - part)
            self.opened, self.outcomes = self.now, []
        elif self.outcomes[-1][1]:
            assert not (wants(RULE.within) and wants(RULE.within - part))

    def teardown(self) -> None:
        assert (self.breaker.state(self.now) is State.CLOSED) is (self.opened is None)


TestBreaking = Breaking.TestCase
TestBreaking.settings = settings(max_examples=200, stateful_step_count=60, deadline=None, derandomize=True)


def test_a_probe_that_ends_without_an_outcome_leaves_its_place_to_the_next() -> None:
    breaker = Breaker(Rule(failures=1, within=1.0, open=1.0))
    breaker.ended(0.0, True, False)
    probe = breaker.begins(1.0)
    while_it_runs = breaker.allows(1.0)

    breaker.ended(1.5, None, probe)

    assert (probe, while_it_runs, breaker.allows(1.5)) == (True, False, True)
    assert breaker.state(1.5) is State.HALF_OPEN


def test_many_good_outcomes_outweigh_a_few_bad_ones() -> None:
    breaker = Breaker(RULE)
    for _ in range(10):
        breaker.ended(0.0, False, False)

    opened = [breaker.ended(0.1, True, False) for _ in range(10)]

    assert opened == [False] * 9 + [True]
