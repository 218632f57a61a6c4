"""Deadlines are exact, and those of calls that ended in time cost no timer each."""

from __future__ import annotations

from twisted.internet.task import Clock

from hopsack_router.routing.deadlines import MAX_IDLE, Deadlines


def deadlines() -> tuple[Clock, Deadlines, list[tuple[str, int]]]:
    clock, expired = Clock(), []
    return clock, Deadlines(clock, lambda call, given: expired.append((call, given))), expired


def test_calls_expire_each_at_its_time() -> None:
    clock, calls, expired = deadlines()
    calls.begin("a", 1000)
    clock.advance(0.25)
    calls.begin("b", 1000)
    calls.begin("c", 500)

    seen = []
    for step in (0.5, 0.25, 0.2499, 0.0002):
        clock.advance(step)
        seen.append(list(expired))

    c, a, b = ("c", 500), ("a", 1000), ("b", 1000)
    assert seen == [[c], [c, a], [c, a], [c, a, b]]


def test_a_call_that_ended_in_time_does_not_expire_and_delays_nobody() -> None:
    clock, calls, expired = deadlines()
    lane = calls.begin("a", 1000)
    clock.advance(0.1)
    calls.begin("b", 1000)
    lane.end("a")
    lane.end("a")

    clock.advance(0.9)
    assert expired == []
    clock.advance(0.1)

    assert expired == [("b", 1000)]


def test_many_calls_need_one_timer_and_none_in_the_end() -> None:
    clock, calls, expired = deadlines()
    for n in range(1000):
        calls.begin(n, 1000).end(n)

    timers = len(clock.getDelayedCalls())
    clock.advance(1)

    assert (timers, len(clock.getDelayedCalls()), expired) == (1, 0, [])


def test_odd_lengths_leave_no_timers_behind() -> None:
    clock, calls, _ = deadlines()
    for n in range(1000):
        calls.begin(n, 10**9 + n).end(n)

    assert len(clock.getDelayedCalls()) <= MAX_IDLE


def test_what_goes_wrong_with_one_does_not_keep_the_others() -> None:
    clock, expired = Clock(), []

    def expire(call: str, _: int) -> None:
        if call == "bad":
            raise RuntimeError(call)
        expired.append(call)

    calls = Deadlines(clock, expire)
    for call in ("bad", "good"):
        calls.begin(call, 1000)

    clock.advance(1)

    assert expired == ["good"]


def test_a_call_may_begin_while_others_expire() -> None:
    clock, expired = Clock(), []

    def expire(call: str, _: int) -> None:
        expired.append(call)
        calls.begin(call + "'", 1000)

    calls = Deadlines(clock, expire)
    calls.begin("a", 1000)
    for _ in range(3):
        clock.advance(1)

    assert expired == ["a", "a'", "a''"]
