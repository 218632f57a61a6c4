"""Who asks what it has missed: how it stands while the node still has events for it, and what asking costs the node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import CancelledError, Deferred

from hopsack_router.reading_back import AT_ONCE, MAX_WAITING, ReadingBack
from hopsack_router.routing.asked import MAX_POSITIONS
from hopsack_router.routing.backlog import OVERHEAD

from .kept import Page, World


@pytest.fixture
def world() -> World:
    return World()


def behind(world: World, page: Page, *patterns: tuple[str, str], **positions: str) -> Any:
    assert page.link._session is not None
    details: Any = SimpleNamespace(caller=page.link._session._session_id)
    named = {topic.replace("_", "."): position for topic, position in positions.items()}
    covering = [{"topic": topic, "match": match} for topic, match in patterns]
    return ReadingBack(world.node.router).behind({"positions": named, "patterns": covering}, details)


def test_a_reader_that_is_slow_is_not_told_what_it_will_be_given_anyway(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()
    page.link.budget, page.link.buffer = 8 * OVERHEAD, 100
    page.link.pauseProducing()
    for number in range(1, 41):
        service.publish("lab.log", number)
    world.settle()

    with pytest.raises(ApplicationError) as refused:
        behind(world, page, lab_log="e:0")

    assert refused.value.kwargs["code"] == "hopsack.overloaded"
    assert list(behind(world, service, lab_log="e:0")) == ["lab.log"]


def test_who_asks_about_a_pattern_is_answered_without_a_look_at_all_topics_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, page = world.reader(role="service"), world.reader()
    for number in range(20):
        service.publish(f"lab.run.{'ab'[number % 2]}{number}", number)
    world.settle()
    looked: list[str] = []
    head = world.journal.head
    monkeypatch.setattr(world.node.router.keeping, "topics", lambda: pytest.fail("there may be 100,000"))

    def look(topic: str) -> Any:
        looked.append(topic)
        return head(topic)

    monkeypatch.setattr(world.journal, "head", look)

    told = behind(world, page, ("lab.run.a", "prefix"), ("lab.run.a", "prefix"), ("lab.run.b1", "prefix"))

    wanted = {f"lab.run.a{number}" for number in range(0, 20, 2)} | {f"lab.run.b{n}" for n in (1, 11, 13, 15, 17, 19)}
    assert set(told) == set(looked) == wanted


def test_of_too_many_streams_those_are_told_that_changed_last(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    for number in range(MAX_POSITIONS + 10):
        service.publish(f"lab.run.{number}", number)
        if number % 100 == 0:
            world.settle()
    world.settle()

    told = behind(world, page, ("lab.run.", "prefix"))

    assert set(told) == {f"lab.run.{number}" for number in range(10, MAX_POSITIONS + 10)}


class Asking:
    """A caller of ``hopsack.stream.read`` whose stream has to be looked up on the disk."""

    def __init__(self, world: World) -> None:
        self.world, self.page = world, world.reader()
        assert self.page.link._session is not None
        self.details: Any = SimpleNamespace(caller=self.page.link._session._session_id)
        self.reading = ReadingBack(world.node.router)
        self.answers: list[Any] = []

    def ask(self, times: int) -> list[Deferred[Any]]:
        asked = [self.reading.read({"topic": "lab.log", "limit": 2}, self.details) for _ in range(times)]
        for one in asked:
            one.addBoth(self.answers.append)
        return asked

    @property
    def under_way(self) -> int:
        return len(self.world.lanes["journal-reader"].jobs)


@pytest.fixture
def asking() -> Asking:
    world = World(tail=0)
    service = world.reader(role="service")
    for number in range(10):
        service.publish("lab.log", number)
    world.settle()
    return Asking(world)


def test_who_reads_back_much_at_once_keeps_nobody_else_from_the_disk(asking: Asking) -> None:
    asking.ask(20)
    assert asking.under_way == AT_ONCE

    asking.world.settle()

    assert [len(page["events"]) for page in asking.answers] == [2] * 20
    assert not asking.reading._turns


def test_who_cancels_what_it_asked_gets_no_more_turns_for_it(asking: Asking) -> None:
    for _ in range(3):
        for one in asking.ask(20):
            one.cancel()
    assert asking.under_way == AT_ONCE

    asking.world.settle()

    assert all(answer.check(CancelledError) for answer in asking.answers)
    assert not asking.reading._turns


def test_so_many_wait_to_read_back_and_no_more(asking: Asking) -> None:
    asking.ask(AT_ONCE + MAX_WAITING)
    assert asking.answers == []

    asking.ask(1)

    (refusal,) = asking.answers
    assert refusal.value.kwargs["code"] == "hopsack.overloaded"


def test_who_has_left_is_not_read_for(asking: Asking) -> None:
    asking.ask(MAX_WAITING)
    asking.page.lost()

    asking.world.write()
    while asking.under_way:
        asking.world.look_up()

    assert len([one for one in asking.answers if isinstance(one, dict)]) == AT_ONCE
    assert not asking.reading._turns
