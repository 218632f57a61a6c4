"""Newest values of topics that are no streams: acknowledged when they are on disk, and told in the order they came."""

from __future__ import annotations

from typing import Any

import pytest

from .kept import Page, World

REFUSED = {"error": "hopsack.store_failed"}


@pytest.fixture
def world() -> World:
    return World()


def value(id: str, number: int) -> dict[str, Any]:
    return {"id": id, "value": number}


def events(page: Page) -> list[Any]:
    return [frame for frame in page.take() if isinstance(frame, tuple)]


def answers(page: Page) -> list[Any]:
    return [frame for frame in page.take() if "published" in frame or "error" in frame]


def reading(world: World) -> Page:
    reader = world.reader(authid="bob")
    reader.subscribe("lab.state")
    reader.subscribe("lab.log")
    reader.take()
    return reader


def test_an_acknowledged_value_is_told_to_nobody_before_it_is_on_disk(world: World) -> None:
    reader, writer = reading(world), world.reader(role="service")

    writer.publish("lab.state", value("a", 1), acknowledge=True)

    assert (events(reader), answers(writer)) == ([], [])
    late = world.reader(authid="eve")
    late.subscribe("lab.state")
    assert events(late) == []
    world.settle()
    assert events(reader) == events(late) == [("lab.state", value("a", 1), None)]
    assert answers(writer) == [{"published": None, "request": 1}]


def test_a_value_that_nobody_waits_for_is_told_at_once(world: World) -> None:
    reader, writer = reading(world), world.reader(role="service")

    writer.publish("lab.state", value("a", 1))

    assert events(reader) == [("lab.state", value("a", 1), None)]


def test_what_one_publisher_has_kept_comes_in_its_order_acknowledged_or_not(world: World) -> None:
    reader, writer = reading(world), world.reader(role="service")

    writer.publish("lab.state", value("a", 1), acknowledge=True)
    writer.publish("lab.state", value("a", 2))
    writer.publish("lab.log", 3, acknowledge=True)
    writer.publish("lab.state", value("b", 4))
    assert events(reader) == []
    world.settle()

    assert events(reader) == [
        ("lab.state", value("a", 1), None),
        ("lab.state", value("a", 2), None),
        ("lab.log", 3, 1),
        ("lab.state", value("b", 4), None),
    ]


def test_while_the_store_fails_an_acknowledged_value_is_refused_and_others_are_told(world: World) -> None:
    reader, writer = reading(world), world.reader(role="service")
    world.store.is_full = True

    writer.publish("lab.state", value("a", 1), acknowledge=True)
    writer.publish("lab.state", value("b", 2))
    world.settle()

    assert answers(writer) == [REFUSED]
    assert events(reader) == [("lab.state", value("b", 2), None)]
    late = world.reader(authid="eve")
    late.subscribe("lab.state")
    assert events(late) == [("lab.state", value("b", 2), None)]
    world.store.is_full = False
    writer.publish("lab.state", value("a", 3), acknowledge=True)
    world.settle()
    assert answers(writer) == [{"published": None, "request": 3}]


def test_a_publisher_that_has_left_meanwhile_is_no_trouble(world: World) -> None:
    reader, writer = reading(world), world.reader(role="service")

    writer.publish("lab.state", value("a", 1), acknowledge=True)
    writer.lost()
    world.settle()

    assert events(reader) == [("lab.state", value("a", 1), None)]
