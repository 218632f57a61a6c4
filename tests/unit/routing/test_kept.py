"""What is kept of a realm's events, as publishers and readers see it: streams, newest values, tombstones, keys."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack_router.routing.backlog import OVERHEAD, Why

from .kept import Page, World


@pytest.fixture
def world() -> World:
    return World()


def position(world: World, topic: str, offset: int) -> str:
    return f"{world.journal.head(topic).epoch}:{offset}"


def granted(answers: list[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = answers[0]["granted"]
    return {name: value for name, value in facts.items() if value is not None}


def publish(world: World, page: Page, topic: str, *data: Any, **facts: Any) -> None:
    for one in data:
        page.publish(topic, one, **facts)
    world.settle()


# ---- streams ---------------------------------------------------------------------------------------------------------


def test_an_event_is_told_when_it_is_committed_and_its_publisher_learns_its_position(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()

    service.publish("lab.log", 7, acknowledge=True)
    assert service.take() == page.take() == []

    world.write()
    assert service.take() == [{"published": position(world, "lab.log", 1), "request": 1}]
    assert page.take() == [("lab.log", 7, 1)]


def test_who_publishes_to_a_stream_reads_it_too_unless_it_says_otherwise(world: World) -> None:
    service = world.reader(role="service")
    service.subscribe("lab.log")
    service.take()

    publish(world, service, "lab.log", 1, exclude_me=None)
    publish(world, service, "lab.log", 2, exclude_me=True)
    publish(world, service, "lab.log", 3, exclude_me=False)

    assert service.take() == [("lab.log", 1, 1), ("lab.log", 3, 3)]


def test_what_the_store_refuses_reaches_nobody_and_only_who_asked_is_told(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()

    world.store.is_full = True
    service.publish("lab.log", 1, acknowledge=True)
    service.publish("lab.log", 2)
    world.settle()
    world.store.is_full = False
    publish(world, service, "lab.log", 3, acknowledge=True)

    assert service.take() == [
        {"error": "hopsack.store_failed"},
        {"published": position(world, "lab.log", 1), "request": 3},
    ]
    assert page.take() == [("lab.log", 3, 1)]


def test_the_same_key_is_one_event(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()

    publish(world, service, "lab.log", 1, acknowledge=True, key="k")
    publish(world, service, "lab.log", 1, acknowledge=True, key="k")
    publish(world, service, "lab.log", 2, acknowledge=True, key="l")

    told = [one["published"] for one in service.take()]
    assert told == [position(world, "lab.log", offset) for offset in (1, 1, 2)]
    assert page.take() == [("lab.log", 1, 1), ("lab.log", 2, 2)]


def test_a_key_that_is_none_is_refused(world: World) -> None:
    service = world.reader(role="service")

    publish(world, service, "lab.log", 1, acknowledge=True, key="")
    publish(world, service, "lab.log", 1, acknowledge=True, key="k" * 65)

    assert service.take() == [{"error": "hopsack.bad_request"}] * 2


def test_who_reads_what_is_kept_cannot_be_chosen(world: World) -> None:
    service = world.realm.join("service", "svc")

    for topic, data in (("lab.log", 1), ("lab.state", {"id": "a"})):
        for option in ({"eligible": [1]}, {"exclude": [1]}, {"eligible_authrole": ["guest"]}):
            (refused,) = service.send(16, 1, {"acknowledge": True, **option}, topic, [data])
            assert refused[6]["code"] == "hopsack.bad_request"


def test_stock_wamp_clients_publish_and_read_streams_too(world: World) -> None:
    service, reader = world.realm.join("service", "svc"), world.realm.join()
    ((_, _, subscription),) = reader.send(32, 1, {}, "lab.log")

    service.send(16, 1, {"acknowledge": True, "x_hopsack_key": "k"}, "lab.log", [5])
    world.settle()

    ((kind, _, publication),) = service.take()
    assert kind == 17
    facts = {"x_hopsack_position": position(world, "lab.log", 1)}
    assert reader.take() == [[36, subscription, publication, facts, [5]]]


def test_events_of_one_publisher_keep_their_order_whether_or_not_they_are_acknowledged(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()

    for number in range(20):
        service.publish("lab.log", number, acknowledge=number % 3 == 0)
        if number % 5 == 0:
            world.write()
    world.settle()

    assert page.take() == [("lab.log", number, number + 1) for number in range(20)]


# ---- resuming --------------------------------------------------------------------------------------------------------


def test_a_reader_resumes_behind_its_position(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.log", 1, 2, 3, 4)

    page.subscribe("lab.log", after=position(world, "lab.log", 2))
    answer, *events = page.take()
    publish(world, service, "lab.log", 5)

    assert granted([answer]) == {"position": position(world, "lab.log", 2), "recovered": True}
    assert events + page.take() == [("lab.log", number, number) for number in (3, 4, 5)]


def test_a_fresh_reader_of_a_stream_is_told_where_it_begins(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.log", 1, 2)

    page.subscribe("lab.log")

    assert granted(page.take()) == {"position": position(world, "lab.log", 2), "recovered": False}


def test_who_resumes_where_the_stream_no_longer_reaches_is_told_and_gets_the_oldest_there_are(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.log", *range(1, 51))

    page.subscribe("lab.log", after=position(world, "lab.log", 5))
    answer, *events = page.take()

    facts = {"position": position(world, "lab.log", 10), "recovered": False, "reason": "trimmed"}
    assert granted([answer]) == facts
    assert events == [("lab.log", number, number) for number in range(11, 51)]


@pytest.mark.parametrize("page_first", [True, False])
@pytest.mark.parametrize("tail", [0, 1 << 20])
def test_what_is_committed_while_a_reader_resumes_comes_once(page_first: bool, tail: int) -> None:
    world = World(tail=tail)
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.log", *range(1, 7))

    page.subscribe("lab.log", after=position(world, "lab.log", 3))
    page.world.turn()
    for number in range(7, 10):
        service.publish("lab.log", number)
    for work in (world.look_up, world.write) if page_first else (world.write, world.look_up):
        work()
        world.turn()
    world.settle()
    publish(world, service, "lab.log", 10)

    _, *events = page.take()
    assert events == [("lab.log", number, number) for number in range(4, 11)]


def test_a_reader_of_a_pattern_resumes_each_topic_and_reads_those_it_has_not_heard_of(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.run.a", 1, 2)
    publish(world, service, "lab.run.b", 1, 2)

    page.subscribe("lab.run.", "prefix", after={"lab.run.a": position(world, "lab.run.a", 1)})
    answer, *events = page.take()
    publish(world, service, "lab.run.c", 1)

    places = {"lab.run.a": position(world, "lab.run.a", 1), "lab.run.b": position(world, "lab.run.b", 0)}
    assert granted([answer]) == {"positions": places, "recovered": True}
    assert sorted(events) == [("lab.run.a", 2, 2), ("lab.run.b", 1, 1), ("lab.run.b", 2, 2)]
    assert page.take() == [("lab.run.c", 1, 1)]


def test_a_reader_that_has_forgotten_topics_resumes_those_it_names(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.run.a", 1, 2)
    publish(world, service, "lab.run.b", 1, 2)

    page.subscribe("lab.run.", "prefix", after={"*": "", "lab.run.a": position(world, "lab.run.a", 1)})
    answer, *events = page.take()

    places = {"lab.run.a": position(world, "lab.run.a", 1), "lab.run.b": position(world, "lab.run.b", 2)}
    assert granted([answer]) == {"positions": places, "recovered": False, "reason": "trimmed"}
    assert events == [("lab.run.a", 2, 2)]


@pytest.mark.parametrize(
    ("topic", "match", "after"),
    [
        ("lab.log", "exact", "7"),
        ("lab.log", "exact", {"lab.log": "e:1"}),
        ("lab.", "prefix", "e:1"),
        ("lab.run.", "prefix", {"lab.log": "e:1"}),
        ("lab.run.", "prefix", {"lab.run.a": "x"}),
    ],
)
def test_what_is_no_position_is_refused_and_nothing_is_subscribed(
    world: World, topic: str, match: str, after: Any
) -> None:
    page = world.reader()

    page.subscribe(topic, match, after)

    assert page.take() == [{"error": "hopsack.bad_request"}]
    assert not world.node.router._broker.is_read("lab.chat")


def test_who_has_unsubscribed_gets_nothing_of_what_it_was_about_to_read() -> None:
    world = World(tail=0)
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.log", *range(1, 7))

    page.subscribe("lab.log", after=position(world, "lab.log", 3))
    answer, *_ = page.take()
    page.unsubscribe(answer["subscription"])
    world.settle()
    publish(world, service, "lab.log", 7)

    assert page.take() == [{"answer": "unsubscribed"}]
    assert page.link.lagging is None


def test_two_subscriptions_of_one_page_that_resume_the_same_stream_lose_nothing(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.run.a", 1, 2, 3, 4)

    page.subscribe("lab.run.a", after=position(world, "lab.run.a", 1))
    page.subscribe("lab.run.", "prefix", after={"lab.run.a": position(world, "lab.run.a", 3)})
    first, second, *events = page.take()

    assert (first["granted"]["recovered"], second["granted"]["recovered"]) == (True, True)
    assert events == [("lab.run.a", number, number) for number in (2, 3, 4)]


# ---- newest values ---------------------------------------------------------------------------------------------------


def test_a_late_reader_gets_the_newest_value_of_each_key_then_what_changes(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    for value in ({"id": "a", "value": 1}, {"id": "b", "value": 1}, {"id": "a", "value": 2}):
        publish(world, service, "lab.state", value)

    page.subscribe("lab.state")
    answer, *events = page.take()
    publish(world, service, "lab.state", {"id": "b", "value": 2})

    assert granted([answer]) == {"recovered": False, "snapshot": 2}
    assert events == [("lab.state", {"id": "b", "value": 1}, None), ("lab.state", {"id": "a", "value": 2}, None)]
    assert page.take() == [("lab.state", {"id": "b", "value": 2}, None)]


def test_a_change_does_not_overtake_the_snapshot(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.state", {"id": "a", "value": 1}, {"id": "b", "value": 1})

    page.subscribe("lab.state")
    service.publish("lab.state", {"id": "c", "value": 1})
    service.publish("lab.state", {"id": "a", "value": 2})

    answer, *events = page.take()
    assert answer["granted"]["snapshot"] == 2
    assert [data for _, data, _ in events] == [
        {"id": "a", "value": 2},
        {"id": "b", "value": 1},
        {"id": "c", "value": 1},
    ]


def test_a_key_is_deleted_by_its_fields_alone(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.state", {"id": "a", "value": 1}, {"id": "b", "value": 1})
    page.subscribe("lab.state")
    page.take()

    publish(world, service, "lab.state", {"id": "a", "value": "is not looked at"}, acknowledge=True, delete=True)
    late = world.reader()
    late.subscribe("lab.state")

    assert page.take() == [("lab.state", {"id": "a"}, None, "deleted")]
    assert late.take()[1:] == [("lab.state", {"id": "b", "value": 1}, None)]


@pytest.mark.parametrize(
    ("topic", "data", "code"),
    [
        ("lab.state", {}, "hopsack.invalid"),
        ("lab.state", {"id": 7}, "hopsack.invalid"),
        ("lab.chat", 1, "hopsack.bad_request"),
        ("lab.log", 1, "hopsack.bad_request"),
        ("lab.stat", {"id": "a"}, "hopsack.undeclared"),
    ],
)
def test_what_cannot_be_deleted_is_refused(world: World, topic: str, data: Any, code: str) -> None:
    service = world.reader(role="service")

    publish(world, service, topic, data, acknowledge=True, delete=True)

    assert service.take() == [{"error": code}]


def test_a_stream_with_newest_values_gives_them_before_it_goes_on(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.order", {"id": "a"}, {"id": "b"}, {"id": "a", "value": 2})

    page.subscribe("lab.order")
    answer, *events = page.take()
    publish(world, service, "lab.order", {"id": "a"}, delete=True)

    assert granted([answer]) == {"position": position(world, "lab.order", 3), "recovered": False, "snapshot": 2}
    assert events == [("lab.order", {"id": "b"}, 2), ("lab.order", {"id": "a", "value": 2}, 3)]
    assert page.take() == [("lab.order", {"id": "a"}, 4, "deleted")]


def test_who_cannot_resume_a_stream_with_newest_values_gets_those(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.order", {"id": "a"}, {"id": "b"})

    page.subscribe("lab.order", after="elsewhere:1".replace("w", "z"))
    answer, *events = page.take()

    facts = {"position": position(world, "lab.order", 2), "recovered": False, "reason": "epoch", "snapshot": 2}
    assert granted([answer]) == facts
    assert [offset for _, _, offset in events] == [1, 2]


def test_a_pattern_gives_the_newest_values_of_all_that_it_covers(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.state", {"id": "a"})
    publish(world, service, "lab.mode", "on")
    publish(world, service, "lab.order", {"id": "a"})

    page.subscribe("lab.", "prefix")
    answer, *events = page.take()

    facts = {"positions": {"lab.order": position(world, "lab.order", 1)}, "recovered": False, "snapshot": 3}
    assert granted([answer]) == facts
    assert sorted(topic for topic, _, _ in events) == ["lab.mode", "lab.order", "lab.state"]


def test_nothing_is_a_snapshot_too(world: World) -> None:
    page = world.reader()

    page.subscribe("lab.state")
    page.subscribe("lab.st", "prefix")
    page.subscribe("lab.chat")

    assert [one["granted"]["snapshot"] for one in page.take()] == [0, 0, None]


def test_two_subscriptions_of_one_page_get_a_snapshot_each(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.state", {"id": "a"}, {"id": "b"})

    page.subscribe("lab.state")
    page.subscribe("lab.st", "prefix")
    first, second, *events = page.take()

    assert (first["granted"]["snapshot"], second["granted"]["snapshot"]) == (2, 2)
    assert len(events) == 4


def test_stock_clients_ask_for_newest_values_and_get_them_before_anything_else(world: World) -> None:
    service, reader = world.reader(role="service"), world.realm.join()
    publish(world, service, "lab.state", *({"id": str(number)} for number in range(600)))

    reader.send_only(32, 1, {"get_retained": True}, "lab.state")
    reader.send_only(34, 2, 1)
    (_, _, subscription), *events, probe = reader.take()

    assert len(events) == 600
    assert all(event[1] == subscription and event[3] == {"retained": True} for event in events)
    assert probe[0] == 8
    assert reader.send(32, 3, {}, "lab.mode")[0][0] == 33


def test_stock_clients_that_ask_get_the_newest_event_of_a_stream(world: World) -> None:
    service, reader = world.reader(role="service"), world.realm.join()
    assert [one[0] for one in reader.send(32, 1, {"get_retained": True}, "lab.run.a")] == [33]
    publish(world, service, "lab.log", 1, 2, 3)

    assert [one[4:] for one in reader.send(32, 2, {"get_retained": True}, "lab.log")] == [[], [[3]]]


def test_stock_clients_that_do_not_ask_get_what_comes_now(world: World) -> None:
    service, reader = world.reader(role="service"), world.realm.join()
    publish(world, service, "lab.state", {"id": "a"})

    assert [one[0] for one in reader.send(32, 1, {}, "lab.state")] == [33]


# ---- slow readers ----------------------------------------------------------------------------------------------------


def slow(world: World, budget: int = 8 * OVERHEAD, buffer: int = 100) -> Page:
    page = world.reader(budget=budget, buffer=buffer)
    page.link.pauseProducing()
    return page


def recovered(world: World, page: Page) -> list[Any]:
    told: list[Any] = []
    for _ in range(200):
        page.link.taken(1 << 20)
        if page.link.paused and not page.link.buffered:
            page.link.resumeProducing()
        world.settle()
        world.turn()
        told += page.take()
    return told


def test_a_slow_reader_of_a_stream_follows_the_journal_and_misses_nothing(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()
    page.link.budget, page.link.buffer = 8 * OVERHEAD, 100
    page.link.pauseProducing()

    publish(world, service, "lab.log", *range(1, 41))

    assert page.link.lagging is not None
    assert page.link.lagging.backlog.bytes <= 8 * OVERHEAD
    assert [(one.topic, one.events) for one in page.link.lagging.behind()] == [("lab.log", 40)]
    assert recovered(world, page) == [("lab.log", number, number) for number in range(1, 41)]
    assert page.link.lagging is None


def test_what_the_journal_dropped_before_a_slow_reader_read_it_is_told(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()
    page.link.budget, page.link.buffer = 8 * OVERHEAD, 100
    page.link.pauseProducing()

    publish(world, service, "lab.log", *range(1, 101))

    gap, *events = recovered(world, page)
    assert gap == ("gap", "lab.log", 60)
    assert events == [("lab.log", number, number) for number in range(61, 101)]


def test_a_slow_reader_of_newest_values_gets_the_newest(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.state")
    page.take()
    page.link.pauseProducing()

    for number in range(50):
        publish(world, service, "lab.state", {"id": "ab"[number % 2], "value": number})

    assert [data["value"] for _, data, _ in recovered(world, page)] == [48, 49]


def test_a_slow_reader_of_what_is_live_only_is_told_how_many_it_missed(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.chat")
    page.take()
    page.link.budget = 8 * OVERHEAD
    page.link.pauseProducing()

    publish(world, service, "lab.chat", *range(50))

    (kind, topic, missed), *events = recovered(world, page)
    assert (kind, topic) == ("gap", "lab.chat")
    assert [data for _, data, _ in events] == list(range(missed, 50))


def test_who_does_not_read_the_answers_to_its_own_requests_is_cut_off(world: World) -> None:
    page = slow(world)

    for _ in range(50):
        page.subscribe("lab.chat")
    world.turn()

    assert page.link.closed is Why.OVERLOADED
    assert not page.link.isOpen()


def test_who_takes_nothing_for_long_is_cut_off_and_who_takes_a_little_is_not(world: World) -> None:
    service = world.reader(role="service")
    stalled, crawling = world.reader(buffer=100), world.reader(buffer=100)
    for page in (stalled, crawling):
        page.subscribe("lab.chat")
        page.take()
    publish(world, service, "lab.chat", *range(5))

    for _ in range(4):
        crawling.link.taken(1)
        world.clock.advance(29)
        world.turn()

    assert (stalled.link.closed, crawling.link.closed) == (Why.STALLED, None)


AHEAD = 1_700_000_000.0
"""The node's timers count from the start of the machine; what people are told is Unix time."""


