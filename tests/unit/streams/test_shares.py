"""What all topics have together is shared out by contracts: nobody takes from another who has less."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hopsack import errors
from hopsack_router.streams import snapshots
from hopsack_router.streams.events import Gone, Recoverable, Retention
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.ledger import Bounds
from hopsack_router.streams.position import Position
from hopsack_router.streams.repeats import Owner, Repeats
from hopsack_router.streams.store import Store
from tests.unit.streams.stage import append, as_killed, begin, draft, now, read_all, sqlite, texts


def by_prefix(topic: str) -> Retention:
    """``chat.7`` belongs to the contract ``chat``."""
    return Retention(keep=1_000_000, contract=topic.partition(".")[0])


# ---- topics ---------------------------------------------------------------------------------------------------------


def test_a_flood_of_topics_takes_from_its_own_contract_alone(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(topics=20))
    quiet = append(journal, "orders.one", "x")[0].position
    never = journal.head("orders.two")
    for number in range(200):
        append(journal, f"chat.{number}", "x")

    assert journal.where("orders.one", quiet) == Recoverable(0)
    assert journal.where("orders.two", never) == Recoverable(0)
    assert journal.topics() == ["orders.one", *(f"chat.{number}" for number in range(181, 200))]
    assert append(journal, "orders.two", "y")[0].position == Position(never.epoch, 1)


def test_the_largest_contract_gives_and_contracts_that_grow_become_equal(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(topics=20))
    for contract in ("orders", "chat"):
        for number in range(40):
            append(journal, f"{contract}.{number}", "x")

    topics = journal.topics()

    assert [topic.partition(".")[0] for topic in topics] == ["orders"] * 10 + ["chat"] * 10


def test_a_topic_that_has_nothing_left_goes_before_one_that_has_events(store: Store, time: Clock) -> None:
    def of(topic: str) -> Retention:
        return Retention(keep=100, seconds=60.0 if topic.startswith("chat.short") else None)

    journal = begin(store, time, of, bounds=Bounds(topics=3))
    append(journal, "chat.long", "kept")
    append(journal, "chat.short", "gone")
    append(journal, "chat.longer", "kept")
    time.advance(100)
    head = journal.head("chat.short")
    assert journal.where("chat.short", head) == Recoverable(0)

    append(journal, "chat.new", "x")

    assert journal.topics() == ["chat.long", "chat.longer", "chat.new"]
    assert isinstance(journal.where("chat.short", head), Gone)


def test_positions_never_come_again_however_often_topics_go_and_come(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(topics=2))
    seen: set[tuple[str, Position]] = set()
    for number in range(300):
        topic = f"chat.{number * number % 7}"
        (event,) = append(journal, topic, str(number))
        assert event.position is not None
        assert (topic, event.position) not in seen
        seen.add((topic, event.position))


def test_births_change_only_when_a_topic_goes_that_began_with_them(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(topics=10))
    births = []
    for number in range(100):
        append(journal, f"chat.{number}", "x")
        births.append(journal.head("chat.never").epoch)

    assert len(set(births)) <= 11


def test_a_birth_is_remembered_over_a_restart(tmp_path: Path, time: Clock) -> None:
    journal = begin(sqlite(tmp_path / "one", time), time, by_prefix, bounds=Bounds(topics=2))
    gone = append(journal, "chat.0", "x")[0].position
    for number in (1, 2, 3):
        append(journal, f"chat.{number}", "x")
    births = [journal.head(topic) for topic in ("chat.0", "orders.0")]

    again = begin(sqlite(as_killed(tmp_path / "one", tmp_path / "two"), time), time, by_prefix, seed=7)

    assert [again.head(topic) for topic in ("chat.0", "orders.0")] == births
    assert isinstance(again.where("chat.0", gone), Gone)
    now(journal.close())
    now(again.close())


def test_positions_do_not_come_again_though_a_topic_gets_another_contract_and_its_own_again(
    tmp_path: Path, time: Clock
) -> None:
    def other(topic: str) -> Retention:
        return Retention(keep=100, contract="other")

    first = begin(sqlite(tmp_path, time), time, by_prefix)
    gone = append(first, "chat.0", "x")[0].position
    now(first.close())
    second = begin(sqlite(tmp_path, time), time, other, bounds=Bounds(topics=1))
    append(second, "chat.1", "x")
    assert second.topics() == ["chat.1"]
    now(second.close())

    third = begin(sqlite(tmp_path, time), time, by_prefix)

    assert isinstance(third.where("chat.0", gone), Gone)
    assert append(third, "chat.0", "y")[0].position != gone
    now(third.close())


def test_after_a_doubt_no_birth_is_used_again(tmp_path: Path, time: Clock) -> None:
    journal = begin(sqlite(tmp_path / "one", time), time, by_prefix, bounds=Bounds(topics=1))
    for number in range(3):
        append(journal, f"chat.{number}", "x")
    before = {journal.head(f"{contract}.never").epoch for contract in ("chat", "orders")}
    copy = as_killed(tmp_path / "one", tmp_path / "two")

    for life in (2, 3):
        again = begin(sqlite(copy, time, boot="boot-2"), time, by_prefix, seed=life)
        after = {again.head(f"{contract}.never").epoch for contract in ("chat", "orders")}
        assert not before & after
        now(again.close())
    now(journal.close())


def test_a_topic_without_values_is_forgotten_on_disk_too(tmp_path: Path, time: Clock) -> None:
    journal = begin(sqlite(tmp_path, time), time, by_prefix)
    for number in range(50):
        topic = f"room.{number}.members"
        now(journal.keep(topic, draft("ann", latest="ann"), durable=bool(number % 2)))
        now(journal.keep(topic, draft("ann", latest="ann", deleted=True), durable=bool(number % 3)))
    now(journal.keep("room.full.members", draft("ann", latest="ann")))
    time.advance(1)

    assert journal.topics() == ["room.full.members"]
    now(journal.close())
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        assert db.execute("SELECT uri FROM topics").fetchall() == [("room.full.members",)]
        assert db.execute("SELECT count(*) FROM latest").fetchone() == (1,)


def test_the_store_forgets_a_topic_that_went(tmp_path: Path, time: Clock) -> None:
    journal = begin(sqlite(tmp_path, time), time, by_prefix, bounds=Bounds(topics=5))
    for number in range(300):
        now(journal.append(f"chat.{number}", draft("x", latest="k")))
    for _ in range(10):
        time.advance(1)
    now(journal.close())

    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
    assert counts == [5, 5, 5, 5]


TABLES = ("topics", "events", "runs", "latest")


# ---- bytes ----------------------------------------------------------------------------------------------------------


def test_a_flood_of_bytes_over_many_topics_takes_from_its_own_contract_alone(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(max_bytes=1 << 20))
    for number in range(200):
        append(journal, "orders.one", f"{number:01000}", durable=False)
    for number in range(3000):  # each of these topics is smaller than that of the orders
        append(journal, f"chat.{number % 100}", f"{number:01000}", durable=False)

    orders = read_all(journal, "orders.one")
    assert isinstance(orders, list)
    assert [event.offset for event in orders] == list(range(1, 201))
    assert sum(journal.extent(topic).size for topic in journal.topics()) <= 1 << 20


# ---- newest values --------------------------------------------------------------------------------------------------


def test_a_flood_of_newest_values_takes_from_its_own_contract_alone(store: Store, time: Clock) -> None:
    bounds = Bounds(snapshots=snapshots.Bounds(topic_bytes=5000, max_bytes=20_000))
    journal = begin(store, time, by_prefix, bounds=bounds)
    for key in "abc":
        now(journal.keep("orders.one", draft(key, latest=key)))
    for number in range(200):
        now(journal.keep(f"chat.{number % 40}", draft("x" * 1000, latest=str(number))))

    assert texts(journal.newest("orders.one")) == ["a", "b", "c"]
    kept = [event for topic in journal.topics() for event in journal.newest(topic)]
    assert sum(event.size for event in kept) <= 20_000
    assert [event.latest for event in journal.newest("chat.39")][-1] == "199"


# ---- idempotency keys -----------------------------------------------------------------------------------------------


def test_a_flood_of_keys_leaves_some_for_other_contracts_and_forgets_none(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(keys=900))
    first = now(journal.append("chat.1", draft("x", key="0")))
    used = _keys_until_refused(journal, "chat.1", None)

    assert 700 < used < 850
    for number in range(50):
        now(journal.append("orders.one", draft("x", key=str(number))))
    again = now(journal.append("chat.1", draft("x", key="0")))
    assert (again.repeated, again.position) == (True, first.position)


def test_a_publisher_leaves_some_for_the_others_of_its_contract(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(keys=900))
    greedy = _keys_until_refused(journal, "chat.1", "eve")

    assert 600 < greedy < 750
    for number in range(50):
        now(journal.append("chat.1", draft("x", key=f"ann-{number}"), True, "ann"))


def _keys_until_refused(journal: Journal, topic: str, publisher: str | None) -> int:
    for number in range(1, 10_000):
        kept = journal.append(topic, draft("x", key=str(number)), True, publisher)
        if isinstance(kept.result, Failure):
            with pytest.raises(errors.Overloaded, match="within 120 s are remembered of topics under this contract"):
                now(kept)
            return number
    raise AssertionError("they are never used up")


def test_equal_owners_are_equal_and_all_keys_come_back() -> None:
    repeats: Repeats[str] = Repeats(1000)
    owners = [Owner(contract, None) for contract in "abcd"]
    taken = dict.fromkeys(owners, 0)
    for number in range(2000):
        owner = owners[number % 4]
        if repeats.has_room(owner):
            repeats.wait("topic", str(number), "waits", owner)
            taken[owner] += 1

    assert max(taken.values()) - min(taken.values()) <= 1
    assert 950 < sum(taken.values()) < 1000
    for number in range(2000):
        if repeats.find("topic", str(number)):
            repeats.give_up("topic", str(number), owners[number % 4])
    assert [repeats.has(owner) for owner in owners] == [0, 0, 0, 0]


def test_a_key_counts_though_its_topic_has_gone(store: Store, time: Clock) -> None:
    journal = begin(store, time, by_prefix, bounds=Bounds(topics=2))
    first = now(journal.append("chat.1", draft("one", key="k")))
    for number in (2, 3):
        append(journal, f"chat.{number}", "x")
    assert journal.topics() == ["chat.2", "chat.3"]

    again = now(journal.append("chat.1", draft("one", key="k")))

    assert (again.repeated, again.position) == (True, first.position)
