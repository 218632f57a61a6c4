from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.board import (
    ACKNOWLEDGE,
    DEFAULTS,
    REMIND,
    REMIND_AFTER,
    RETRY_AFTER,
    Answered,
    Ask,
    Board,
    Clear,
    Describe,
    Described,
    Effect,
    Raise,
    Sampled,
)
from hopsack_contracts import Alert, AlertsBadHysteresis, AlertThreshold, HostDescription

WEB = HostDescription(
    host="web", system="Linux", release="6", machine="x86_64", cpus=4, memory_total=1, boot_time=0, python="3.11"
)
AT_ONCE = AlertThreshold(metric="cpu", raise_at=90, clear_at=75, for_s=0)


def quick_board(asks: bool = True) -> Board:
    """A board that raises at once and knows the host ``web``."""
    board = Board(asks=asks)
    board.set_threshold(AT_ONCE)
    assert board.receive(cpu(0, 10)) == [Describe("web")]
    assert board.receive(Described("web", WEB)) == []
    return board


def cpu(at: float, value: float, host: str = "web") -> Sampled:
    return Sampled(host, at, {"cpu": value})


def test_an_alert_from_raising_to_clearing() -> None:
    board = quick_board()

    raised = Alert(
        id="cpu/1.000/web",
        host="web",
        metric="cpu",
        value=97.25,
        threshold=AT_ONCE,
        at=1,
        message="web (Linux x86_64, 4 cores): CPU busy at or above 90 %, now 97.2 %",
        acknowledged_by=None,
        cleared_at=None,
    )
    assert board.receive(cpu(1, 97.25)) == [Raise(raised), Ask(raised)]
    assert board.listing().active == (raised,)
    assert board.receive(cpu(2, 80)) == []
    cleared = replace(
        raised,
        value=50,
        cleared_at=3,
        message="web (Linux x86_64, 4 cores): CPU busy at or below 75 % again, now 50.0 %",
    )
    assert board.receive(cpu(3, 50)) == [Clear(cleared)]
    assert board.listing().active == ()


def test_the_default_waits_before_it_raises() -> None:
    board = Board(asks=False)

    effects = [board.receive(cpu(at, 99)) for at in range(11)]

    assert effects[0] == [Describe("web")]
    assert effects[1:10] == [[]] * 9
    assert [type(effect) for effect in effects[10]] == [Raise]


def test_whoever_acknowledges_is_named_and_not_asked_again() -> None:
    board = quick_board()
    board.receive(cpu(1, 99))

    effects = board.receive(Answered("cpu/1.000/web", ACKNOWLEDGE, "ada"))

    (alert,) = board.listing().active
    assert effects == [Raise(alert)]
    assert alert.acknowledged_by == "ada"
    assert board.receive(cpu(1e6, 99)) == []


@pytest.mark.parametrize(
    ("choice", "by", "delay"),
    [
        (REMIND, "ada", REMIND_AFTER),
        (None, "ada", REMIND_AFTER),
        ("Destroy", "ada", REMIND_AFTER),
        (None, None, RETRY_AFTER),
    ],
)
def test_without_an_acknowledgement_the_question_comes_again(choice: str | None, by: str | None, delay: float) -> None:
    board = quick_board()
    board.receive(cpu(1, 99))
    assert board.receive(cpu(1 + 2 * delay, 99)) == [], "not while it is open"

    board.receive(cpu(2, 99))
    assert board.receive(Answered("cpu/1.000/web", choice, by)) == []

    assert board.receive(cpu(1 + delay, 99)) == []
    assert board.receive(cpu(2 + delay, 99)) == [Ask(board.listing().active[0])]
    assert board.listing().active[0].acknowledged_by is None


def test_an_answer_that_comes_after_the_alert_has_cleared_is_dropped() -> None:
    board = quick_board()
    board.receive(cpu(1, 99))
    board.receive(cpu(2, 1))

    assert board.receive(Answered("cpu/1.000/web", ACKNOWLEDGE, "ada")) == []


def test_with_nobody_to_ask_nobody_is_asked() -> None:
    board = quick_board(asks=False)

    assert [type(effect) for effect in board.receive(cpu(1, 99))] == [Raise]


def test_a_host_that_nobody_describes_goes_by_its_name_and_is_asked_about_again() -> None:
    board = quick_board()
    board.receive(cpu(1, 10, "db"))
    board.receive(Described("db", None))

    raised = board.receive(cpu(2, 99, "db"))[0]

    assert isinstance(raised, Raise)
    assert raised.alert.message == "db: CPU busy at or above 90 %, now 99.0 %"
    assert Describe("db") in board.receive(cpu(1 + RETRY_AFTER, 99, "db"))


def test_a_threshold_that_cannot_clear_is_refused() -> None:
    board = Board()

    with pytest.raises(AlertsBadHysteresis) as refused:
        board.set_threshold(replace(AT_ONCE, clear_at=90))

    assert refused.value.path == "/clear_at"
    assert board.listing().thresholds == tuple(DEFAULTS.values())


def test_what_was_saved_stands_again() -> None:
    board = quick_board()
    board.receive(cpu(1, 99))

    again = Board(board.listing())

    assert again.listing() == board.listing()
    assert [type(effect) for effect in again.receive(cpu(2, 50))] == [Describe, Clear]


def test_a_host_too_many_takes_the_place_of_the_one_silent_longest() -> None:
    board = Board(most_hosts=2)
    board.set_threshold(AT_ONCE)
    board.receive(cpu(1, 99, "old"))
    board.receive(cpu(2, 99, "new"))

    effects = board.receive(cpu(3, 10, "newest"))

    assert [type(effect) for effect in effects] == [Clear, Describe]
    assert [alert.host for alert in board.listing().active] == ["new"]


_samples = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 100), st.floats(0, 30)), max_size=60)


@given(_samples, st.floats(0, 20))
def test_every_alert_that_is_raised_clears_once_before_the_next(
    samples: list[tuple[str, float, float]], for_s: float
) -> None:
    board = Board(asks=False, most_hosts=2)
    board.set_threshold(replace(AT_ONCE, for_s=for_s))
    standing: dict[str, Alert] = {}
    at = 0.0

    for host, value, later in samples:
        at += later + 0.01
        for effect in board.receive(cpu(at, value, host)):
            keep_account(standing, effect)
        assert board.listing().active == tuple(sorted(standing.values(), key=lambda alert: alert.at))


def keep_account(standing: dict[str, Alert], effect: Effect) -> None:
    match effect:
        case Raise(alert):
            assert alert.host not in standing
            assert alert.value >= alert.threshold.raise_at
            standing[alert.host] = alert
        case Clear(alert):
            raised = standing.pop(alert.host)
            assert (alert.id, alert.at) == (raised.id, raised.at)
            assert alert.cleared_at is not None
