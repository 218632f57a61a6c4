"""Who reads a topic whose contract tells it: as newest values, on every door."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from hopsack.contracts import ContractsInvalid, Source, build
from hopsack_router.embed import EmbeddedNode
from hopsack_router.routing.attendance import GRACE, GRACE_AT_START

from .conftest import Realm
from .kept import World

ROOM, MEMBERS = "lab.room.hall", "lab.room.hall.members"


@pytest.fixture
def world() -> World:
    return World()


def told(page: Any) -> list[Any]:
    page.world.settle()
    events = [one for one in page.take() if isinstance(one, tuple) and one[0] == MEMBERS]
    return [(data["authid"], *rest) for _, data, _, *rest in events]


def test_who_comes_late_gets_everybody_then_who_comes_and_goes(world: World) -> None:
    ann, bob = world.reader(authid="ann"), world.reader(authid="bob")
    ann.subscribe(ROOM)
    watcher = world.reader(authid="watcher")
    watcher.subscribe(MEMBERS)
    world.settle()

    answer, member = watcher.take()
    bob.subscribe(ROOM)
    came = told(watcher)
    ann.lost()
    away = told(watcher)
    world.clock.advance(GRACE)

    assert answer["granted"]["snapshot"] == 1
    assert member == (MEMBERS, {"authid": "ann", "since": 0.0, "role": "guest"}, None)
    assert (came, away, told(watcher)) == ([("bob",)], [], [("ann", "deleted")])


def test_since_when_is_unix_time_though_the_node_counts_from_the_start_of_the_machine() -> None:
    world = World(ahead=1_700_000_000.0)
    world.clock.advance(5)

    world.reader(authid="ann").subscribe(ROOM)
    world.settle()

    (member,) = world.journal.newest(MEMBERS)
    assert json.decode(member.data)["since"] == 1_700_000_005.0


def test_several_tabs_are_one_member_and_a_short_drop_does_not_show(world: World) -> None:
    watcher = world.reader(authid="watcher")
    watcher.subscribe(MEMBERS)
    watcher.take()

    first, second = world.reader(authid="ann"), world.reader(authid="ann")
    for tab in (first, second):
        tab.subscribe(ROOM)
    came = told(watcher)
    first.lost()
    second.lost()
    world.clock.advance(GRACE - 1)
    world.reader(authid="ann").subscribe(ROOM)
    world.clock.advance(GRACE)

    assert came == [("ann",)]
    assert told(watcher) == []


def test_who_unsubscribes_is_gone_and_a_pattern_makes_no_member(world: World) -> None:
    watcher, page = world.reader(authid="watcher"), world.reader(authid="ann")
    watcher.subscribe(MEMBERS)
    watcher.subscribe("lab.room.", "prefix")
    page.subscribe(ROOM)
    (answer,) = page.take()
    came = told(watcher)

    page.unsubscribe(answer["subscription"])
    world.clock.advance(GRACE)

    assert came == [("ann",)]
    assert told(watcher) == [("ann", "deleted")]


def restarted(world: World) -> None:
    """The node is killed, and another one goes on with its journal."""
    world.node = EmbeddedNode(world.catalogue, world.clock, world.journal)
    world.realm = Realm(world.clock, world.node)
    world.settle()


def test_who_comes_back_after_a_restart_has_never_been_away(world: World) -> None:
    world.clock.advance(100)
    for name in ("ann", "bob"):
        world.reader(authid=name).subscribe(ROOM)
    world.settle()

    restarted(world)
    watcher = world.reader(authid="watcher")
    watcher.subscribe(MEMBERS)
    world.settle()
    answer, *members = watcher.take()
    world.clock.advance(GRACE_AT_START - 1)
    world.reader(authid="ann").subscribe(ROOM)
    back = told(watcher)
    world.clock.advance(GRACE)

    assert answer["granted"]["snapshot"] == 2
    assert [(data["authid"], data["since"]) for _, data, _ in members] == [("ann", 100.0), ("bob", 100.0)]
    assert (back, told(watcher)) == ([], [("bob", "deleted")])
    assert [json.decode(one.data)["since"] for one in world.journal.newest(MEMBERS)] == [100.0]


def test_who_does_not_come_back_after_a_restart_has_left(world: World) -> None:
    world.reader(authid="ann").subscribe(ROOM)
    world.settle()

    restarted(world)
    world.clock.advance(GRACE_AT_START)

    assert world.journal.newest(MEMBERS) == ()
    assert not world.node.router.attending._attendances


def test_nobody_but_the_node_says_who_is_there(world: World) -> None:
    page = world.reader()

    page.publish(MEMBERS, {"authid": "eve", "since": 0.0}, acknowledge=True)

    assert page.take() == [{"error": "hopsack.denied"}]


@pytest.mark.parametrize("wrong", ["yes", "[sex]", "[role, role]", "{}"])
def test_what_cannot_be_told_is_a_problem_of_the_contract(wrong: str) -> None:
    text = f"""
topics:
  lab.room:
    summary: A room.
    payload: {{type: string}}
    presence: {wrong}
    publish: []
    subscribe: [guest]
"""

    with pytest.raises(ContractsInvalid, match="`presence` must be"):
        build([Source("lab.yaml", "lab.yaml", text)])


def test_a_family_in_a_folder_tells_its_members_too() -> None:
    text = """
topics:
  acme.shop.room:
    summary: A room.
    payload: {type: string}
    presence: true
    publish: []
    subscribe: [guest]
"""

    contract = build([Source("acme/shop.yaml", "acme/shop.yaml", text)]).topics["acme.shop.room.members"]

    assert (contract.latest, contract.members_of, contract.subscribe.entries) == (
        ("authid",),
        "acme.shop.room",
        ("guest",),
    )
