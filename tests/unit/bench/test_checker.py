"""The checker believes a true history, and finds each way in which one can be false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hopsack_bench.checker import History, event

TOPIC = "bench.stream.one"
EPOCH = "abcdefgh"

Told = tuple[str, int, int]
"""Writer, number, offset."""

TRUTH: tuple[Told, ...] = (("ann", 1, 1), ("bob", 1, 2), ("ann", 2, 3), ("ann", 3, 4), ("bob", 2, 5))


def at(offset: int, epoch: str = EPOCH) -> str:
    return f"{epoch}:{offset}"


def written(history: History, *, told: bool = True) -> History:
    """All events are published and acknowledged, with their positions or without."""
    for writer, number, offset in TRUTH:
        history.offered(writer, number)
        history.acknowledged(TOPIC, writer, number, at(offset) if told else None)
    return history


def reads(history: History, reader: str, *events: Told, start: int = 0, placed: bool = True) -> None:
    history.granted(reader, TOPIC, at(start))
    for writer, number, offset in events:
        history.came(reader, TOPIC, at(offset) if placed else None, event(writer, number))


def kinds(history: History) -> dict[str, int]:
    return {str(kind): count for kind, count in history.judge().counts.items()}


@pytest.mark.parametrize("told", [True, False])
def test_a_true_history_is_believed(told: bool) -> None:
    history = written(History(), told=told)
    reads(history, "whole", *TRUTH)
    reads(history, "late", *TRUTH[3:], start=3)
    reads(history, "without positions", *TRUTH, placed=False)

    verdict = history.judge()

    assert verdict.is_clean
    assert verdict.faults == ()
    assert (verdict.offered, verdict.acknowledged, verdict.deliveries) == (5, 5, 12)


def test_a_reader_that_resumes_is_believed() -> None:
    history = written(History())
    reads(history, "ann's page", *TRUTH[:2])
    history.granted("ann's page", TOPIC, at(2), resumed=True, recovered=True)
    for writer, number, offset in TRUTH[2:]:
        history.came("ann's page", TOPIC, at(offset), event(writer, number))

    assert kinds(history) == {}


def test_an_unacknowledged_event_may_be_there_or_not() -> None:
    history = written(History())
    history.offered("bob", 3)
    history.offered("ann", 4)
    reads(history, "page", *TRUTH, ("bob", 3, 6))

    assert kinds(history) == {}


def without(*offsets: int) -> tuple[Told, ...]:
    return tuple(one for one in TRUTH if one[2] not in offsets)


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(without(3), {"lost": 1}, id="one is left out"),
        pytest.param(without(1), {"lost": 1}, id="the first is left out"),
        pytest.param(without(4, 5), {"lost": 2}, id="the end is missing"),
        pytest.param((), {"lost": 5}, id="nothing came"),
        pytest.param((*TRUTH[:3], *TRUTH[2:]), {"doubled": 1}, id="one came twice"),
        pytest.param((*TRUTH, *TRUTH), {"doubled": 5}, id="all came twice"),
        pytest.param((*TRUTH[:2], TRUTH[3], TRUTH[2], TRUTH[4]), {"reordered": 1}, id="two changed places"),
    ],
)
def test_a_reader_that_is_told_otherwise_is_noticed(
    placed: bool, seen: tuple[Told, ...], found: dict[str, int]
) -> None:
    history = written(History())
    reads(history, "whole", *TRUTH)
    reads(history, "page", *seen, placed=placed)

    verdict = history.judge()

    assert verdict.counts == found
    assert {fault.who for fault in verdict.faults} == {"page"}


@pytest.mark.parametrize(
    "data",
    [
        event("ann", 2) | {"note": "something else"},
        event("ann", 2) | {"more": 1},
        event("ann", 9),
        event("carol", 1),
        "text",
        None,
    ],
)
def test_what_nobody_published_is_noticed(data: Any) -> None:
    history = written(History())
    reads(history, "page", *TRUTH[:2])
    history.came("page", TOPIC, at(3), data)
    reads(history, "page", *TRUTH[3:])

    assert kinds(history) == {"altered": 1}


def test_another_event_at_a_position_is_noticed() -> None:
    history = written(History())
    reads(history, "page", *TRUTH[:2], ("bob", 2, 3), *TRUTH[3:])

    assert kinds(history)["altered"] == 1


def test_an_event_elsewhere_than_acknowledged_is_noticed() -> None:
    history = History()
    for number in (1, 2):
        history.offered("ann", number)
        history.acknowledged(TOPIC, "ann", number, at(3 - number))
    reads(history, "page", ("ann", 1, 1), ("ann", 2, 2))

    assert kinds(history)["altered"] == 2


@pytest.mark.parametrize("told", [True, False])
def test_an_acknowledged_event_that_nobody_has_is_lost(told: bool) -> None:
    history = written(History(), told=told)
    reads(history, "page", *TRUTH[:4])
    reads(history, "other", *TRUTH[:4])

    counts = kinds(history)

    assert counts["lost"] >= 1
    assert set(counts) == {"lost"}


def test_an_event_that_stands_twice_is_doubled_once() -> None:
    history = written(History(), told=False)
    for reader in ("page", "other"):
        reads(history, reader, *TRUTH, ("bob", 2, 6))

    assert kinds(history)["doubled"] >= 1


def test_a_writer_in_another_order_is_noticed() -> None:
    history = History()
    for number in (1, 2, 3):
        history.offered("ann", number)
        history.acknowledged(TOPIC, "ann", number, None)
    reads(history, "page", ("ann", 1, 1), ("ann", 3, 2), ("ann", 2, 3))

    assert set(kinds(history)) == {"reordered"}


def test_a_new_epoch_is_noticed() -> None:
    history = written(History())
    reads(history, "page", *TRUTH)
    history.came("page", TOPIC, at(6, "otherone"), event("bob", 2))

    assert kinds(history) == {"forgotten": 1}


def test_a_reader_that_cannot_resume_is_noticed() -> None:
    history = written(History())
    reads(history, "page", *TRUTH)
    history.granted("page", TOPIC, at(5), resumed=True, recovered=False, why="trimmed")

    verdict = history.judge()

    assert verdict.counts == {"forgotten": 1}
    assert "trimmed" in verdict.faults[0].words


def test_what_is_no_position_is_noticed() -> None:
    history = written(History())
    reads(history, "page", *TRUTH)
    history.came("page", TOPIC, "41", event("ann", 1))

    assert kinds(history) == {"altered": 1}


@pytest.mark.parametrize("spoil", [lambda told: told[:-1], lambda told: [told[0], *told], lambda told: told[::-1]])
def test_each_topic_is_judged_by_itself(spoil: Callable[[list[Told]], list[Told]]) -> None:
    history = written(History())
    reads(history, "page", *TRUTH)
    for number in (1, 2, 3):
        history.offered("eve", number)
        history.acknowledged("bench.stream.two", "eve", number, at(number, "twoepoch"))
    history.granted("page", "bench.stream.two", at(0, "twoepoch"))
    for writer, number, offset in spoil([("eve", number, number) for number in (1, 2, 3)]):
        history.came("page", "bench.stream.two", at(offset, "twoepoch"), event(writer, number))

    assert all("bench.stream.two" in fault.words for fault in history.judge().faults)
    assert not history.judge().is_clean


def test_an_event_is_what_its_name_says() -> None:
    assert event("ann", 1) == event("ann", 1)
    assert event("ann", 1) != event("ann", 2)
    assert len(event("ann", 1, 1000)["note"]) == 1000
