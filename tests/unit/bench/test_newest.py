"""The checker of maps believes what is true, and finds each way in which a map can be false."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hopsack_bench.newest import Change, Newest

TOPIC = "bench.newest.alone"


class Author:
    """Changes one key, and has each change acknowledged unless it is told otherwise."""

    def __init__(self, *names: str) -> None:
        self.newest = Newest([TOPIC], names or ("a",))

    def offers(self, *, deletes: bool = False, writer: str = "ann") -> Change:
        return self.newest.offer(TOPIC, writer, random.Random(1), deletes=float(deletes))

    def changes(self, *, deletes: bool = False, writer: str = "ann") -> Change:
        change = self.offers(deletes=deletes, writer=writer)
        self.newest.taken(TOPIC, change)
        return change

    def fills(self, *held: Change, reader: str = "map", floors: dict[str, int] | None = None) -> None:
        values = {change.name: change.payload for change in held}
        self.newest.filled(reader, TOPIC, values, self.newest.floors(TOPIC) if floors is None else floors)

    @property
    def kinds(self) -> dict[str, int]:
        return {str(kind): count for kind, count in self.newest.counts.items()}


def test_a_map_that_is_true_is_believed() -> None:
    author = Author()
    author.fills()
    first = author.changes()
    author.newest.came("map", TOPIC, first.payload, False)
    deletion = author.changes(deletes=True, writer="bob")
    author.newest.came("map", TOPIC, deletion.payload, True)
    author.fills()
    third = author.changes()
    author.fills(third)
    author.fills(third, reader="another")

    assert author.kinds == {}
    assert author.newest.acknowledged == 3
    assert author.newest.fills == {"map": 3, "another": 1}


def test_what_is_not_acknowledged_may_be_there_and_may_not() -> None:
    author = Author()
    first, second = author.changes(), author.offers()
    author.fills(first, reader="before")
    author.fills(second, reader="after")

    assert author.kinds == {}


def test_a_deletion_that_is_not_acknowledged_may_be_there() -> None:
    author = Author()
    author.changes()
    author.offers(deletes=True)
    author.fills()

    assert author.kinds == {}


def test_a_key_is_one_writers_until_its_change_is_acknowledged() -> None:
    author = Author("a", "b")
    first, second = author.offers(writer="ann"), author.offers(writer="bob")
    author.newest.taken(TOPIC, first)

    assert {first.name, second.name} == {"a", "b"}
    assert author.offers().name == first.name


def test_a_value_older_than_what_was_acknowledged_is_found() -> None:
    author = Author()
    first, _ = author.changes(), author.changes()
    author.fills(first)

    assert author.kinds == {"stale": 1}


def test_only_what_was_acknowledged_before_the_subscription_is_asked_for() -> None:
    author = Author()
    first = author.changes()
    floors = dict(author.newest.floors(TOPIC))
    author.changes()
    author.fills(first, floors=floors)

    assert author.kinds == {}


@pytest.mark.parametrize("how", ["filled", "came", "shows"])
def test_a_value_that_goes_back_is_found(how: str) -> None:
    author = Author()
    first, second = author.changes(), author.offers()
    author.newest.came("map", TOPIC, second.payload, False)
    match how:
        case "filled":
            author.fills(first)
        case "came":
            author.newest.came("map", TOPIC, first.payload, False)
        case _:
            author.newest.shows("map", TOPIC, {first.name: first.payload})

    assert author.kinds == {"back": 1}


def test_a_deleted_key_that_is_there_again_is_found() -> None:
    author = Author()
    first = author.changes()
    author.changes(deletes=True)
    author.fills(first, reader="late")
    author.fills(reader="early")
    author.newest.came("early", TOPIC, first.payload, False)

    assert author.kinds == {"ghost": 2}


def test_a_key_that_nobody_deleted_and_is_not_there_is_found() -> None:
    author = Author()
    author.changes()
    author.fills()

    assert author.kinds == {"missing": 1}


def test_a_deletion_that_was_long_ago_is_none() -> None:
    author = Author()
    author.changes()
    deletion = author.changes(deletes=True)
    author.fills(author.changes())
    author.newest.came("map", TOPIC, deletion.payload, True)

    assert author.kinds == {"back": 1}


@pytest.mark.parametrize(
    "payload",
    [
        {"name": "a", "version": 9, "writer": "ann"},
        {"name": "a", "version": 1, "writer": "bob"},
        {"name": "a", "version": 2, "writer": "ann"},  # which is a deletion
        {"name": "z", "version": 1, "writer": "ann"},
        None,
    ],
)
def test_what_nobody_published_is_found(payload: Any) -> None:
    author = Author()
    author.changes()
    author.offers(deletes=True)
    author.newest.came("map", TOPIC, payload, False)

    assert author.kinds == {"altered": 1}


def test_it_says_whether_a_map_is_at_the_end() -> None:
    author = Author("a", "b")
    first = author.changes()
    held = {first.name: first.payload}

    assert author.newest.is_exactly(TOPIC, held)
    assert not author.newest.is_exactly(TOPIC, {})
