"""Token buckets, with a clock turned by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.access.buckets import LONGEST_BACKOFF, Bucket, Guesses, Shared

SLACK = 1e-5


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst=3)

    at_once = [bucket.take(100.0) for _ in range(5)]

    assert at_once[:3] == [0.0, 0.0, 0.0]
    assert abs(at_once[3] - 0.1) < SLACK
    assert at_once[3] == at_once[4]
    assert bucket.take(100.1) == 0.0
    assert bucket.take(100.1) > 0


def test_who_wants_more_than_there_can_be_pays_all_of_it() -> None:
    bucket = Bucket(rate=100, burst=1000)

    assert bucket.take(5.0, 50_000) == 0.0
    assert abs(bucket.take(5.0, 1) - 0.01) < SLACK
    assert abs(bucket.take(5.0, 50_000) - 10) < SLACK


def test_a_rate_of_zero_lets_nothing_through() -> None:
    bucket = Bucket(rate=0, burst=10)

    assert bucket.take(0.0) > 0
    assert bucket.take(1e6) > 0


@given(
    rate=st.floats(0.01, 1e5),
    burst=st.integers(1, 5000),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=200),
    start=st.floats(0, 1e7),
)
def test_never_more_than_rate_and_burst_and_never_less(
    rate: float, burst: int, pauses: list[float], start: float
) -> None:
    bucket, level, now = Bucket(rate, burst), float(burst), start

    for pause in pauses:
        now += pause
        level = min(burst, level + pause * rate)
        wait = bucket.take(now)
        if wait == 0.0:
            assert level >= 1 - SLACK * max(1, rate)
            level -= 1
        else:
            assert level < 1 + SLACK * max(1, rate)


@given(rate=st.floats(0.01, 1e5), burst=st.integers(1, 100), start=st.floats(0, 1e6))
def test_who_comes_back_when_told_is_let_in(rate: float, burst: int, start: float) -> None:
    bucket = Bucket(rate, burst)
    while not (wait := bucket.take(start)):
        pass

    assert bucket.late(start) <= wait + SLACK
    assert bucket.take(start + wait) == 0.0


def test_a_table_is_bounded_and_forgets_what_is_full() -> None:
    shared = Shared(rate=1, burst=2, most=10)
    for number in range(100):
        shared.of(number, now=0.0).take(0.0)

    assert len(shared) <= 10

    busy = shared.of("busy", now=1000.0)
    busy.take(1000.0)
    for number in range(100, 108):
        shared.of(number, now=1000.0)

    assert shared.of("busy", now=1000.0) is busy


def test_guesses_wait_longer_and_longer_and_a_success_forgets_them() -> None:
    guesses = Guesses(rate=10 / 60, burst=10)
    for _ in range(10):
        assert guesses.wait("ann", 0.0) == 0.0
        guesses.failed("ann", 0.0)

    waits, now = [], 0.0
    for _ in range(8):
        waits.append(round(guesses.wait("ann", now)))
        now += guesses.wait("ann", now)
        guesses.failed("ann", now)

    assert waits == [6, 12, 24, 48, 96, 192, 300, 300]
    assert max(waits) <= LONGEST_BACKOFF
    assert guesses.wait("bob", now) == 0.0
    guesses.succeeded("ann")
    assert guesses.wait("ann", now) == 0.0


def test_who_has_failed_long_ago_begins_anew() -> None:
    guesses = Guesses(rate=10 / 60, burst=10)
    for _ in range(12):
        guesses.failed("ann", 0.0)

    assert guesses.wait("ann", 0.0) > 0
    later = 10_000.0
    assert guesses.wait("ann", later) == 0.0
    guesses.failed("ann", later)
    assert guesses.wait("ann", later) == 0.0


def test_the_table_of_guesses_is_bounded() -> None:
    guesses = Guesses(rate=1, burst=1, most=16)
    for number in range(1000):
        guesses.failed(number, float(number) / 1e6)

    assert len(guesses) <= 16
