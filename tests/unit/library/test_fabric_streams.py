"""Streams in the fabric in memory: kept, resumed and read back as on a node, with time that a test moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hopsack.connection import Connection
from hopsack.contracts import Source, build
from hopsack.errors import Denied, Invalid, RemoteError
from hopsack.session import Event
from hopsack.testing import Fabric

CONTRACTS = """
topics:
  lab.log:
    summary: A stream.
    payload: {type: integer}
    stream: {keep: 100, for: 1h}
    publish: [service]
    subscribe: [guest, service]
  lab.run.{run}:
    summary: Many streams.
    payload: {type: integer}
    stream: {keep: 100}
    publish: [service]
    subscribe: [guest, service]
  lab.secret:
    summary: Not for guests.
    payload: {type: integer}
    stream: {keep: 100}
    publish: [service]
    subscribe: [service]
  lab.state:
    summary: Newest values.
    payload:
      type: object
      required: [id]
      properties: {id: {type: string}, value: {type: integer}}
    latest: id
    publish: [service]
    subscribe: [guest, service]
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


BEHIND = "hopsack.stream.behind"


def behind(fabric: Fabric, page: Connection, positions: dict[str, str], *patterns: tuple[str, str]) -> dict[str, str]:
    wanted = [{"topic": topic, "match": match} for topic, match in patterns]
    return fabric.run(page.call(BEHIND, {"positions": positions} | ({"patterns": wanted} if wanted else {})))


def published(fabric: Fabric, service: Connection, topic: str, data: int) -> str:
    """The position of a new event."""
    fabric.run(service.publish(topic, data))
    [event] = fabric.run(service.history(topic, last=1))
    return event.position or ""


def test_who_is_behind_is_told_where_the_stream_stands_and_nobody_else_is(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    first, second = (published(fabric, service, "lab.log", number) for number in (1, 2))

    assert behind(fabric, page, {"lab.log": first}) == {"lab.log": second}
    assert behind(fabric, page, {"lab.log": second}) == {}
    assert behind(fabric, page, {"lab.log": "another:2"}) == {"lab.log": second}
    assert behind(fabric, page, {"lab.state": "e:1"}) == {}
    assert behind(fabric, page, {}) == {}


def test_what_a_pattern_covers_is_told_where_nobody_has_named_it(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    one, two = (published(fabric, service, f"lab.run.{name}", 1) for name in ("one", "two"))

    assert behind(fabric, page, {"lab.run.one": one}, ("lab.run.", "prefix")) == {"lab.run.two": two}
    assert behind(fabric, page, {}, ("lab.run.", "wildcard")) == {"lab.run.one": one, "lab.run.two": two}
    [(topic, head)] = behind(fabric, page, {}, ("lab.log", "exact")).items()
    assert (topic, head.rpartition(":")[2]) == ("lab.log", "0")
    assert behind(fabric, page, {}, ("lab.state", "exact")) == {}


def test_only_who_may_read_a_topic_is_told_where_it_stands(fabric: Fabric) -> None:
    service, page = fabric.connect("service"), fabric.connect()
    fabric.run(service.publish("lab.secret", 1))

    for positions, patterns in (
        ({"lab.secret": "e:0"}, ()),
        ({}, (("lab.secret", "exact"),)),
        ({}, (("lab.", "prefix"),)),
    ):
        with pytest.raises(Denied):
            behind(fabric, page, positions, *patterns)
    with pytest.raises(RemoteError) as undeclared:
        behind(fabric, page, {"lab.logg": "e:0"})
    assert undeclared.value.code == "hopsack.undeclared"


def test_an_ask_is_bounded(fabric: Fabric) -> None:
    page = fabric.connect()

    with pytest.raises(Invalid):
        behind(fabric, page, {f"lab.run.{number}": "e:0" for number in range(1001)})
