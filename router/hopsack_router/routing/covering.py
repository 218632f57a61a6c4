"""Which of the topics that are kept a pattern covers: asked by thousands at once when a node comes back.

    add(topic)              an event of a topic is announced
    streams(pattern, match) -> the streams that it covers; showing: the topics of which it shows newest values

A tree of the topics by their components answers a pattern in the time that its answer takes. Where there are too many
streams to tell, and nothing else is to be found, the walk ends. The answers to the patterns that were asked last are
kept, and kept right, so a storm of readers of one pattern walks once.

Bounds: as many topics as the journal has and half as many that it has dropped, then the tree is built anew;
:data:`MAX_PATTERNS` answers, each of :data:`~hopsack_router.routing.asked.MAX_POSITIONS` streams and one more, which
is enough to know that they are too many to be resumed. Nobody tells which topics have gone. It is seen when somebody
asks, and until then does no harm: they have no events. A core without I/O.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hopsack.contracts import TopicContract
from hopsack_router.routing.asked import MAX_POSITIONS
from hopsack_router.routing.retained import matcher
from hopsack_router.streams import Position, Stored

MAX_PATTERNS = 64
SLACK = 1000
"""Topics that may have gone before the tree is built anew, at least."""


class Kept(Protocol):
    """What is kept."""

    def contract(self, topic: str) -> TopicContract | None: ...

    def shows_newest(self, pattern: str, match: str) -> bool: ...

    def topics(self) -> list[str]: ...

    def head(self, topic: str) -> Position: ...

    def newest(self, topic: str) -> Sequence[Stored]: ...


@dataclass(slots=True)
class _Covered:
    """What a pattern covers.

    :ivar streams: streams, in the order in which they came; not all of them, if they are too many.
    :ivar showing: topics that keep newest values, streams or not; ``None``: so many that they are not remembered.
    """

    streams: dict[str, None] = field(default_factory=dict)
    showing: dict[str, None] | None = field(default_factory=dict)

    @property
    def has_too_many(self) -> bool:
        return len(self.streams) > MAX_POSITIONS


class Topics:
    """The topics of one realm that are kept."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._answers: OrderedDict[tuple[str, str], tuple[Callable[[str], object], _Covered]] = OrderedDict()
        self._build()

    def _build(self) -> None:
        self._root = _Node()
        self._known: set[str] = set()
        self._answers.clear()
        for topic in self._kept.topics():
            self._insert(topic)
        self._most = len(self._known) + max(len(self._known) // 2, SLACK)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, topic: str) -> None:
        """Something of this topic is kept. Called for each such event."""
        if topic in self._known:
            return
        if len(self._known) >= self._most:
            self._build()
        if topic not in self._known:
            self._insert(topic)
            for covers, covered in self._answers.values():
                if covers(topic):
                    self._note(covered, topic)

    def _insert(self, topic: str) -> None:
        self._known.add(topic)
        self._root.insert(topic)

    def streams(self, pattern: str, match: str) -> list[str] | None:
        """The streams that a pattern covers; ``None``: more than can be resumed."""
        covered = self._covered(pattern, match)
        if covered.has_too_many and self._is_gone(first := next(iter(covered.streams))):
            del covered.streams[first]
            covered.streams[first] = None  # another one is looked at the next time
            if len(self._kept.topics()) < len(self._known) * 3 // 4:
                self._build()
                covered = self._covered(pattern, match)
        if covered.has_too_many:
            return None
        gone = [topic for topic in covered.streams if self._is_gone(topic)]
        for topic in gone:
            self._forget(topic)
        return list(covered.streams)

    def _is_gone(self, topic: str) -> bool:
        return not self._kept.head(topic).offset and not self._kept.newest(topic)

    def _forget(self, topic: str) -> None:
        self._known.discard(topic)
        self._root.remove(topic)
        for key, (_, covered) in tuple(self._answers.items()):
            if covered.has_too_many and topic in covered.streams:
                del self._answers[key]  # it does not have them all
                continue
            covered.streams.pop(topic, None)
            if covered.showing is not None:
                covered.showing.pop(topic, None)

    def _covered(self, pattern: str, match: str) -> _Covered:
        key = (pattern, match)
        known = self._answers.get(key)
        if known is None:
            covered = _Covered()
            may_show = self._kept.shows_newest(pattern, match)
            known = self._answers[key] = (matcher(pattern, match), covered)
            for topic in self._matching(pattern, match):
                self._note(covered, topic)
                if covered.has_too_many and (covered.showing is None or not may_show):
                    break
            if len(self._answers) > MAX_PATTERNS:
                self._answers.popitem(last=False)
        else:
            self._answers.move_to_end(key)
        return known[1]

    def showing(self, pattern: str, match: str) -> list[str]:
        """The topics that a pattern covers of which newest values are kept, streams or not, however many."""
        remembered = self._covered(pattern, match).showing
        return list(self._matching(pattern, match) if remembered is None else remembered)

    def _matching(self, pattern: str, match: str) -> Iterator[str]:
        parts = pattern.split(".")
        return self._root.below(parts) if match == "prefix" else self._root.at(parts)

    def _note(self, covered: _Covered, topic: str) -> None:
        contract = self._kept.contract(topic)
        if contract is None:
            return
        if contract.stream is not None and not covered.has_too_many:
            covered.streams[topic] = None
        if contract.keeps_latest and covered.showing is not None:
            covered.showing[topic] = None
            if len(covered.showing) > MAX_POSITIONS:
                covered.showing = None


class _Node:
    """The topics that begin with the same components.

    :ivar topic: the one that ends here. :ivar names: of the children, sorted once somebody asks for a part of a name.
    """

    __slots__ = ("children", "names", "topic")

    def __init__(self) -> None:
        self.topic: str | None = None
        self.children = _NONE
        self.names: list[str] | None = None

    def insert(self, topic: str) -> None:
        node = self
        for part in topic.split("."):
            child = node.children.get(part)
            if child is None:
                if node.children is _NONE:
                    node.children = {}
                child = node.children[part] = _Node()
                if node.names is not None:
                    insort(node.names, part)
            node = child
        node.topic = topic

    def remove(self, topic: str) -> None:
        way: list[tuple[_Node, str]] = []
        node = self
        for part in topic.split("."):
            way.append((node, part))
            node = node.children[part]
        node.topic = None
        while way and not node.children and node.topic is None:
            node, part = way.pop()
            del node.children[part]
            if node.names is not None:
                del node.names[bisect_left(node.names, part)]

    def all(self) -> Iterator[str]:
        nodes = [self]
        while nodes:
            node = nodes.pop()
            if node.topic is not None:
                yield node.topic
            nodes.extend(node.children.values())

    def below(self, parts: list[str]) -> Iterator[str]:
        """The topics that begin so, whose last component may go on."""
        node: _Node | None = self
        for part in parts[:-1]:
            node = node.children.get(part) if node is not None else None
        if node is None:
            return
        if node.names is None:
            node.names = sorted(node.children)
        for index in range(bisect_left(node.names, parts[-1]), len(node.names)):
            if not node.names[index].startswith(parts[-1]):
                return
            yield from node.children[node.names[index]].all()

    def at(self, parts: list[str]) -> Iterator[str]:
        """The topics of these components, of which an empty one stands for any."""
        nodes = [self]
        for part in parts:
            if part:
                nodes = [child for node in nodes if (child := node.children.get(part)) is not None]
            else:
                nodes = [child for node in nodes for child in node.children.values()]
        return (node.topic for node in nodes if node.topic is not None)


_NONE: dict[str, _Node] = {}
"""The children of the many nodes that have none. Never written to."""
