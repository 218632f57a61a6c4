"""What WAMP clients may ask for beyond WAMP when they subscribe; and that who asks for nothing gets nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from .kept import World


@pytest.fixture
def world() -> World:
    return World()


def publish(world: World, topic: str, *payloads: Any) -> None:
    service = world.reader(role="service")
    for payload in payloads:
        service.publish(topic, payload)
    world.settle()
    service.lost()


def place(world: World, topic: str, offset: int) -> str:
    return f"{world.journal.head(topic).epoch}:{offset}"


TELL = {"x_hopsack_granted": True}


def test_a_subscriber_that_asks_is_told_where_it_begins_before_any_event(world: World) -> None:
    reader = world.realm.join()
    publish(world, "lab.log", 1, 2)

    subscribed, told = reader.send(32, 1, TELL, "lab.log")
    publish(world, "lab.log", 3)
    live, *_ = [message for message in reader.take() if message[0] == 36]

    assert subscribed[:2] == [33, 1]
    facts = {"position": place(world, "lab.log", 2), "recovered": False}
    assert (told[:2], told[3:]) == ([36, subscribed[2]], [{"x_hopsack_granted": facts}])
    assert live[3]["x_hopsack_position"] == place(world, "lab.log", 3)


def test_a_subscriber_resumes_behind_its_position(world: World) -> None:
    reader = world.realm.join()
    publish(world, "lab.log", 1, 2, 3)

    _, told, *events = reader.send(32, 1, TELL | {"x_hopsack_after": place(world, "lab.log", 1)}, "lab.log")

    assert told[3]["x_hopsack_granted"] == {"position": place(world, "lab.log", 1), "recovered": True}
    assert [event[4] for event in events] == [[2], [3]]


def test_a_pattern_resumes_by_topic(world: World) -> None:
    reader = world.realm.join()
    publish(world, "lab.run.a", 1, 2)
    after = {"lab.run.a": place(world, "lab.run.a", 1)}

    _, told, *events = reader.send(32, 1, TELL | {"match": "prefix", "x_hopsack_after": after}, "lab.run.")

    assert told[3]["x_hopsack_granted"] == {"positions": after, "recovered": True}
    assert [(event[3]["topic"], event[4]) for event in events] == [("lab.run.a", [2])]


def test_newest_values_come_only_to_who_asks_for_them(world: World) -> None:
    reader = world.realm.join()
    publish(world, "lab.state", {"id": "a"})

    without, told = reader.send(32, 1, TELL, "lab.state")
    reader.send(34, 2, without[2])
    _, counted, newest = reader.send(32, 3, TELL | {"get_retained": True}, "lab.state")

    assert told[3]["x_hopsack_granted"] == {"recovered": False}
    assert counted[3]["x_hopsack_granted"] == {"recovered": False, "snapshot": 1}
    assert newest[4] == [{"id": "a"}]


def test_a_rate_holds_and_is_changed_by_subscribing_again(world: World) -> None:
    reader = world.realm.join()
    ((_, _, number),) = reader.send(32, 1, {"x_hopsack_max_rate": 1}, "lab.state")

    publish(world, "lab.state", *({"id": "a", "value": value} for value in range(5)))
    first = [message[4][0]["value"] for message in reader.take()]
    world.clock.advance(1)
    second = [message[4][0]["value"] for message in reader.take()]
    again = reader.send(32, 2, {}, "lab.state")
    publish(world, "lab.state", *({"id": "a", "value": value} for value in range(5, 8)))

    assert (first, second) == ([0], [4])
    assert again == [[33, 2, number]]
    assert [message[4][0]["value"] for message in reader.take()] == [5, 6, 7]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"x_hopsack_max_rate": 0}, "/x_hopsack_max_rate"),
        ({"x_hopsack_max_rate": "2"}, "/x_hopsack_max_rate"),
        ({"x_hopsack_max_rate": True}, "/x_hopsack_max_rate"),
        ({"x_hopsack_after": 7}, "/x_hopsack_after"),
        ({"x_hopsack_after": {"lab.log": 7}}, "/x_hopsack_after"),
        ({"x_hopsack_after": {str(number): "e:1" for number in range(1001)}}, "/x_hopsack_after"),
        ({"x_hopsack_after": "nowhere"}, "/after"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_nothing_is_subscribed(
    world: World, options: dict[str, Any], path: str
) -> None:
    reader = world.realm.join()

    ((kind, request_type, _, _, uri, _, facts),) = reader.send(32, 1, options, "lab.log")

    assert (kind, request_type, uri) == (8, 32, "wamp.error.invalid_argument")
    assert (facts["code"], facts["path"]) == ("hopsack.bad_request", path)
    assert not world.node.router._broker._subscription_map._observations_exact.get("lab.log")


def test_who_asks_for_nothing_gets_what_wamp_has(world: World) -> None:
    reader = world.realm.join()
    publish(world, "lab.log", 1)

    assert [message[0] for message in reader.send(32, 1, {}, "lab.log")] == [33]
