"""What the journal promises, over both stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from hopsack import errors
from hopsack_router.streams import runs, snapshots
from hopsack_router.streams.events import OVERHEAD, Gone, Page, Recoverable, Retention, Stored
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.memory import MemoryStore
from hopsack_router.streams.position import Position
from hopsack_router.streams.store import Batch, LatestRow, Store, StoreError, StoreFailed, StoreTorn
from tests.unit.streams.stage import (
    NO_MEMORY,
    Held,
    append,
    begin,
    draft,
    held,
    now,
    random,
    read_all,
    sqlite,
    texts,
)

# ---- order and positions --------------------------------------------------------------------------------------------


def test_offsets_count_from_one_in_the_order_of_calls(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    before = journal.head("a.b")

    events = append(journal, "a.b", "one", "two", "three")
    other = append(journal, "a.c", "x")

    assert before.offset == 0
    assert [event.position for event in events] == [Position(before.epoch, offset) for offset in (1, 2, 3)]
    assert [event.offset for event in other] == [1]
    assert journal.head("a.b") == Position(before.epoch, 3)
    assert texts(read_all(journal, "a.b")) == ["one", "two", "three"]  # type: ignore[arg-type]


def test_an_event_comes_back_with_all_its_facts(store: Store, time: Clock) -> None:
    journal = begin(store, time, bounds=NO_MEMORY)
    facts = {"session": 7, "authid": "ada", "role": "user", "key": "k-1", "latest": "host-1"}

    event = now(journal.append("a.b", draft("äöü ☃", 2**53, **facts)))
    append(journal, "a.b", "another")  # the tail holds the newest only

    (first, _) = read_all(journal, "a.b")  # type: ignore[misc]
    assert first == event
    assert (first.time, first.publication, first.authid) == (1_000_000.0, 2**53, "ada")


def test_a_page_ends_at_its_limit_and_says_where_to_read_on(store: Store, time: Clock) -> None:
    journal = begin(store, time, bounds=NO_MEMORY)
    append(journal, "a.b", *"abcde")
    epoch = journal.head("a.b").epoch

    page = now(journal.read("a.b", Position(epoch, 1), limit=2))

    assert isinstance(page, Page)
    assert (texts(page.events), page.end, page.first, page.last) == (
        ["b", "c"],
        False,
        Position(epoch, 1),
        Position(epoch, 3),
    )
    last = now(journal.read("a.b", page.last))
    assert isinstance(last, Page)
    assert (texts(last.events), last.end) == (["d", "e"], True)
    empty = now(journal.read("a.b", last.last))
    assert empty == Page((), True, Position(epoch, 1), Position(epoch, 5))


@pytest.mark.parametrize("bounds", [NO_MEMORY, Bounds()], ids=["store", "tail"])
def test_a_page_ends_at_its_bytes_and_always_has_an_event(store: Store, time: Clock, bounds: Bounds) -> None:
    journal = begin(store, time, bounds=bounds)
    append(journal, "a.b", *("x" * 1000 for _ in range(5)))

    two = now(journal.read("a.b", None, max_bytes=2400))
    one = now(journal.read("a.b", None, max_bytes=10))

    assert isinstance(two, Page)
    assert isinstance(one, Page)
    assert (len(two.events), len(one.events)) == (2, 1)
    assert len(read_all(journal, "a.b")) == 5  # type: ignore[arg-type]


def test_a_stream_without_events_can_be_read_from_its_head(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    head = journal.head("a.b")

    assert journal.where("a.b", head) == Recoverable(0)
    assert now(journal.read("a.b", head)) == Page((), True, None, head)
    append(journal, "a.b", "one")
    assert texts(read_all(journal, "a.b", head)) == ["one"]  # type: ignore[arg-type]


def test_nothing_is_visible_before_it_is_committed(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes)
    head = journal.head("a.b")

    first, second, third = (journal.append("a.b", draft(text)) for text in ("one", "two", "three"))

    assert not first.called
    assert (journal.head("a.b"), journal.newest("a.b")) == (head, ())
    lanes[0].turn()
    assert (first.called, second.called, journal.head("a.b").offset) == (True, False, 1)
    lanes[0].turn()  # what came meanwhile is one batch
    assert [now(second).offset, now(third).offset] == [2, 3]


def test_a_reader_may_publish_when_it_is_told(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    order: list[str] = []

    first = journal.append("a.b", draft("one"))
    first.addCallback(lambda event: journal.append("a.b", draft("two")).addCallback(lambda two: order.append("two")))
    first.addCallback(lambda _: order.append("one"))

    assert order == ["two", "one"]
    assert texts(read_all(journal, "a.b")) == ["one", "two"]  # type: ignore[arg-type]


# ---- where reading can go on ----------------------------------------------------------------------------------------


def test_a_position_of_another_epoch_or_beyond_the_head_is_gone(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    append(journal, "a.b", "one")
    head = journal.head("a.b")
    oldest = Position(head.epoch, 1)

    assert journal.where("a.b", Position("zzzzzzzz", 1)) == Gone("epoch", oldest, head)
    assert journal.where("a.b", Position(head.epoch, 2)) == Gone("epoch", oldest, head)
    assert now(journal.read("a.b", Position(head.epoch, 2))) == Gone("epoch", oldest, head)


def test_so_many_events_are_kept_and_what_has_gone_is_told(store: Store, time: Clock) -> None:
    journal = begin(store, time, Retention(keep=3), bounds=NO_MEMORY)
    append(journal, "a.b", *"abcdefg")
    epoch = journal.head("a.b").epoch
    at = [journal.where("a.b", Position(epoch, offset)) for offset in (3, 4, 7)]

    assert at == [Gone("trimmed", Position(epoch, 5), Position(epoch, 7)), Recoverable(3), Recoverable(0)]
    assert texts(read_all(journal, "a.b")) == ["e", "f", "g"]  # type: ignore[arg-type]


def test_events_go_at_their_age_though_nothing_is_published(store: Store, time: Clock) -> None:
    journal = begin(store, time, Retention(keep=100, seconds=3600.0))
    append(journal, "a.b", "old")
    time.advance(1800)
    append(journal, "a.b", "young")
    head = journal.head("a.b")

    time.advance(1799)
    assert texts(read_all(journal, "a.b")) == ["old", "young"]  # type: ignore[arg-type]
    time.advance(1)
    assert texts(read_all(journal, "a.b")) == ["young"]  # type: ignore[arg-type]
    time.advance(1800)
    assert now(journal.read("a.b", None)) == Page((), True, None, head)
    assert journal.where("a.b", Position(head.epoch, 1)) == Gone("trimmed", None, head)
    assert append(journal, "a.b", "next")[0].position == Position(head.epoch, 3)


def test_a_topic_stays_within_its_bytes(store: Store, time: Clock) -> None:
    journal = begin(store, time, Retention(keep=1000, max_bytes=16_000))
    for number in range(100):
        append(journal, "a.b", f"{number:0998}")
        events = read_all(journal, "a.b", limit=100)
        assert isinstance(events, list)
        assert sum(event.size for event in events) <= 16_000
        assert len(events) >= min(number + 1, 16_000 // (1000 + OVERHEAD) - 1)


def test_all_topics_stay_within_their_bytes_and_the_largest_pays(store: Store, time: Clock) -> None:
    journal = begin(store, time, bounds=Bounds(max_bytes=1 << 20))
    append(journal, "a.small", *"abc")
    for number in range(1500):
        append(journal, "a.large", f"{number:01000}", durable=False)

    large = read_all(journal, "a.large", limit=500)
    assert texts(read_all(journal, "a.small")) == ["a", "b", "c"]  # type: ignore[arg-type]
    assert isinstance(large, list)
    assert 700 < len(large) <= (1 << 20) // 1000
    assert large[-1].offset == 1500


def test_the_topic_longest_without_an_event_goes_and_its_positions_never_come_again(store: Store, time: Clock) -> None:
    journal = begin(store, time, bounds=Bounds(topics=3))
    append(journal, "a.one", "x", "y")
    gone = journal.head("a.one")
    for topic in ("a.two", "a.three", "a.four"):
        append(journal, topic, "x")

    assert journal.topics() == ["a.two", "a.three", "a.four"]
    assert journal.where("a.one", gone) == Gone("epoch", None, journal.head("a.one"))
    append(journal, "a.one", "new", "newer", "newest")
    assert isinstance(journal.where("a.one", gone), Gone)
    assert journal.head("a.one").epoch != gone.epoch


def test_what_is_trimmed_while_it_is_read_is_told_as_gone(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes, Retention(keep=2), NO_MEMORY)
    writer, reader = lanes
    for text in "ab":
        journal.append("a.b", draft(text))
        writer.turn()
    epoch = journal.head("a.b").epoch

    behind = journal.read("a.b", Position(epoch, 0))
    oldest = journal.read("a.b", None)
    for number in range(runs.RUN_EVENTS * 2):
        journal.append("a.b", draft(str(number)))
    writer.turn()
    writer.turn()
    while writer.jobs:
        writer.turn()
    reader.turn()
    reader.turn()
    reader.stop()

    assert now(behind) == Gone("trimmed", Position(epoch, 129), Position(epoch, 130))
    page = now(oldest)
    assert isinstance(page, Page)
    assert [event.offset for event in page.events] == [129, 130]


# ---- what comes twice -----------------------------------------------------------------------------------------------


def test_the_same_key_within_two_minutes_is_the_same_event(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    first = now(journal.append("a.b", draft("one", 11, key="k")))
    time.advance(119)

    again = now(journal.append("a.b", draft("one", 12, key="k")))
    elsewhere = now(journal.append("a.c", draft("one", 13, key="k")))

    assert (again.position, again.publication, again.time, again.repeated) == (first.position, 11, first.time, True)
    assert not elsewhere.repeated
    assert texts(read_all(journal, "a.b")) == ["one"]  # type: ignore[arg-type]
    time.advance(1)
    assert now(journal.append("a.b", draft("one", 14, key="k"))).offset == 2
    time.advance(60)
    assert now(journal.append("a.b", draft("one", 15, key="k"))).offset == 2


def test_a_key_comes_again_while_its_event_waits(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes)
    journal.append("a.b", draft("nothing to do with it"), durable=False)
    first = journal.append("a.b", draft("one", 11, key="k"), durable=False)
    waiting = journal.append("a.b", draft("one", 12, key="k"), durable=False)

    lanes[0].turn()
    under_way = journal.append("a.b", draft("one", 13, key="k"))
    lanes[0].turn()

    assert [(event.offset, event.publication, event.repeated) for event in (now(first), now(waiting))] == [
        (2, 11, False),
        (2, 11, True),
    ]
    assert not under_way.called  # it wants to be on disk, and that batch was not
    lanes[0].turn()
    assert (now(under_way).offset, now(under_way).repeated) == (2, True)


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(
    ("begins", "durable"),
    [("waiting", False), ("waiting", True), ("under way", False), ("under way", True), ("committed", True)],
)
def test_repetitions_that_wait_are_bounded_in_bytes_as_events_are(
    tmp_path: Path, time: Clock, begins: str, durable: bool, is_full: bool
) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes, bounds=Bounds(queue_bytes=20_000))
    event = draft("x" * 1000, key="a")
    if begins == "waiting":
        journal.append("other", draft("y"), durable=False)
    first = journal.append("t", event, durable=False)
    if begins == "committed":
        lanes[0].turn()
        journal.append("other", draft("y"), durable=False)

    asked = [journal.append("t", event, durable) for _ in range(40)]

    refused: list[Failure] = []
    for one in asked:
        one.addErrback(refused.append)
    assert all(one.check(errors.Overloaded) for one in refused)
    assert 20 <= len(refused) <= 25
    if is_full:
        journal._store._db.execute("PRAGMA query_only = 1")  # type: ignore[attr-defined]
    first.addErrback(refused.append)
    while lanes[0].jobs:
        lanes[0].turn()
    assert all(one.called for one in asked)
    assert journal._ledger._queued == 0


def test_an_acknowledged_repetition_of_an_unacknowledged_event_waits_for_the_disk(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes)
    journal.append("a.b", draft("one", key="k"), durable=False)
    lanes[0].turn()

    careless = journal.append("a.b", draft("one", key="k"), durable=False)
    careful = journal.append("a.b", draft("one", key="k"), durable=True)

    assert (careless.called, careful.called) == (True, False)
    lanes[0].turn()
    assert now(careful).offset == 1
    assert now(journal.append("a.b", draft("one", key="k"))).repeated


def test_a_key_has_a_length(store: Store, time: Clock) -> None:
    journal = begin(store, time)

    for key in ("", "k" * 65):
        with pytest.raises(errors.BadRequest, match="1 to 64"):
            now(journal.append("a.b", draft("one", key=key)))


# ---- bounds ---------------------------------------------------------------------------------------------------------


def test_what_is_too_much_is_refused_with_numbers_and_the_rest_is_kept(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes, bounds=Bounds(queue_events=2))
    kept = [journal.append("a.b", draft(text)) for text in "abc"]  # one is under way, two wait

    with pytest.raises(errors.Overloaded, match=r"2 events of 0\.0 MiB wait") as refused:
        now(journal.append("a.b", draft("d")))

    assert refused.value.data == {"retry_after": 1.0}
    lanes[0].turn()
    lanes[0].turn()
    assert [now(one).offset for one in kept] == [1, 2, 3]


def test_more_keys_than_can_be_remembered_are_refused_until_the_window_has_passed(store: Store, time: Clock) -> None:
    journal = begin(store, time, bounds=Bounds(keys=2))
    for key in "ab":
        now(journal.append("a.b", draft("x", key=key)))

    with pytest.raises(errors.Overloaded, match="2 events with an idempotency key"):
        now(journal.append("a.b", draft("x", key="c")))

    append(journal, "a.b", "without a key")
    time.advance(120)
    assert now(journal.append("a.b", draft("x", key="c"))).offset == 4


# ---- the newest of each key -----------------------------------------------------------------------------------------


def test_a_snapshot_has_the_newest_of_each_key_in_the_order_of_their_change(store: Store, time: Clock) -> None:
    journal = begin(store, time)
    for key, text in (("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")):
        now(journal.append("a.b", draft(text, latest=key)))
    assert texts(journal.newest("a.b")) == ["2", "3", "4"]

    tombstone = now(journal.append("a.b", draft("b", latest="b", deleted=True)))

    assert texts(journal.newest("a.b")) == ["3", "4"]
    assert (tombstone.offset, tombstone.deleted) == (5, True)
    assert len(read_all(journal, "a.b")) == 5  # type: ignore[arg-type]


def test_a_topic_that_is_no_stream_keeps_its_newest_at_once(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes)

    events = [now(journal.keep("a.b", draft(text, latest="k"))) for text in "abc"]

    assert [event.position for event in events] == [None, None, None]
    assert texts(journal.newest("a.b")) == ["c"]
    lanes[0].turn()
    assert len(lanes[0].jobs) == 1  # the second and third came while the first was written, and are one row
    journal.keep("a.b", draft("", latest="k", deleted=True))
    assert journal.newest("a.b") == ()
    lanes[0].stop()


def test_a_value_that_is_acknowledged_is_on_disk_before_it_is_told_or_seen(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)

    kept = journal.keep("a.state", draft("on", latest="lamp"), durable=True)

    assert (kept.called, journal.newest("a.state")) == (False, ())
    lane.turn()
    assert texts([now(kept)]) == texts(journal.newest("a.state")) == ["on"]
    assert store.durable[-1] is True


def test_what_comes_behind_a_value_that_waits_is_told_behind_it(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    told: list[str] = []

    def tell(event: Stored) -> None:
        told.extend(texts([event]))
        if told == ["one"]:  # a reader that publishes when it is told: behind what is committed and not told yet
            journal.keep("a.state", draft("five", latest="k")).addCallback(tell)

    journal.append("a.b", draft("one"), durable=False).addCallback(tell)
    journal.keep("a.state", draft("two", latest="k"), durable=True).addCallback(tell)
    journal.keep("a.state", draft("three", latest="k")).addCallback(tell)
    journal.append("a.b", draft("four")).addCallback(tell)
    assert told == []
    lane.stop()

    assert told == ["one", "two", "three", "four", "five"]
    assert texts(journal.newest("a.state")) == ["five"]
    assert journal.keep("a.state", draft("six", latest="k")).called  # nothing waits any more


def test_a_store_that_fails_refuses_the_values_that_were_to_be_acknowledged_alone(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    store.is_broken = True
    now_and_here = journal.keep("a.state", draft("on", latest="lamp"))
    lane.turn()

    refused = journal.keep("a.state", draft("off", latest="lamp"), durable=True)
    behind = journal.keep("a.state", draft("open", latest="door"))
    also_refused = journal.append("a.b", draft("one"), durable=False)
    lane.turn()
    lane.turn()

    assert now(now_and_here).data == b'"on"'
    for one in (refused, also_refused):
        with pytest.raises(errors.StoreFailed, match="I/O error"):
            now(one)
    assert now(behind).data == b'"open"'
    assert texts(journal.newest("a.state")) == ["on", "open"]
    store.is_broken = False
    time.advance(1)
    lane.stop()
    assert [row.key for row in store.latest] == ["lamp", "door"]


def test_values_behind_a_store_that_fails_have_a_bound(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time, Bounds(behind=3))
    store.is_broken = True

    for number in range(3):
        now(journal.keep("a.state", draft("x", latest=str(number))))
        while lane.jobs:
            lane.turn()
    now(journal.keep("a.state", draft("y", latest="1")))  # another value of a key that waits needs no room
    with pytest.raises(errors.Overloaded, match="3 newest values wait"):
        now(journal.keep("a.state", draft("x", latest="3")))

    assert texts(journal.newest("a.state")) == ["x", "x", "y"]


def test_values_that_are_behind_are_written_in_batches_of_their_bound(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time, Bounds(batch_events=4))
    store.is_broken = True
    for number in range(10):
        now(journal.keep("a.state", draft("x", latest=str(number))))
    lane.turn()
    store.is_broken = False
    store.durable.clear()

    time.advance(1)
    lane.stop()

    assert [row.key for row in store.latest] == [str(number) for number in range(10)]
    assert len(store.durable) == 3


def test_topics_do_not_go_for_the_sake_of_events_that_are_refused(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time, Bounds(topics=3, batch_events=5))
    kept = [journal.append(topic, draft("x", latest="k")) for topic in ("a.one", "a.two", "a.three")]
    lane.stop()
    store.is_broken = True

    refused = [journal.append(f"b.{number}", draft("x")) for number in range(50)]
    lane.stop()

    assert [now(one).offset for one in kept] == [1, 1, 1]
    assert journal.topics() == ["a.one", "a.two", "a.three"]
    for one in refused:
        with pytest.raises(errors.StoreFailed):
            now(one)
    store.is_broken = False
    time.advance(1)
    fresh = journal.append("b.1", draft("x"))
    lane.stop()
    assert now(fresh).offset == 1
    assert journal.topics() == ["a.two", "a.three", "b.1"]


def test_closing_waits_for_values_that_are_behind_and_refuses_what_comes(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    store.mood = StoreFailed("no space left on device")
    journal.keep("a.state", draft("on", latest="lamp"))
    lane.turn()

    closed = journal.close()
    with pytest.raises(errors.StoreFailed, match="closed"):
        now(journal.keep("a.state", draft("off", latest="lamp")))
    assert not closed.called
    lane.stop()

    assert closed.called
    assert [row.key for row in store.latest] == ["lamp"]


def test_values_that_a_failing_store_never_takes_are_told_as_lost_at_the_end(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    store.is_broken = True
    journal.keep("a.state", draft("on", latest="lamp"))
    lane.turn()

    with capturedLogs() as logs:
        closed = journal.close()
        lane.stop()

    assert closed.called
    assert "1 newest values could not be written, and are lost" in [formatEvent(log) for log in logs]


def test_a_snapshot_has_bounds_and_the_longest_unchanged_goes(store: Store, time: Clock) -> None:
    bounds = snapshots.Bounds(keys=3, topic_bytes=3000, max_bytes=4000)
    journal = begin(store, time, bounds=Bounds(snapshots=bounds))

    with capturedLogs() as logs:
        for key in "abcde":
            journal.keep("a.many", draft(key, latest=key))
    assert [formatEvent(log) for log in logs] == [
        "a.many has more keys than its snapshot takes: the longest unchanged are dropped"
    ]
    journal.keep("a.many", draft("e", latest="e", deleted=True))
    journal.keep("a.many", draft("b", latest="b"))
    assert texts(journal.newest("a.many")) == ["c", "d", "b"]
    for key in "abc":
        journal.keep("a.big", draft(key * 1200, latest=key))
    assert [event.latest for event in journal.newest("a.big")] == ["b", "c"]
    journal.keep("a.more", draft("x" * 1800, latest="x"))
    assert (journal.newest("a.many"), [event.latest for event in journal.newest("a.big")]) == ((), ["c"])


# ---- history --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [NO_MEMORY, Bounds()], ids=["store", "tail"])
def test_history_by_count_and_by_time(store: Store, time: Clock, bounds: Bounds) -> None:
    journal = begin(store, time, Retention(keep=8), bounds=bounds)
    for number in range(10):
        append(journal, "a.b", str(number))
        time.advance(10)

    def back(**how: float) -> list[str]:
        page = now(journal.read_back("a.b", **how))  # type: ignore[arg-type]
        assert isinstance(page, Page)
        return texts(page.events)

    assert back(last=3) == ["7", "8", "9"]
    assert back(last=0) == []
    assert back(last=100) == ["2", "3", "4", "5", "6", "7", "8", "9"]
    assert back(since=1_000_070.0) == ["7", "8", "9"]
    assert back(since=0.0) == ["2", "3", "4", "5", "6", "7", "8", "9"]
    assert back(since=2_000_000.0) == []
    assert back(limit=2) == ["2", "3"]


def test_a_publication_id_leads_to_its_position(store: Store, time: Clock) -> None:
    journal = begin(store, time, Retention(keep=3), bounds=NO_MEMORY)
    for publication in (101, 102, 103, 104):
        now(journal.append("a.b", draft("x", publication)))
    epoch = journal.head("a.b").epoch

    found = [now(journal.position_of("a.b", publication)) for publication in (104, 102, 101, 99)]

    assert found == [Position(epoch, 4), Position(epoch, 2), None, None]
    assert now(journal.position_of("a.c", 104)) is None


# ---- a store that fails ---------------------------------------------------------------------------------------------


class Moody(MemoryStore):
    """A store that fails when it is told to."""

    is_local = False
    is_broken = False
    mood: StoreError | None = None

    def __init__(self) -> None:
        super().__init__()
        self.durable: list[bool] = []
        self.latest: list[LatestRow] = []

    def commit(self, batch: Batch) -> None:
        self.durable.append(batch.durable)
        mood, self.mood = self.mood, None
        if mood is not None:
            raise mood
        if self.is_broken:
            raise StoreFailed("I/O error")
        super().commit(batch)
        self.latest += batch.latest


def test_a_batch_that_fails_refuses_its_events_and_leaves_no_hole(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    first = journal.append("a.b", draft("one", key="k", latest="x"), durable=False)
    lane.turn()
    store.mood = StoreFailed("no space left on device")
    second = journal.append("a.b", draft("two", key="l", latest="x"), durable=False)
    again = journal.append("a.b", draft("two", key="l"), durable=True)  # waits for the disk, behind a batch that fails
    other = journal.append("a.b", draft("three"))
    journal.keep("a.state", draft("on", latest="lamp"))

    lane.turn()

    assert now(first).offset == 1
    for refused in (second, again):
        with pytest.raises(errors.StoreFailed, match="no space left on device"):
            now(refused)
    assert not other.called
    lane.turn()
    assert now(other).offset == 2
    once_more = journal.append("a.b", draft("two", key="l"))
    lane.stop()
    assert (now(once_more).offset, now(once_more).repeated) == (3, False)
    assert texts(journal.newest("a.b")) == ["one"]


def test_a_batch_goes_to_the_disk_if_anybody_in_it_waits_for_that(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    journal.append("a.b", draft("under way"), durable=False)
    journal.append("a.b", draft("one", key="k"), durable=False)
    journal.append("a.b", draft("one", key="k"), durable=True)
    lane.turn()
    journal.append("a.b", draft("two"), durable=False)
    lane.turn()
    journal.append("a.b", draft("three"), durable=False)
    journal.append("a.b", draft("four"), durable=True)
    lane.stop()

    assert store.durable == [True, False, True, False, True]  # the first tells the epoch


def test_chores_that_fail_are_tried_again_when_time_has_passed(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    store.mood = StoreFailed("no space left on device")

    journal.keep("a.state", draft("on", latest="lamp"))
    lane.turn()

    assert not lane.jobs
    time.advance(1)
    assert len(lane.jobs) == 1
    lane.turn()
    time.advance(1)
    assert not lane.jobs


def test_a_store_that_is_torn_is_replaced_and_snapshots_stay(time: Clock) -> None:
    store, lane = Moody(), Held()
    journal = _slow(store, lane, time)
    first = journal.append("a.b", draft("one", latest="x"))
    journal.keep("a.state", draft("on", latest="lamp"))
    lane.turn()
    lane.turn()
    old = journal.head("a.b")
    store.mood = StoreTorn("a page is broken")

    lost = journal.append("a.b", draft("two"))
    with capturedLogs() as logs:
        lane.turn()
        lane.turn()
    after = journal.append("a.b", draft("three", latest="y"))
    lane.stop()

    assert now(first).position == old
    with pytest.raises(errors.StoreFailed, match="a page is broken"):
        now(lost)
    assert isinstance(journal.where("a.b", old), Gone)
    assert now(after).position == Position(journal.head("a.b").epoch, 1)
    assert texts(journal.newest("a.b")) == ["one", "three"]
    assert texts(journal.newest("a.state")) == ["on"]
    assert any("all streams begin anew: a page is broken" in formatEvent(log) for log in logs)


def _slow(store: Store, lane: Held, time: Clock, bounds: Bounds | None = None) -> Journal:
    journal = Journal(
        store, lambda topic: Retention(keep=1000), clock=time, random=random(), lane=lambda name: lane, bounds=bounds
    )
    started = journal.start()
    lane.turn()
    lane.turn()
    now(started)
    return journal


# ---- the end --------------------------------------------------------------------------------------------------------


def test_closing_writes_what_waits_and_refuses_what_comes(tmp_path: Path, time: Clock) -> None:
    lanes: list[Held] = []
    journal = held(tmp_path, time, lanes)
    kept = [journal.append("a.b", draft(text)) for text in "ab"]

    closed = journal.close()
    with pytest.raises(errors.StoreFailed, match="closed"):
        now(journal.append("a.b", draft("c")))
    for _ in range(3):
        lanes[0].turn()

    assert [now(one).offset for one in kept] == [1, 2]
    assert closed.called
    assert time.getDelayedCalls() == []
    again = begin(sqlite(tmp_path, time), time)
    assert texts(read_all(again, "a.b")) == ["a", "b"]  # type: ignore[arg-type]
    now(again.close())
