"""The wall clock jumps by an hour: ages, windows and order are what they would be without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from hopsack_router.streams.events import Page, Retention
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.moments import Hours, Moment, since_start
from hopsack_router.streams.position import Position
from hopsack_router.streams.store import Store
from tests.unit.streams.stage import append, draft, now, random, read_all, sqlite, texts

HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour on", "an hour back"])
AGED = Retention(keep=1000, seconds=HOUR)


class Machine:
    """A wall clock that can be set, and what counts from the machine's start, which cannot."""

    def __init__(self) -> None:
        self.timers = Clock()
        self.timers.advance(500.0)
        self.ahead = 1_000_000.0
        self.boots = 1

    def seconds(self) -> float:
        return self.timers.seconds() + self.ahead

    def counted(self) -> float:
        return self.timers.seconds()

    def callLater(self, *call: Any) -> Any:
        return self.timers.callLater(*call)

    def restart(self, jump: float = 0.0) -> None:
        """Another start of the machine, with a clock that is wrong by that."""
        self.ahead += self.timers.seconds() + jump
        self.timers = Clock()
        self.boots += 1

    def journal(self, store: Store, of: Callable[[str], Retention] = lambda topic: AGED) -> Journal:
        journal = Journal(
            store,
            of,
            clock=self,
            random=random(self.boots),
            bounds=Bounds(tail_topic_bytes=0),
            counted=self.counted,
            lane=None,
        )
        now(journal.start())
        return journal

    def on_disk(self, folder: Path) -> Journal:
        store = sqlite(folder, self.timers, boot=f"boot-{self.boots}")
        return self.journal(store)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@JUMPS
def test_a_jump_takes_no_event_and_keeps_none_for_longer(machine: Machine, jump: float) -> None:
    journal = machine.journal(MemoryStore())
    append(journal, "a.b", "one")
    machine.timers.advance(200)  # what comes within a thirty-second of its age may go together

    machine.ahead += jump
    append(journal, "a.b", "two")
    machine.timers.advance(HOUR - 201)
    assert texts(read_all(journal, "a.b")) == ["one", "two"]  # type: ignore[arg-type]

    machine.timers.advance(1)
    assert texts(read_all(journal, "a.b")) == ["two"]  # type: ignore[arg-type]
    machine.timers.advance(200)
    assert read_all(journal, "a.b") == []


@JUMPS
def test_a_jump_neither_ends_nor_lengthens_the_window_of_a_key(machine: Machine, jump: float) -> None:
    journal = machine.journal(MemoryStore())
    now(journal.append("a.b", draft("one", key="k")))

    machine.ahead += jump
    machine.timers.advance(119)
    assert now(journal.append("a.b", draft("one", key="k"))).repeated
    machine.timers.advance(1)
    assert now(journal.append("a.b", draft("one", key="k"))).offset == 2


def test_stamps_never_go_back_and_order_stays(machine: Machine) -> None:
    journal = machine.journal(MemoryStore())
    events = append(journal, "a.b", "one")
    machine.ahead -= HOUR
    machine.timers.advance(60)
    events += append(journal, "a.b", "two")
    machine.timers.advance(HOUR)
    events += append(journal, "a.b", "three")

    begin = events[0].time
    assert [event.time - begin for event in events] == [0.0, 0.0, 60.0]
    assert [event.offset for event in events] == [1, 2, 3]
    page = now(journal.read_back("a.b", since=begin + 1))
    assert isinstance(page, Page)
    assert texts(page.events) == ["three"]


def test_a_jump_is_told_in_the_log_once(machine: Machine) -> None:
    machine.journal(MemoryStore())
    with capturedLogs() as logs:
        for change in (0.4, -0.4, HOUR, 0.0, -2 * HOUR):  # a clock that is corrected a little does not jump
            machine.ahead += change
            machine.timers.advance(1)

    assert [formatEvent(log) for log in logs] == [
        "the clock jumped by +3600 s; ages and windows are counted as if it had not",
        "the clock jumped by -7200 s; ages and windows are counted as if it had not",
    ]


@JUMPS
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_jump_round_a_restart_of_the_node_changes_nothing(
    tmp_path: Path, machine: Machine, jump: float, when: str
) -> None:
    journal = machine.on_disk(tmp_path)
    now(journal.append("a.b", draft("one", key="k")))
    if when == "before":
        machine.ahead += jump
        machine.timers.advance(1)
        append(journal, "a.b", "two")
    now(journal.close())
    if when == "between":
        machine.ahead += jump
    machine.timers.advance(100)

    again = machine.on_disk(tmp_path)

    assert now(again.append("a.b", draft("one", key="k"))).repeated
    machine.timers.advance(HOUR - 102)
    assert texts(read_all(again, "a.b"))[0] == "one"  # type: ignore[arg-type]
    machine.timers.advance(2)
    assert now(again.append("a.b", draft("one", key="k"))).offset == 2 + (when == "before")
    assert "one" not in texts(read_all(again, "a.b"))[:-1]  # type: ignore[arg-type]
    now(again.close())


@JUMPS
def test_a_jump_before_the_machine_is_restarted_changes_nothing(tmp_path: Path, machine: Machine, jump: float) -> None:
    journal = machine.on_disk(tmp_path)
    append(journal, "a.b", "one")
    machine.ahead += jump
    machine.timers.advance(10)  # nothing is published: what time it is, is written all the same
    now(journal.close())
    machine.restart()
    machine.timers.advance(20)

    again = machine.on_disk(tmp_path)

    machine.timers.advance(HOUR - 32)
    assert texts(read_all(again, "a.b")) == ["one"]  # type: ignore[arg-type]
    machine.timers.advance(3)
    assert read_all(again, "a.b") == []
    now(again.close())


def test_after_a_restart_of_the_machine_with_a_clock_that_is_behind_nothing_is_kept_for_ever(
    tmp_path: Path, machine: Machine
) -> None:
    journal = machine.on_disk(tmp_path)
    (event,) = append(journal, "a.b", "one")
    now(journal.close())
    machine.restart(-50 * HOUR)

    again = machine.on_disk(tmp_path)

    assert again.head("a.b") == Position(event.epoch, 1)
    (later,) = append(again, "a.b", "two")
    assert later.time >= event.time
    machine.timers.advance(HOUR + 200)  # an event goes at most a thirty-second of its age late
    assert read_all(again, "a.b") == []
    now(again.close())


def test_steady_time_goes_on_by_the_machine_else_by_the_wall_and_never_back() -> None:
    wall, counted = [5000.0], [700.0]
    hours = Hours(lambda: wall[0], lambda: counted[0])
    assert hours.now() == Moment(5000.0, 5000.0, 700.0)

    last = Moment(wall=4000.0, steady=90_000.0, counted=600.0)
    hours.go_on(last, same_start=True)
    assert hours.steady() == 90_100.0
    hours.go_on(last, same_start=False)
    assert hours.steady() == 91_000.0
    hours.go_on(last._replace(wall=6000.0), same_start=False)
    assert hours.steady() == 90_000.0
    hours.go_on(last._replace(counted=800.0), same_start=True)  # it counts from another beginning after all
    assert hours.steady() == 91_000.0
    counted[0] += 5
    assert hours.steady() == 91_005.0


def test_what_counts_from_the_start_of_the_machine_never_goes_back() -> None:
    assert 0 < since_start() <= since_start()
