"""What one connection may make the node hold: its budget covers all of it, and its subscriptions are counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hopsack_router.routing import subscriptions
from hopsack_router.routing.backlog import OVERHEAD, Why
from hopsack_router.routing.lagging import Lagging
from hopsack_router.routing.retained import matcher

from .kept import NarrowLink, Page, World
from .test_readers import pack

BUDGET = 64 << 10


@pytest.fixture
def world() -> World:
    return World()


def publish(world: World, topic: str, *payloads: Any) -> None:
    service = world.reader(role="guest" if topic.startswith("lab.room.") else "service")
    for payload in payloads:
        service.publish(topic, payload)
    world.settle()
    service.lost()


def behind(page: Page) -> Lagging:
    assert page.link.lagging is not None
    return page.link.lagging


def read_all(page: Page) -> list[Any]:
    told: list[Any] = []
    for _ in range(200):
        page.link.taken(1 << 20)
        if page.link.paused and not page.link.buffered and page.link.isOpen():
            page.link.resumeProducing()
        page.world.settle()
        told += page.take()
    return told


# ---- paces -----------------------------------------------------------------------------------------------------------


def test_what_waits_for_its_pace_counts_in_the_budget_whatever_the_number_of_subscriptions(world: World) -> None:
    page = world.reader(budget=BUDGET)
    topics = [f"lab.room.r{number}" for number in range(40)]
    for topic in topics:
        page.subscribe(topic, max_rate=0.001)
    page.take()

    for text in ("a", "b", "c"):
        for topic in topics:
            publish(world, topic, text * 4000)
            assert page.link.unsent <= BUDGET
    told = page.take()

    assert page.link.unsent > BUDGET // 3
    world.clock.advance(1000)
    assert {topic: data[0] for topic, data, _ in told + page.take()} == dict.fromkeys(topics, "c")
    assert page.link.unsent == 0


def test_what_waits_for_its_pace_is_forgotten_with_its_subscription(world: World) -> None:
    page = world.reader(budget=BUDGET)
    page.subscribe("lab.room.a", max_rate=0.001)
    (answer,) = page.take()
    publish(world, "lab.room.a", "x", "y", "z")
    held = behind(page).held_elsewhere

    page.unsubscribe(answer["subscription"])
    page.take()

    assert held > OVERHEAD
    assert page.link.lagging is None


# ---- newest values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["lab.order", "lab.state"])
def test_newest_values_on_their_way_count_until_they_are_out(world: World, topic: str) -> None:
    publish(world, topic, *({"id": f"{number:0100}"} for number in range(600)))
    page = world.reader(budget=BUDGET, buffer=100)

    page.subscribe(topic)
    page.take()
    whole = page.link.unsent
    page.link.taken(1 << 20)
    page.take()
    rest = page.link.unsent
    told = read_all(page)

    assert whole > 600 * 100
    assert 0 < rest < whole
    assert len(told) + 256 >= 344
    assert page.link.unsent == 0


def test_the_next_subscription_waits_while_newest_values_take_their_share_of_the_budget(world: World) -> None:
    publish(world, "lab.state", *({"id": f"{number:0100}"} for number in range(600)))
    publish(world, "lab.order", *({"id": f"{number:0100}"} for number in range(600)))
    page = world.reader(budget=BUDGET, buffer=100)

    page.subscribe("lab.state")
    page.subscribe("lab.order")
    page.subscribe("lab.chat")
    first = page.take()
    one = page.link.unsent
    told = first + read_all(page)

    assert [message["granted"]["snapshot"] for message in first if isinstance(message, dict)] == [600]
    assert 600 * 100 < one < 600 * 400
    assert [message["granted"]["snapshot"] for message in told if isinstance(message, dict)] == [600, 600, None]
    assert sum(isinstance(message, tuple) for message in told) == 1200


def test_who_leaves_while_its_request_waits_is_forgotten(world: World) -> None:
    publish(world, "lab.state", *({"id": f"{number:0100}"} for number in range(600)))
    page = world.reader(budget=BUDGET, buffer=100)
    page.subscribe("lab.state")
    page.subscribe("lab.chat")
    page.take()

    page.lost()

    assert not world.node.router._broker.is_read("lab.chat")
    assert not world.node.router.turns


def test_stock_clients_get_all_newest_values_before_the_next_answer_however_narrow_the_line(world: World) -> None:
    publish(world, "lab.state", *({"id": str(number)} for number in range(600)))
    wire: list[bytes] = []
    link = NarrowLink(world.node, wire.append, "guest", "bob", 1 << 24)
    link.receive(pack(1, "hopsack", {"roles": {"subscriber": {}}, "authmethods": ["anonymous"]}))
    link.budget, link.buffer = 8 * OVERHEAD, 300
    world.turn()
    wire.clear()

    link.receive(pack(32, 1, {"get_retained": True}, "lab.state"))
    link.receive(pack(34, 2, 1))
    for _ in range(100):
        world.turn()
        link.taken(1 << 20)

    kinds = [msgspec.msgpack.decode(message)[0] for message in wire]
    assert kinds == [33, *([36] * 600), 8]


# ---- streams that are followed ---------------------------------------------------------------------------------------


def test_a_reader_that_is_behind_on_more_streams_than_its_budget_has_room_for_is_cut_off(world: World) -> None:
    page = world.reader(budget=20 * OVERHEAD)
    page.subscribe("lab.run.", "prefix")
    page.take()
    page.link.pauseProducing()

    for number in range(60):
        publish(world, f"lab.run.r{number}", 1)
        assert page.link.unsent <= 2 * page.link.budget
    world.turn()

    assert page.link.closed is Why.CROWDED


# ---- subscriptions ---------------------------------------------------------------------------------------------------


def test_a_session_has_so_many_subscriptions_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 3)
    page, stock = world.reader(), world.realm.join()
    for topic in ("lab.room.a", "lab.room.b", "lab.room.c"):
        page.subscribe(topic)
        stock.send(32, 1, {}, topic)
    first, *_ = page.take()

    page.subscribe("lab.room.d")
    page.subscribe("lab.room.", "prefix")
    page.subscribe("lab.room.a")
    refused = page.take()
    ((*_, uri, args, facts),) = stock.send(32, 4, {}, "lab.room.d")
    page.unsubscribe(first["subscription"])
    page.subscribe("lab.room.d")

    assert refused[:2] == [{"error": "hopsack.too_many"}] * 2
    assert refused[2]["subscription"] == first["subscription"]
    assert (uri, facts["where"], facts["retry"]) == ("hopsack.too_many", "lab.room.d", "never")
    assert "3 subscriptions" in args[0]
    assert "subscription" in page.take()[1]


def test_who_leaves_one_of_many_patterns_does_not_ask_all_of_them_for_all_that_it_is_behind_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = world.reader()
    page.subscribe("lab.run.", "prefix")
    page.subscribe("lab.run.r1", "prefix")
    for number in range(50):
        page.subscribe(f"lab.run.z{number}", "prefix")
    answers = page.take()
    page.link.pauseProducing()
    for number in range(50):
        publish(world, f"lab.run.r{number}", number)
    asked: list[str] = []

    def counting(pattern: str, match: Any) -> Any:
        covers = matcher(pattern, match)

        def ask(topic: str) -> Any:
            asked.append(topic)
            return covers(topic)

        return ask

    monkeypatch.setattr(subscriptions, "matcher", counting)
    wide, narrow, *_ = [answer["subscription"] for answer in answers]
    page.unsubscribe(wide)
    assert {channel.topic for channel in behind(page).channels()} == {
        "lab.run.r1",
        *(f"lab.run.r1{number}" for number in range(10)),
    }
    page.unsubscribe(narrow)

    assert not behind(page).channels()
    assert len(asked) <= 50 + 11