def test_an_operator_sees_who_is_behind_with_what_and_since_when() -> None:
    world = World(ahead=AHEAD)
    service, page = world.reader(role="service"), world.reader()
    operator = world.realm.join("operator", "op")
    page.subscribe("lab.log")
    page.take()
    world.clock.advance(5)
    page.link.budget = 8 * OVERHEAD
    page.link.pauseProducing()
    publish(world, service, "lab.log", *range(12))

    ((*_, (sessions,)),) = operator.send(48, 1, {}, "hopsack.sessions.list")

    (lag,) = [one["lag"] for one in sessions if "lag" in one]
    assert lag == {
        "unsent": lag["unsent"],
        "policy": "following",
        "since": AHEAD + 5.0,
        "stalled_since": AHEAD + 5.0,
        "dropped": 0,
        "following": [{"topic": "lab.log", "behind": 12}],
    }


# ---- paces -----------------------------------------------------------------------------------------------------------


def paced(world: World, page: Page, seconds: float) -> list[Any]:
    world.clock.advance(seconds)
    return page.take()


def test_a_subscription_with_a_rate_gets_the_newest_value_and_the_rate_can_be_changed(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.state", max_rate=1.0)
    answer, *_ = page.take()
    for number in range(5):
        publish(world, service, "lab.state", {"id": "a", "value": number})

    assert [data["value"] for _, data, _ in page.take()] == [0]
    assert [data["value"] for _, data, _ in paced(world, page, 1)] == [4]

    publish(world, service, "lab.state", {"id": "a", "value": 5})
    page.rate(answer["subscription"], None)
    publish(world, service, "lab.state", {"id": "a", "value": 6}, {"id": "a", "value": 7})

    told = page.take()
    assert told[0] == {"answer": "rated"}
    assert [data["value"] for _, data, _ in told[1:]] == [5, 6, 7]


def test_a_stream_can_be_read_at_a_pace(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log", max_rate=1.0)
    page.take()
    publish(world, service, "lab.log", *range(1, 31))

    assert page.take() == [("lab.log", 1, 1)]
    assert paced(world, page, 1) == [("lab.log", 30, 30)]


def test_a_rate_of_no_subscription_is_refused(world: World) -> None:
    page, other = world.reader(), world.reader()
    other.subscribe("lab.chat")
    (answer,) = other.take()

    page.rate(answer["subscription"], 1.0)

    assert page.take() == [{"error": "hopsack.no_such_subscription"}]


def test_who_has_left_is_not_waited_for(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.state", max_rate=0.1)
    page.take()
    publish(world, service, "lab.state", {"id": "a"}, {"id": "a"})
    page.take()
    page.lost()

    world.clock.advance(100)

    assert page.take() == []
    assert page.link.lagging is None


def test_frames_are_kept_for_many_readers_and_not_for_each_subscription(world: World) -> None:
    service = world.reader(role="service")
    publish(world, service, "lab.state", {"id": "a", "value": 1})
    (kept,) = world.journal.newest("lab.state")
    reader = world.realm.join()

    for number in range(1, 40, 2):  # its number is another one each time
        subscribed, event, *_ = reader.send(32, number, {"get_retained": True}, "lab.state")
        assert event[1] == subscribed[2]
        reader.send(34, number + 1, subscribed[2])
    for _ in range(3):
        page = world.reader()
        page.subscribe("lab.state")
        assert len(page.take()) == 2

    assert len(kept.frames) == 1


def test_newest_values_outlive_a_journal_that_was_lost(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    publish(world, service, "lab.order", {"id": "a", "value": 1}, {"id": "b", "value": 1})
    before = world.journal.head("lab.order")

    world.store.is_torn = True
    publish(world, service, "lab.order", {"id": "a", "value": 2})
    world.settle()
    page.subscribe("lab.order")
    answer, *events = page.take()

    assert world.journal.head("lab.order").epoch != before.epoch
    assert granted([answer])["snapshot"] == 2
    assert [event[1] for event in events] == [{"id": "a", "value": 1}, {"id": "b", "value": 1}]
