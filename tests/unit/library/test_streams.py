"""Streams, maps, keys and rates through a connection, on both doors, told as conversations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hopsack import session as on
from hopsack.connection import Connection
from hopsack.contracts.refs import Topic
from hopsack.errors import Deadline, HopsackError, NoCallee, OutcomeUnknown, RemoteError, UsageError
from hopsack.latest import LatestMap
from hopsack.position import Position
from hopsack.resuming import Read, Recovery
from hopsack.session import Event, Published
from hopsack.subscription import Subscription
from hopsack.testing.loop import HandTurnedLoop

from .conftest import Peer, RawPeer

READ = "hopsack.stream.read"


class Sample(msgspec.Struct):
    host: str
    load: int


def subscribed(
    peer: Peer, loop: HandTurnedLoop, topic: str = "t", number: int = 5, **options: Any
) -> Subscription[Any]:
    """A subscription over WAMP, granted with ``number``."""
    task = loop.create_task(peer.connection.subscribe(topic, **options))
    [[_, request, *_]] = peer.heard()
    peer.says([33, request, number])
    return task.result()


def raw_subscribed(
    raw: RawPeer, loop: HandTurnedLoop, topic: str = "t", options: dict[str, Any] | None = None, **grant: Any
) -> Subscription[Any]:
    """A subscription over the raw door, granted with the number 5 and ``grant``."""
    task = loop.create_task(raw.connection.subscribe(topic, **options or {}))
    [(request, _, _)] = raw.asked()
    raw.answers(request, **{"subscription": 5, "recovered": False, **grant})
    return task.result()


def event(offset: int, number: int = 5, **details: Any) -> list[Any]:
    return [36, number, 900 + offset, {"x_hopsack_position": f"e:{offset}", **details}, [offset]]


def page(request: int, *offsets: int, **facts: Any) -> list[Any]:
    events = [{"position": f"e:{n}", "publication": 900 + n, "time": 1700.5 + n, "data": n} for n in offsets]
    last = f"e:{offsets[-1]}" if offsets else "e:0"
    return [50, request, {}, [{"events": events, "position": last, "recovered": True, "end": True, **facts}]]


def taken(loop: HandTurnedLoop, subscription: Subscription[Any]) -> list[Any]:
    """What waits for the reader."""
    found: list[Any] = []
    while True:
        taking = loop.create_task(subscription.take())
        loop.settle()
        if not taking.done():
            taking.cancel()
            loop.settle()
            return found
        item = taking.result()
        assert item is not None
        found.append(item[1].read())


# ---- over WAMP -------------------------------------------------------------------------------------------------------


def test_an_event_has_its_position(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscription = subscribed(peer, loop)

    peer.says(event(4), [36, 5, 905, {}, [5]])

    async def two() -> list[Event[Any]]:
        found = []
        async for one in subscription:
            found.append(one)
            if len(found) == 2:
                break
        return found

    first, second = loop.run(two())
    assert (first.position, first.data, first.deleted, first.retained) == ("e:4", 4, False, False)
    assert second.position is None


def test_after_a_reconnect_what_was_missed_is_read_and_then_what_is_live(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    told: list[Recovery] = []
    subscription = subscribed(peer, loop, on_recovery=told.append)
    peer.says(event(4))
    peer.vanishes()
    loop.advance(0.5)
    assert peer.heard() == [[32, 1, {}, "t"]]

    peer.says([33, 1, 8])
    assert peer.heard() == [[48, 2, {"timeout": 10_000}, READ, [{"topic": "t", "after": "e:4", "limit": 500}]]]
    peer.says(event(7, 8), page(2, 5, 6, end=False))
    assert peer.heard() == [[48, 3, {"timeout": 10_000}, READ, [{"topic": "t", "after": "e:6", "limit": 500}]]]
    peer.says(event(8, 8), page(3, 7), event(9, 8))

    assert taken(loop, subscription) == [4, 5, 6, 7, 8, 9]
    assert told == list(subscription.recoveries) == [Recovery("t", True, None, 0)]


def test_what_is_gone_is_told_loudly(peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, after="e:4")
    assert [message[4] for message in peer.heard()] == [[{"topic": "t", "after": "e:4", "limit": 500}]]

    peer.says(page(2, 9, 10, recovered=False, reason="trimmed"))

    assert "4 events of t are gone: trimmed" in caplog.text
    assert taken(loop, subscription) == [9, 10]
    assert list(subscription.recoveries) == [Recovery("t", False, "trimmed", 4)]


def test_a_pattern_resumes_each_of_its_topics(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, "t.", match="prefix", after={"t.a": "e:1", "t.b": "e:2"})

    queries = [message[4][0] for message in peer.heard()]
    assert queries == [{"topic": "t.a", "after": "e:1", "limit": 500}, {"topic": "t.b", "after": "e:2", "limit": 500}]
    peer.says(page(3, 3), page(2, 2))

    assert taken(loop, subscription) == [3, 2]
    assert list(subscription.recoveries) == [Recovery("t.", True, None, 0)]


def test_a_node_without_journals_goes_on_as_before(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, after="e:4")
    peer.heard()
    peer.says([8, 48, 2, {}, "wamp.error.no_such_procedure"], [36, 5, 900, {}, ["live"]])

    assert taken(loop, subscription) == ["live"]
    assert list(subscription.recoveries) == [Recovery("t", False, "hopsack.no_callee", None)]


def test_a_node_that_is_busy_is_asked_again_after_a_while(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscribed(peer, loop, after="e:4")
    for request in (2, 3, 4):
        assert [message[:2] for message in peer.heard()] == [[48, request]]
        peer.says([8, 48, request, {}, "hopsack.overloaded"])
        assert peer.heard() == []
        loop.advance(1.0)

    assert [message[:2] for message in peer.heard()] == [[48, 5]]


def test_a_page_that_does_not_come_is_asked_for_again(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect(ping_interval=1e9)
    subscribed(peer, loop, after="e:4", timeout=1.0)
    assert len(peer.heard()) == 1

    loop.advance(10.0)
    assert [message[0] for message in peer.heard()] == [49]
    loop.advance(1.0)

    assert [message[0] for message in peer.heard()] == [48]


def test_a_full_reader_is_read_to_when_it_has_caught_up_and_nobody_else_notices(
    peer: Peer, loop: HandTurnedLoop
) -> None:
    peer.connect()
    slow, quick = subscribed(peer, loop), loop.run(peer.connection.subscribe("t"))
    slow._limit = 3
    slow._resuming._step = 3
    peer.says(*(event(n) for n in range(1, 7)))

    assert (slow.waiting, slow.dropped, quick.waiting) == (3, 0, 6)
    assert peer.heard() == []
    assert taken(loop, slow) == [1, 2, 3]
    [[_, request, *_, query]] = peer.heard()
    assert query == [{"topic": "t", "after": "e:3", "limit": 3}]
    peer.says(event(7), page(request, 4, 5, 6))

    assert taken(loop, slow) == [4, 5, 6]
    [[_, request, *_]] = peer.heard()
    peer.says(page(request, 7), event(8))
    assert taken(loop, slow) == [7, 8]
    assert taken(loop, quick) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_live_event_gives_way_to_those_of_a_stream(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, "t.", match="prefix")
    subscription._limit = 2
    peer.says(event(1, topic="t.s"), [36, 5, 901, {"topic": "t.l"}, ["a"]], [36, 5, 902, {"topic": "t.l"}, ["b"]])
    assert subscription.dropped == 1

    assert taken(loop, subscription) == [1, "a"]


def test_a_gap_that_the_node_tells_is_a_warning_and_no_event(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    peer.connect()
    subscription = subscribed(peer, loop)

    peer.says([36, 5, 901, {"x_hopsack_dropped": "slow", "x_hopsack_count": 7}])

    assert (subscription.dropped, subscription.waiting) == (7, 0)
    assert "7 events of t were dropped by the node" in caplog.text


def test_a_handler_is_told_of_a_deletion_if_it_asks_for_the_event(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    samples: list[Any] = []
    events: list[Event[Any]] = []

    async def on_sample(sample: Sample) -> None:
        samples.append(sample)

    async def on_event(event: Event[Sample]) -> None:
        events.append(event)

    subscribed(peer, loop, handler=on_sample)
    loop.run(peer.connection.subscribe("t", on_event))

    peer.says([36, 5, 901, {}, [{"host": "a", "load": 1}]], [36, 5, 902, {"x_hopsack_deleted": True}, [{"host": "a"}]])

    assert samples == [Sample("a", 1)]
    assert [(one.data, one.deleted) for one in events] == [(Sample("a", 1), False), ({"host": "a"}, True)]


def test_a_handler_that_fails_on_an_event_gets_the_next(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    seen: list[int] = []

    async def on_number(number: int) -> None:
        seen.append(number)
        raise ZeroDivisionError

    subscription = subscribed(peer, loop, handler=on_number)
    peer.says(event(1), event(2))

    assert seen == [1, 2]
    assert subscription.task is not None
    assert not subscription.task.done()


def test_wamp_has_no_rates(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    with pytest.raises(UsageError, match="WAMP has no rates"):
        loop.run(connection.subscribe("t", max_rate=5))

    subscription = subscribed(peer, loop)
    with pytest.raises(UsageError, match="WAMP has no rates"):
        loop.run(subscription.rate(5))
    assert subscription.max_rate is None


# ---- over the raw door -----------------------------------------------------------------------------------------------


def test_the_raw_door_resumes_by_itself(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop, position="e:3")
    raw.tells("event", topic="t", position="e:4", data=4)
    raw.vanishes()
    loop.advance(0.5)

    assert raw.asked() == [(2, "hopsack.subscribe", {"topic": "t", "after": "e:4"})]
    raw.answers(2, subscription=9, recovered=True, position="e:4")
    raw.tells("event", topic="t", position="e:5", data=5)

    assert taken(loop, subscription) == [4, 5]
    assert list(subscription.recoveries) == [Recovery("t", True, None, 0)]


def test_a_stream_that_was_silent_resumes_too(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    raw_subscribed(raw, loop, "t.", {"match": "prefix"}, positions={"t.a": "e:3"})
    raw.vanishes()
    loop.advance(0.5)

    [(_, _, params)] = raw.asked()
    assert params == {"topic": "t.", "match": "prefix", "after": {"t.a": "e:3"}}


def test_readers_of_one_topic_share_a_subscription_and_read_back_alone(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    first = raw_subscribed(raw, loop, position="e:3")

    late = loop.run(connection.subscribe("t", after="e:1"))
    [(request, method, params)] = raw.asked()
    assert (method, params) == (READ, {"topic": "t", "after": "e:1", "limit": 500})
    raw.tells("event", topic="t", position="e:4", data=4)
    events = [{"position": f"e:{n}", "time": 1.0, "data": n} for n in (2, 3, 4)]
    raw.answers(request, events=events, position="e:4", recovered=True, end=True)

    assert taken(loop, first) == [4]
    assert taken(loop, late) == [2, 3, 4]


def test_a_gap_on_the_raw_door(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop)

    raw.tells("gap", topic="t", dropped=7)

    assert subscription.dropped == 7


def test_rates_are_the_fastest_reader_s_and_change_live(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    task = loop.create_task(connection.subscribe("t", max_rate=5))
    assert raw.asked() == [(2, "hopsack.subscribe", {"topic": "t", "max_rate": 5})]
    raw.answers(2, subscription=5, recovered=False, position="e:0")
    slow = task.result()
    raw.tells("event", topic="t", position="e:4", data=4)

    loop.create_task(slow.rate(2))
    assert raw.asked() == [(3, "hopsack.rate", {"subscription": 5, "max_rate": 2})]
    raw.answers(3)
    joining = loop.create_task(connection.subscribe("t"))
    assert raw.asked() == [(4, "hopsack.rate", {"subscription": 5, "max_rate": None})]
    raw.answers(4)
    joining.result()
    raw.tells("event", topic="t", position="e:7", data=7)

    assert taken(loop, slow) == [4, 7]
    closing = loop.create_task(joining.result().close())
    assert raw.asked() == [(5, "hopsack.rate", {"subscription": 5, "max_rate": 2})]
    raw.answers(5)
    assert closing.done()


def test_a_rate_that_is_refused_stays_as_it_was(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop)
    changing = loop.create_task(subscription.rate(0))
    [(request, _, _)] = raw.asked()

    error = {"code": -32602, "message": "no", "data": {"code": "hopsack.invalid", "message": "must be above 0"}}
    raw.says({"jsonrpc": "2.0", "id": request, "error": error})

    with pytest.raises(RemoteError, match="must be above 0"):
        changing.result()
    assert subscription.max_rate is None


# ---- publications with a key, deletions ------------------------------------------------------------------------------


def test_a_publication_with_a_key_is_sent_again_when_its_outcome_is_unknown(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    publishing = loop.create_task(connection.publish("t", 1, key="k-1"))
    assert raw.asked() == [(2, "hopsack.publish", {"topic": "t", "data": 1, "key": "k-1"})]

    raw.vanishes()
    loop.advance(0.5)

    assert raw.asked() == [(2, "hopsack.publish", {"topic": "t", "data": 1, "key": "k-1"})]
    raw.answers(2, position="e:42")
    assert publishing.result() == Published(None, "e:42")


def test_one_without_a_key_is_not(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    publishing = loop.create_task(connection.publish("t", 1))
    assert len(peer.heard()) == 1

    peer.vanishes()

    with pytest.raises(OutcomeUnknown):
        publishing.result()


def test_what_was_sent_once_stays_unknown_where_no_link_comes_in_time(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    publishing = loop.create_task(connection.publish("t", 1, key="k-1", timeout=2.0))
    assert peer.heard() == [[16, 1, {"acknowledge": True, "x_hopsack_key": "k-1"}, "t", [1]]]
    peer.trouble = ConnectionRefusedError("nobody listens")
    peer.vanishes()

    loop.advance(2.0)

    with pytest.raises(OutcomeUnknown):
        publishing.result()


def test_one_that_was_never_sent_and_one_that_is_not_answered(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect(ping_interval=1e9)
    publishing = loop.create_task(connection.publish("t", 1, key="k", timeout=1.0))
    loop.advance(1.0)
    with pytest.raises(Deadline):
        publishing.result()

    peer.trouble = ConnectionRefusedError("nobody listens")
    peer.vanishes()
    publishing = loop.create_task(connection.publish("t", 1, key="k", timeout=1.0))
    loop.advance(1.0)
    with pytest.raises(HopsackError, match="not sent"):
        publishing.result()


def test_a_key_has_a_bound(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    for key in ("", "k" * 65):
        with pytest.raises(UsageError, match="1 to 64 characters"):
            loop.run(connection.publish("t", 1, key=key))


def test_a_deletion_is_a_publication_of_the_key_s_fields(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    deleting = loop.create_task(connection.delete("t", {"host": "a"}))

    assert peer.heard() == [[16, 1, {"acknowledge": True, "x_hopsack_delete": True}, "t", [{"host": "a"}]]]
    peer.says([17, 1, 901])
    assert deleting.result() == Published(901, None)

    loop.run(connection.delete("t", {"host": "a"}, acknowledge=False))
    assert peer.heard() == [[16, 2, {"x_hopsack_delete": True}, "t", [{"host": "a"}]]]


# ---- history ---------------------------------------------------------------------------------------------------------


def test_history_is_read_page_by_page(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    reading = loop.create_task(connection.history("t", last=3, type=int))
    assert peer.heard() == [[48, 1, {"timeout": 10_000}, READ, [{"topic": "t", "last": 3, "limit": 3}]]]
    peer.says(page(1, 4, 5, end=False))
    assert peer.heard() == [[48, 2, {"timeout": 10_000}, READ, [{"topic": "t", "after": "e:5", "limit": 1}]]]
    peer.says(page(2, 6))

    history = reading.result()
    assert [(one.data, one.position, one.time) for one in history] == [
        (4, "e:4", 1704.5),
        (5, "e:5", 1705.5),
        (6, "e:6", 1706.5),
    ]
    assert (len(history), history.position, history.recovered, history.end) == (3, "e:6", True, True)


def test_history_since_a_time_tells_what_is_gone(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    reading = loop.create_task(connection.history("t", since=datetime(2026, 1, 1, tzinfo=UTC), limit=10))
    [[*_, [query]]] = peer.heard()
    assert query == {"topic": "t", "since": 1767225600.0, "limit": 10}

    peer.says(page(1, recovered=False, reason="trimmed"))

    history = reading.result()
    assert (list(history), history.recovered, history.reason) == ([], False, "trimmed")


def test_history_has_one_beginning(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    with pytest.raises(UsageError, match="one of them"):
        loop.run(connection.history("t", last=3, after="e:4"))
    with pytest.raises(UsageError, match="no time zone"):
        loop.run(connection.history("t", since=datetime(2026, 1, 1)))


def test_history_of_what_is_no_stream_is_refused(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    reading = loop.create_task(connection.history("t"))
    peer.heard()

    peer.says([8, 48, 1, {}, "wamp.error.no_such_procedure"])

    with pytest.raises(NoCallee):
        reading.result()


# ---- maps ------------------------------------------------------------------------------------------------------------


def value(host: str, load: int, *, position: str | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"topic": "t", "data": {"host": host, "load": load}}
    return facts | ({} if position is None else {"position": position})


def raw_map(raw: RawPeer, loop: HandTurnedLoop, connection: Connection, *values: Any, **options: Any) -> LatestMap:
    task = loop.create_task(connection.map("t", **{"key": "host", **options}))
    [(request, *_)] = raw.asked()
    raw.answers(request, subscription=5, recovered=False, snapshot=len(values))
    for one in values:
        raw.tells("event", **one, retained=True)
    return task.result()


def loads(latest: LatestMap) -> dict[Any, int]:
    return {key: one["load"] for key, one in latest.items()}


def test_a_map_has_all_keys_and_keeps_them_up_to_date(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1), value("b", 2))
    assert (loads(latest), latest.is_complete) == ({"a": 1, "b": 2}, True)

    raw.tells("event", **value("a", 3))
    raw.tells("event", topic="t", data={"host": "b"}, deleted=True)

    assert loads(latest) == {"a": 3}


def test_a_map_is_not_ready_before_all_keys_are_in(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    task = loop.create_task(connection.map("t", key=("host", "load")))
    assert raw.asked() == [(2, "hopsack.subscribe", {"topic": "t"})]
    raw.answers(2, subscription=5, recovered=False, snapshot=2)
    raw.tells("event", **value("a", 1), retained=True)
    assert not task.done()

    raw.tells("event", **value("a", 2), retained=True)

    assert list(task.result()) == [("a", 1), ("a", 2)]


def test_keys_that_vanish_while_the_link_is_away_vanish_from_the_map(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1, position="e:1"), value("b", 2, position="e:2"))
    raw.vanishes()
    loop.advance(0.5)
    assert raw.asked() == [(2, "hopsack.subscribe", {"topic": "t"})]

    raw.answers(2, subscription=6, recovered=False, snapshot=1, position="e:9")
    assert (loads(latest), latest.is_complete) == ({"a": 1, "b": 2}, False)
    raw.tells("event", **value("b", 5, position="e:8"), retained=True)

    assert (loads(latest), latest.is_complete) == ({"b": 5}, True)
    raw.tells("event", **value("c", 6, position="e:10"))
    assert loads(latest) == {"b": 5, "c": 6}


def test_a_map_over_wamp_is_filled_with_retained_events(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    task = loop.create_task(connection.map("t", key="host"))
    assert peer.heard() == [[32, 1, {"get_retained": True}, "t"]]
    peer.says([33, 1, 5])
    assert peer.heard() == [[34, 2, 1]]
    peer.says(
        [36, 5, 900, {"retained": True}, [{"host": "a", "load": 1}]], [36, 5, 902, {}, [{"host": "a", "load": 2}]]
    )
    assert not task.done()

    peer.says([8, 34, 2, {}, "wamp.error.no_such_subscription"])

    assert loads(task.result()) == {"a": 2}


def test_a_map_over_wamp_that_is_refused_or_lost(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    task = loop.create_task(connection.map("t", key="host"))
    peer.heard()
    peer.says([8, 32, 1, {}, "wamp.error.not_authorized"])
    with pytest.raises(RemoteError):
        task.result()

    task = loop.create_task(connection.map("t", key="host"))
    peer.heard()
    peer.says([33, 2, 5])
    peer.vanishes()
    loop.advance(0.5)
    peer.heard()
    peer.says([33, 1, 5])
    peer.heard()
    peer.says([8, 34, 2, {}, "wamp.error.no_such_subscription"])

    assert loads(task.result()) == {}


def test_a_topic_without_newest_values_makes_no_map(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    task = loop.create_task(connection.map("t", key="host"))
    [(request, *_)] = raw.asked()
    raw.answers(request, subscription=5, recovered=False)
    [(request, method, _)] = raw.asked()
    assert method == "hopsack.unsubscribe"
    raw.answers(request)

    with pytest.raises(UsageError, match="keeps no newest values"):
        task.result()


def test_a_map_is_filled_anew_behind_a_gap(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1))

    raw.tells("gap", topic="t", dropped=3)

    (given, gives, _), (asked, asks, _) = raw.asked()
    assert (gives, asks) == ("hopsack.unsubscribe", "hopsack.subscribe")
    raw.answers(given)
    raw.answers(asked, subscription=6, recovered=False, snapshot=1)
    raw.tells("event", **value("b", 7), retained=True)
    assert loads(latest) == {"b": 7}


def test_a_map_that_misses_an_event_is_filled_anew(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1, position="e:1"))
    raw.tells("event", **value("a", 2, position="e:2"))

    raw.tells("event", **value("a", 9, position="e:9"))

    assert [method for _, method, _ in raw.asked()] == ["hopsack.unsubscribe", "hopsack.subscribe"]
    assert loads(latest) == {"a": 2}


def test_a_map_beside_a_listener_asks_for_its_values(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    listener = raw_subscribed(raw, loop, position="e:3", snapshot=0)
    mapping = loop.create_task(connection.map("t", key="host"))
    (given, *_), (asked, _, params) = raw.asked()
    assert params == {"topic": "t"}
    raw.answers(given)
    raw.answers(asked, subscription=6, recovered=False, snapshot=1, position="e:4")
    [(read, method, params)] = raw.asked()
    assert (method, params["after"]) == (READ, "e:3")

    raw.tells("event", **value("a", 1, position="e:4"), retained=True)
    raw.answers(read, events=[{"position": "e:4", "data": "a4"}], position="e:4", recovered=True, end=True)
    raw.tells("event", **value("a", 2, position="e:5"))

    assert loads(mapping.result()) == {"a": 2}
    assert taken(loop, listener) == ["a4", {"host": "a", "load": 2}]


def test_changes_of_a_map_are_followed_to_its_end(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1))
    seen: list[dict[Any, int]] = []

    async def follow() -> None:
        async for one in latest.changes():
            seen.append(loads(one))  # noqa: PERF401 (it is looked at while it grows)

    following = loop.create_task(follow())
    loop.settle()
    raw.tells("event", **value("a", 2))
    closing = loop.create_task(latest.close())
    [(request, *_)] = raw.asked()
    raw.answers(request)

    assert seen == [{"a": 1}, {"a": 2}]
    assert following.done()
    assert closing.done()
    assert loads(latest) == {"a": 2}


def test_a_generated_topic_knows_its_key(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    topic: Topic[Sample] = Topic("t", Sample, latest=("host",))

    task = loop.create_task(connection.map(topic))
    [(request, *_)] = raw.asked()
    raw.answers(request, subscription=5, recovered=False, snapshot=1)
    raw.tells("event", **value("a", 1), retained=True)

    assert dict(task.result()) == {"a": Sample("a", 1)}
    with pytest.raises(UsageError, match="name them with key="):
        loop.run(connection.map("t"))


def test_a_typed_map_leaves_out_what_does_not_fit(
    raw: RawPeer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    connection = raw.connect()
    latest = raw_map(raw, loop, connection, value("a", 1), {"topic": "t", "data": "?"}, type=Sample)

    assert dict(latest) == {"a": Sample("a", 1)}
    assert "a value of t does not fit" in caplog.text


def test_a_page_that_is_due_when_the_session_has_ended_is_read_on_the_next_link(
    peer: Peer, loop: HandTurnedLoop
) -> None:
    peer.connect()
    subscription = subscribed(peer, loop)
    connection = peer.connection
    carrier = connection._keeper.carrier
    assert carrier is not None
    carrier.take(on.LeaveRequested())
    peer.heard()

    connection._ask_page(subscription, Read("t", Position("e", 1), 10, 1))

    assert peer.heard() == []
