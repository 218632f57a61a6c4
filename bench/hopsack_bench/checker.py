"""Whether readers of streams were told the truth: each event once, in order, as published, and none missing. Pure.

Writers number their events, and a number says what its event holds (:func:`event`), so nothing has to be remembered of
what was sent. A history is told what happened, as it happens:

    offered          a writer is about to publish its event number n, for the first time
    acknowledged     the node took it, and where it stands if the door says that
    granted          a subscription begins behind a position, or did not go on where its reader asked it to
    came             a reader was given an event, with its position if its door tells positions
    judge()       -> everything that was not as promised

What one topic holds at an offset is what the first reader there saw; all others must have seen the same. Every reader
must have every offset from where it began to the last that is known, each once and in order. The events of a writer
must stand in the order of their numbers, none left out and none twice, up to the last acknowledged one at least. Epochs
must not change: they do when a journal is lost, and no journal is lost by killing a process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from zlib import crc32

Kind = Literal["lost", "doubled", "reordered", "altered", "forgotten"]

SHOWN = 100
"""Faults that are kept in words; all are counted."""

_FILLER = "The quick brown fox jumps over the lazy dog; Falsches Üben von Xylophonmusik quält. "


class Identity(NamedTuple):
    writer: str
    number: int


class Position(NamedTuple):
    epoch: str
    offset: int


def parse(text: str) -> Position:
    """``epoch:offset``.

    :raises ValueError: it is none.
    """
    epoch, colon, offset = text.rpartition(":")
    if not colon or not epoch:
        raise ValueError(f"no position: {text!r}")
    return Position(epoch, int(offset))


def event(writer: str, number: int, size: int = 0) -> dict[str, Any]:
    """What this event of this writer holds.

    :param size: length of its note in characters; 0: some length below 3,000 that depends on the event.
    """
    chance = crc32(f"{writer} {number}".encode())
    length = size or chance % 3000
    return {
        "writer": writer,
        "number": number,
        "note": f"{chance:08x} {_FILLER * (length // len(_FILLER) + 1)}"[:length],
    }


@dataclass(frozen=True, slots=True)
class Fault:
    """One promise broken.

    :ivar kind: ``lost``: it never came. ``doubled``: it came again. ``reordered``: it came late, or a writer's events
        stand in another order than it sent them. ``altered``: not what was published there. ``forgotten``: the node
        says that it cannot resume, or begins a new epoch.
    :ivar who: the reader, or the topic.
    """

    kind: Kind
    who: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """:ivar faults: the first :data:`SHOWN`. :ivar counts: all of them, by kind."""

    offered: int
    acknowledged: int
    deliveries: int
    faults: tuple[Fault, ...]
    counts: Mapping[Kind, int]

    @property
    def is_clean(self) -> bool:
        return not self.counts


@dataclass(slots=True)
class _Topic:
    """:ivar at: which event stands at an offset. :ivar of: and the other way round."""

    epoch: str | None = None
    at: dict[int, Identity] = field(default_factory=dict)
    of: dict[Identity, int] = field(default_factory=dict)
    acknowledged: dict[Identity, int | None] = field(default_factory=dict)
    head: int = 0


@dataclass(slots=True)
class _Reading:
    """One reader of one topic.

    :ivar start: it is owed everything behind this offset. :ivar last: the newest it has. :ivar missing: skipped so far.
    :ivar unplaced: what came without positions, in order.
    """

    start: int | None = None
    last: int = 0
    missing: set[int] = field(default_factory=set)
    unplaced: list[Identity] = field(default_factory=list)


class History:
    """What happened. It keeps a few words for each event, and one for each that a reader without positions was given.

    :param size: of the events' notes, as :func:`event` has it.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._topics: dict[str, _Topic] = {}
        self._readings: dict[tuple[str, str], _Reading] = {}
        self._offered: dict[str, int] = {}
        self._faults: list[Fault] = []
        self._counts: Counter[Kind] = Counter()
        self._deliveries = 0

    @property
    def deliveries(self) -> int:
        return self._deliveries

    @property
    def faults(self) -> int:
        """How many are known so far; more may be found by :meth:`judge`."""
        return self._counts.total()

    def head(self, topic: str) -> int:
        """The newest offset that anybody was told."""
        return self._topic(topic).head

    def last(self, reader: str, topic: str) -> int:
        """The offset up to which a reader has read."""
        reading = self._reading(reader, topic)
        if reading.unplaced:
            return self._topic(topic).of.get(reading.unplaced[-1], 0)
        return reading.last

    # ---- what happens ------------------------------------------------------------------------------------------------

    def offered(self, writer: str, number: int) -> None:
        self._offered[writer] = max(number, self._offered.get(writer, 0))

    def acknowledged(self, topic: str, writer: str, number: int, position: str | None) -> None:
        """:param position: ``None``: the door does not say it."""
        identity = Identity(writer, number)
        place = self._place(f"writer {writer}", topic, position)
        known = self._topic(topic)
        if place is not None:
            self._stands("an acknowledgement", known, topic, place, identity)
        known.acknowledged[identity] = place

    def granted(
        self, reader: str, topic: str, position: str, *, resumed: bool = False, recovered: bool = False, why: str = ""
    ) -> None:
        """A subscription stands; the next event that comes is the one behind ``position``.

        :param resumed: the reader asked to go on where it was.
        :param recovered: the node says that it does.
        """
        reading = self._reading(reader, topic)
        place = self._place(reader, topic, position)
        if resumed and not recovered:
            self._fault(
                "forgotten", reader, f"{topic}: the node does not resume behind {position}: {why or 'no reason'}"
            )
        if reading.start is None and place is not None:
            reading.start = reading.last = place

    def came(self, reader: str, topic: str, position: str | None, data: Any) -> None:
        """:param position: ``None``: the door does not tell positions; then it is looked up in what others saw."""
        self._deliveries += 1
        identity = self._identity(reader, topic, data)
        reading = self._reading(reader, topic)
        if position is None:
            if identity is not None:
                reading.unplaced.append(identity)
            return
        place = self._place(reader, topic, position)
        if place is None:
            return
        if identity is not None:
            self._stands(reader, self._topic(topic), topic, place, identity)
        self._advance(reader, topic, reading, place)

    def _identity(self, who: str, topic: str, data: Any) -> Identity | None:
        match data:
            case {"writer": str(writer), "number": int(number)} if 0 < number <= self._offered.get(writer, 0):
                if data == event(writer, number, self._size):
                    return Identity(writer, number)
        self._fault("altered", who, f"{topic}: nobody published {data!r:.100}")
        return None

    def _place(self, who: str, topic: str, position: str | None) -> int | None:
        if position is None:
            return None
        try:
            epoch, offset = parse(position)
        except ValueError as error:
            self._fault("altered", who, f"{topic}: {error}")
            return None
        known = self._topic(topic)
        if known.epoch not in (None, epoch):
            self._fault("forgotten", who, f"{topic}: a new epoch, {position}, behind {known.epoch}:{known.head}")
            return None
        known.epoch = epoch
        known.head = max(known.head, offset)
        return offset

    def _stands(self, who: str, known: _Topic, topic: str, place: int, identity: Identity) -> None:
        """Somebody says that this event stands there."""
        there = known.at.setdefault(place, identity)
        if there != identity:
            self._fault("altered", who, f"{topic}: {_words(identity)} at {place}, where {_words(there)} was")
            return
        other = known.of.setdefault(identity, place)
        if other != place:
            # One fault for each place, not for each reader that sees it.
            if known.acknowledged.get(identity, other) != place:
                self._fault("doubled", who, f"{topic}: {_words(identity)} stands at {other} and at {place}")
            known.of[identity] = place

    def _advance(self, reader: str, topic: str, reading: _Reading, place: int) -> None:
        if reading.start is None:
            reading.start = reading.last = place - 1
        if place == reading.last + 1:
            reading.last = place
        elif place > reading.last:
            reading.missing.update(range(reading.last + 1, place))
            reading.last = place
        elif place in reading.missing:
            reading.missing.remove(place)
            self._fault("reordered", reader, f"{topic}: {place} came after {reading.last}")
        else:
            self._fault("doubled", reader, f"{topic}: {place} came again after {reading.last}")

    def _fault(self, kind: Kind, who: str, words: str, count: int = 1) -> None:
        self._counts[kind] += count
        if len(self._faults) < SHOWN:
            self._faults.append(Fault(kind, who, words))

    def _topic(self, topic: str) -> _Topic:
        return self._topics.setdefault(topic, _Topic())

    def _reading(self, reader: str, topic: str) -> _Reading:
        return self._readings.setdefault((reader, topic), _Reading())

    # ---- the end -----------------------------------------------------------------------------------------------------

    def judge(self) -> Verdict:
        """What came of it. To be asked once, when everybody has had the time to read everything."""
        for topic, known in self._topics.items():
            self._judge_writers(topic, known)
        for (reader, topic), reading in self._readings.items():
            self._judge_reader(reader, topic, reading)
        acknowledged = sum(len(known.acknowledged) for known in self._topics.values())
        return Verdict(
            sum(self._offered.values()), acknowledged, self._deliveries, tuple(self._faults), dict(self._counts)
        )

    def _judge_writers(self, topic: str, known: _Topic) -> None:
        for identity in known.acknowledged.keys() - known.of.keys():
            self._fault("lost", topic, f"{_words(identity)} was acknowledged and nobody was given it")
        before: dict[str, int] = {}
        for offset in sorted(known.at):
            writer, number = known.at[offset]
            last = before.get(writer, 0)
            if number <= last or (number > last + 1 and not self._has_holes(known)):
                words = f"{_words(known.at[offset])} stands at {offset}, number {last} before it"
                self._fault("reordered", topic, words)
            before[writer] = max(last, number)

    @staticmethod
    def _has_holes(known: _Topic) -> bool:
        """Nobody saw some of its offsets: what stands there is not known."""
        return len(known.at) < known.head

    def _judge_reader(self, reader: str, topic: str, reading: _Reading) -> None:
        known = self._topic(topic)
        for identity in reading.unplaced:
            if identity in known.of:
                self._advance(reader, topic, reading, known.of[identity])
            else:
                self._fault("altered", reader, f"{topic}: {_words(identity)}, which no reader with positions has seen")
        missing = sorted(reading.missing) + list(range(reading.last + 1, known.head + 1))
        for first, last in _runs(missing):
            words = f"{topic}: {first} to {last} never came" if last > first else f"{topic}: {first} never came"
            self._fault("lost", reader, words, last - first + 1)


def _words(identity: Identity) -> str:
    return f"event {identity.number} of {identity.writer}"


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of neighbours."""
    if not numbers:
        return
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
