"""Frames of kept events are made once for all who read them soon, and do not stay for ever."""

from __future__ import annotations

from typing import Any

from hopsack_router.routing.made import WEIGHT, Made
from hopsack_router.streams import Stored

from .kept import World


def event(offset: int) -> Stored:
    return Stored("a.b", "e", offset, 0.0, offset, b"1")


def frames(event: Stored, *keys: str) -> list[Any]:
    return [event.frames.get(key) for key in keys]


def test_the_frames_that_were_made_first_go_first() -> None:
    made = Made(max_bytes=3 * (WEIGHT + event(1).size + 10))
    first, second = event(1), event(2)

    for number, (one, key) in enumerate(((first, "raw"), (first, "sse"), (second, "raw"), (second, "sse"))):
        made.keep(one, key, b"%010d" % number)

    assert frames(first, "raw", "sse") == [None, b"0000000001"]
    assert frames(second, "raw", "sse") == [b"0000000002", b"0000000003"]
    assert made.size <= made.max_bytes


def test_what_readers_of_the_past_were_given_does_not_stay_with_the_events() -> None:
    world = World()
    world.node.outbox.made.max_bytes = 5 * (WEIGHT + 400)
    service = world.reader(role="service")
    for number in range(40):
        service.publish("lab.log", number)
    world.settle()
    start = f"{world.journal.head('lab.log').epoch}:0"

    for _ in range(2):
        page = world.reader()
        page.subscribe("lab.log", after=start)
        world.settle()
        assert [data for _, data, _ in page.take()[1:]] == list(range(40))

    kept: Any = world.journal.read("lab.log", None).result
    assert 0 < sum(len(one.frames) for one in kept.events) < 40
