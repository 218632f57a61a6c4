"""Streams in the fabric in memory: kept, resumed and read back as on a node, with time that a test moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hopsack.connection import Connection
from hopsack.contracts import Source, build
from hopsack.session import Event
from hopsack.testing import Fabric

CONTRACTS = """
topics:
  lab.log:
    summary: A stream.
    payload: {type: integer}
    stream: {keep: 100, for: 1h}
    publish: [service]
    subscribe: [guest]
  lab.state:
    summary: Newest values.
    payload:
      type: object
      required: [id]
      properties: {id: {type: string}, value: {type: integer}}
    latest: id
    publish: [service]
    subscribe: [guest]
"""


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(build([Source("lab.yaml", "lab.yaml", CONTRACTS)])) as fabric:
        yield fabric


def read(fabric: Fabric, page: Connection, topic: str, **options: Any) -> list[Any]:
    seen: list[Any] = []

    async def note(event: Event[Any]) -> None:
        seen.append(event.data)

    fabric.run(page.subscribe(topic, note, **options))
    return seen


def test_what_a_reader_misses_while_it_is_away_comes_when_it_is_back(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    seen = read(fabric, page, "lab.log")

    fabric.run(service.publish("lab.log", 1))
    fabric.cut(page)
    for number in (2, 3):
        fabric.run(service.publish("lab.log", number))
    fabric.advance(30)
    fabric.run(service.publish("lab.log", 4))

    assert seen == [1, 2, 3, 4]


def test_history_is_read_back_and_forgotten_in_its_time(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    for number in range(5):
        fabric.run(service.publish("lab.log", number))

    assert [event.data for event in fabric.run(page.history("lab.log", last=2))] == [3, 4]
    fabric.advance(3700)
    assert list(fabric.run(page.history("lab.log"))) == []


def test_the_same_key_is_kept_once(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    seen = read(fabric, page, "lab.log")

    first, second = (fabric.run(service.publish("lab.log", 7, key="k")) for _ in range(2))

    assert first == second
    assert seen == [7]
