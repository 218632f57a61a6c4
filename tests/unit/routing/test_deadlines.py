"""Deadlines on Twisted's clock; how they work at all is told in tests/unit/library/test_deadlines.py."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from hopsack.deadlines import Deadlines
from hopsack_router.routing.deadlines import deadlines


def kept() -> tuple[Clock, Deadlines, list[tuple[str, float]]]:
    clock, expired = Clock(), []
    return clock, deadlines(clock, lambda call, given: expired.append((call, given))), expired


def test_calls_expire_each_at_its_time() -> None:
    clock, calls, expired = kept()
    calls.begin("a", 1)
    clock.advance(0.25)
    calls.begin("b", 1)
    calls.begin("c", 0.5)

    seen = []
    for step in (0.5, 0.25, 0.2499, 0.0002):
        clock.advance(step)
        seen.append(list(expired))

    c, a, b = ("c", 0.5), ("a", 1), ("b", 1)
    assert seen == [[c], [c, a], [c, a], [c, a, b]]


def test_many_calls_need_one_timer_and_none_in_the_end() -> None:
    clock, calls, expired = kept()
    for n in range(1000):
        calls.begin(n, 1).end(n)

    timers = len(clock.getDelayedCalls())
    clock.advance(1)

    assert (timers, len(clock.getDelayedCalls()), expired) == (1, 0, [])


def test_who_ends_another_one_of_many_lengths_while_its_time_is_over_harms_nobody() -> None:
    """A timer that has fired cannot be cancelled: Twisted would raise."""
    clock, expired = Clock(), []

    def expire(call: str, _: float) -> None:
        expired.append(call)
        lane.end("other")

    calls = deadlines(clock, expire)
    for n in range(100):
        calls.begin(n, 1000 + n)
    lane = calls.begin("one", 1)
    calls.begin("other", 1)

    clock.advance(1)

    assert expired == ["one"]


def test_what_goes_wrong_with_one_is_logged_and_does_not_keep_the_others() -> None:
    clock, expired = Clock(), []

    def expire(call: str, _: float) -> None:
        if call == "bad":
            raise RuntimeError(call)
        expired.append(call)

    calls = deadlines(clock, expire)
    for call in ("bad", "good"):
        calls.begin(call, 1)
    with capturedLogs() as logged:
        clock.advance(1)

    assert expired == ["good"]
    assert [event["log_failure"].getErrorMessage() for event in logged] == ["bad"]
