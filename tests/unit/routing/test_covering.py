"""Which topics a pattern covers: the same as a walk over all of them, without the walk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopsack_router.routing import covering, resuming
from hopsack_router.routing.asked import MAX_POSITIONS
from hopsack_router.routing.covering import Topics
from hopsack_router.routing.retained import matcher
from hopsack_router.streams import Position, Stored

from .kept import World


class Contract:
    def __init__(self, topic: str) -> None:
        self.stream = None if "v" in topic else "kept"
        self.keeps_latest = "v" in topic or "l" in topic


class Kept:
    """So many topics, each with an event; and how often somebody looked at all of them."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.there = dict.fromkeys(topics)
        self.walks = self.seen = 0

    def shows_newest(self, pattern: str, match: str) -> bool:
        return any(Contract(topic).keeps_latest for topic in self.there)

    def contract(self, topic: str) -> Any:
        self.seen += 1
        return Contract(topic)

    def topics(self) -> list[str]:
        self.walks += 1
        return list(self.there)

    def head(self, topic: str) -> Position:
        return Position("e", 1 if topic in self.there else 0)

    def newest(self, topic: str) -> Sequence[Stored]:
        return ()


COMPONENTS = st.sampled_from(["a", "ab", "b", "l", "v"])
TOPICS = st.lists(COMPONENTS, min_size=1, max_size=3).map(".".join)
PATTERNS = st.tuples(
    st.lists(COMPONENTS | st.just(""), min_size=1, max_size=3).map(".".join), st.sampled_from(["prefix", "wildcard"])
)
STEPS = st.lists(st.tuples(st.sampled_from(["comes", "goes"]), TOPICS) | st.tuples(st.just("asked"), PATTERNS))


@settings(deadline=None)
@given(first=st.lists(TOPICS, unique=True), steps=STEPS)
def test_whatever_comes_and_goes_an_answer_is_what_a_walk_finds(first: list[str], steps: list[Any]) -> None:
    kept = Kept(first)
    topics = Topics(kept)

    for kind, what in steps:
        if kind == "comes":
            kept.there[what] = None
            topics.add(what)
        elif kind == "goes":
            kept.there.pop(what, None)
        else:
            covers = matcher(*what)
            found = {topic for topic in kept.there if covers(topic)}
            assert set(topics.streams(*what) or ()) == {topic for topic in found if Contract(topic).stream}
            assert {topic for topic in topics.showing(*what) if topic in kept.there} == {
                topic for topic in found if Contract(topic).keeps_latest
            }


def test_a_storm_of_readers_of_a_pattern_walks_once() -> None:
    kept = Kept([f"lab.run.r{number}" for number in range(5000)])
    topics = Topics(kept)
    for number in range(900):
        topics.add(f"lab.few.f{number}")
        kept.there[f"lab.few.f{number}"] = None

    for _ in range(1000):
        assert topics.streams("lab.run.", "prefix") is None
        assert topics.streams("lab.run.r77", "wildcard") == ["lab.run.r77"]
    assert len(topics.streams("lab.few.", "prefix") or ()) == 900
    assert kept.walks == 1


def test_a_pattern_that_covers_too_many_streams_is_not_walked_to_its_end() -> None:
    topics = Topics(kept := Kept([f"run.r{number}" for number in range(5000)]))

    assert topics.streams("run.", "prefix") is None

    assert kept.seen <= MAX_POSITIONS + 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "SLACK", 10)
    kept = Kept(["lab.run.r"])
    topics = Topics(kept)

    for number in range(1000):
        topics.add(f"lab.gone.{number}")
        topics.streams(f"lab.gone.{number}", "prefix")
        assert len(topics) <= 12
    assert len(topics._answers) <= covering.MAX_PATTERNS


def test_when_most_topics_have_gone_a_pattern_can_be_resumed_again() -> None:
    kept = Kept([f"lab.run.r{number}" for number in range(2000)])
    topics = Topics(kept)
    assert topics.streams("lab.", "prefix") is None

    kept.there = dict.fromkeys(["lab.run.r7"])

    assert topics.streams("lab.", "prefix") == ["lab.run.r7"]


@pytest.mark.parametrize("after", [None, {}, {"lab.run.r3": "e:0"}])
def test_what_a_reader_of_too_many_streams_begins_with_does_not_grow_with_them(after: Any) -> None:
    """Counted in questions to the journal."""
    world = World()
    service = world.reader(role="service")
    for number in range(1500):
        service.publish(f"lab.run.r{number}", 1)
    service.publish("lab.order", {"id": "a"})
    world.settle()
    keeping = world.node.router.keeping
    asked: list[str] = []

    class Asked:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(keeping, name)

    topics = world.node.router._broker.topics
    if after:
        after = {"lab.run.r3": str(Position(keeping.head("lab.run.r3").epoch, 0))}
    resuming.begin(Asked(), topics, "lab.", "prefix", after, shows_newest=True)
    asked.clear()
    beginning = resuming.begin(Asked(), topics, "lab.", "prefix", after, shows_newest=True)

    assert len(asked) < 30
    assert beginning.granted.positions is None
    assert beginning.granted.snapshot == 1
    assert beginning.granted.reason == (None if after is None else "trimmed")
    assert [channels for channels, _ in beginning.followers] == [
        *([("lab.run.r3",)] if after else []),
        ("lab.order",),
    ]
