"""The node's reactor counts with the monotonic clock, so its timers do not follow the wall clock when it is set."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.selectreactor import SelectReactor

from hopsack_router.clocks import UnixTime, count_steadily


class Wall:
    """A clock that is set."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return 1.8e9 + time.monotonic() + self.offset


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(wall))
    return wall


@pytest.fixture
def reactor(wall: Wall) -> Iterator[Any]:
    reactor = SelectReactor()
    yield reactor
    reactor.removeAll()
    for end in (reactor.waker.i, reactor.waker.o):
        os.close(end)


def due(reactor: Any) -> float | None:
    """Seconds until the reactor would wake up by itself."""
    wait: float | None = reactor.timeout()
    return wait


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
def test_timers_do_not_follow_a_clock_that_is_set(reactor: Any, wall: Wall, set_by: float) -> None:
    fired: list[str] = []
    reactor.callLater(30.0, fired.append, "before")
    reactor.callLater(10.0, fired.append, "cancelled").cancel()
    count_steadily(reactor)
    reactor.callLater(20.0, fired.append, "after")
    reactor.callLater(0.0, fired.append, "now")

    wall.offset = set_by
    reactor.runUntilCurrent()

    assert fired == ["now"]
    assert sorted(call.getTime() - reactor.seconds() for call in reactor.getDelayedCalls()) == pytest.approx(
        [20.0, 30.0], abs=5.0
    )
    assert due(reactor) == pytest.approx(20.0, abs=5.0)


def test_who_asks_what_time_it_is_is_told(reactor: Any) -> None:
    count_steadily(reactor)

    assert reactor.seconds() == pytest.approx(time.monotonic(), abs=5.0)
    assert UnixTime(reactor).seconds() == pytest.approx(time.time(), abs=5.0)
