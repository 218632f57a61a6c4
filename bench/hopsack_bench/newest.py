"""Whether maps of newest values were told the truth: never an older value, never a key that is gone. Pure.

Several writers change the same keys. A key is one writer's from the moment it offers a change until that is
acknowledged, so the versions of a key grow in the order in which the node takes them, whoever writes.

    offer            a writer takes a key, and is about to set it, or to delete it
    acknowledged     the node took it; the key is free again
    floors           the newest acknowledged version of each key: what whoever subscribes from now on must have
    filled           all keys of a reader's new subscription are in
    shows            what a reader's map holds now
    came             one key changed

A deletion that a reader is told, or a key that is not there, bears no version. It is taken for the oldest deletion that
it may be; so nothing true is ever called wrong.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hopsack_bench.checker import SHOWN

Kind = Literal["stale", "back", "ghost", "missing", "altered"]
Floors = Mapping[str, int]
NOTHING: Floors = {}


@dataclass(frozen=True, slots=True)
class Change:
    """:ivar version: of this key, from 1. :ivar deleted: it has no value any more."""

    name: str
    version: int
    writer: str
    deleted: bool

    @property
    def payload(self) -> dict[str, Any]:
        """What is published."""
        if self.deleted:
            return {"name": self.name}
        return {"name": self.name, "version": self.version, "writer": self.writer}


@dataclass(frozen=True, slots=True)
class Fault:
    """One promise broken.

    :ivar kind: ``stale``: older than what was acknowledged before the reader subscribed. ``back``: older than what this
        reader had. ``ghost``: the same, of a key that was deleted. ``missing``: a key that nobody deleted is not there.
        ``altered``: nobody published it.
    """

    kind: Kind
    who: str
    words: str


@dataclass(slots=True)
class _Key:
    """:ivar changes: the first is version 1. :ivar deletions: their versions, growing."""

    changes: list[Change] = field(default_factory=list)
    deletions: list[int] = field(default_factory=list)
    acknowledged: int = 0

    @property
    def is_free(self) -> bool:
        return self.acknowledged == len(self.changes)

    def deleted_since(self, version: int) -> int | None:
        """The first deletion that is not older."""
        at = bisect_left(self.deletions, version)
        return self.deletions[at] if at < len(self.deletions) else None

    def is_deleted(self, version: int) -> bool:
        return version > 0 and self.changes[version - 1].deleted


class Newest:
    """What happened. It keeps every change.

    :param names: the keys of each topic; more than all writers together have on their way.
    :ivar fills: subscriptions of which all keys came.
    """

    def __init__(self, topics: Sequence[str], names: Sequence[str]) -> None:
        self._topics = {topic: {name: _Key() for name in names} for topic in topics}
        self._seen: dict[tuple[str, str], dict[str, int]] = {}
        self._counts: Counter[Kind] = Counter()
        self.faults: list[Fault] = []
        self.fills: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[Kind, int]:
        """How many faults of each kind; :attr:`faults` are the first :data:`~hopsack_bench.checker.SHOWN`."""
        return dict(self._counts)

    @property
    def acknowledged(self) -> int:
        return sum(key.acknowledged for keys in self._topics.values() for key in keys.values())

    # ---- writers -----------------------------------------------------------------------------------------------------

    def offer(self, topic: str, writer: str, chance: random.Random, deletes: float = 0.25) -> Change:
        """A change of a key that nobody else is changing.

        :param deletes: the share of deletions.
        """
        name = chance.choice([name for name, key in self._topics[topic].items() if key.is_free])
        key = self._topics[topic][name]
        change = Change(name, len(key.changes) + 1, writer, chance.random() < deletes)
        key.changes.append(change)
        if change.deleted:
            key.deletions.append(change.version)
        return change

    def taken(self, topic: str, change: Change) -> None:
        """It is acknowledged."""
        self._topics[topic][change.name].acknowledged = change.version

    def floors(self, topic: str) -> Floors:
        return {name: key.acknowledged for name, key in self._topics[topic].items()}

    def is_exactly(self, topic: str, values: Mapping[str, Any]) -> bool:
        """Whether these are the newest changes of all keys, of which none is under way."""
        newest = [key.changes[-1] for key in self._topics[topic].values() if key.changes]
        return dict(values) == {change.name: change.payload for change in newest if not change.deleted}

    # ---- readers -----------------------------------------------------------------------------------------------------

    def filled(self, reader: str, topic: str, values: Mapping[str, Any], floors: Floors) -> None:
        """:param floors: as they were before it subscribed."""
        self.fills[reader] += 1
        self.shows(reader, topic, values, floors)

    def shows(self, reader: str, topic: str, values: Mapping[str, Any], floors: Floors = NOTHING) -> None:
        """
        :param values: payloads by key.
        """
        seen = self._seen.setdefault((reader, topic), {})
        for name in values.keys() - self._topics[topic].keys():
            self._fault("altered", reader, f"{topic}: nobody published a key {name!r:.50}")
        for name, key in self._topics[topic].items():
            floor = floors.get(name, 0)
            if name in values:
                self._has(reader, topic, seen, values[name], floor)
                continue
            least = max(seen.get(name, 0), floor)
            deletion = key.deleted_since(least)
            if deletion is not None:
                seen[name] = deletion
            elif least:
                self._fault("missing", reader, f"{topic}: {name} is not there, and was not deleted since {least}")

    def came(self, reader: str, topic: str, payload: Any, deleted: bool) -> None:
        seen = self._seen.setdefault((reader, topic), {})
        if not deleted:
            self._has(reader, topic, seen, payload, 0)
            return
        name = str(payload.get("name")) if isinstance(payload, dict) else ""
        key = self._topics[topic].get(name)
        if key is None:
            self._fault("altered", reader, f"{topic}: nobody deleted {payload!r:.100}")
            return
        deletion = key.deleted_since(seen.get(name, 0))
        if deletion is None:
            self._fault("back", reader, f"{topic}: {name} was deleted, which nobody did since {seen.get(name, 0)}")
        else:
            seen[name] = deletion

    def _has(self, reader: str, topic: str, seen: dict[str, int], payload: Any, floor: int) -> None:
        change = self._change(topic, payload)
        if change is None:
            self._fault("altered", reader, f"{topic}: nobody published {payload!r:.100}")
            return
        key, before = self._topics[topic][change.name], seen.get(change.name, 0)
        if change.version < max(before, floor):
            kind: Kind = "back" if change.version < before else "stale"
            least = max(before, floor)
            gone = any(key.is_deleted(version) for version in range(change.version + 1, least + 1))
            words = f"{topic}: {change.name} is {change.version}, had {before}, acknowledged {floor}"
            self._fault("ghost" if gone else kind, reader, words)
        seen[change.name] = max(before, change.version)

    def _change(self, topic: str, payload: Any) -> Change | None:
        match payload:
            case {"name": str(name), "version": int(version)} if name in self._topics[topic]:
                changes = self._topics[topic][name].changes
                if 0 < version <= len(changes) and changes[version - 1].payload == payload:
                    return changes[version - 1]
        return None

    def _fault(self, kind: Kind, who: str, words: str) -> None:
        self._counts[kind] += 1
        if len(self.faults) < SHOWN:
            self.faults.append(Fault(kind, who, words))
