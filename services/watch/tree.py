"""What is known of everything below one root, and how it is kept true. No I/O: inputs in, effects out (``events.py``).

The theory: inotify says *where* to look, the disk says *what is*. A record never changes the tree; it puts one name in
doubt, and after a short window the name is looked at. What differs from what was known is published, and then known. So
a burst of writes is one change, a record that is late or doubled does no harm, and any order of records ends in the
same tree. Three hazards are named where they are met:

* a folder is filled before its watch is set: a folder is watched first and read after, through one descriptor;
* records are lost: the whole tree is read again, the differences are published, then one ``rescanned``;
* the tree is ahead of records that are still queued: watches belong to folders, not to paths, so one that turns up at a
  second path makes the first one be looked at.

Replaying the published changes on an earlier listing gives the later one, where ``deleted`` and ``moved`` of a folder
take with them what is below it. The tests hold it to that.

Bounds: ``most`` entries are known, further ones are passed over (a listing then says ``truncated``); ``most_doubts``
names are in doubt at once, more of them and the tree is read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from watch.events import (
    Await,
    Awaited,
    Change,
    ChangeKind,
    Effect,
    Enter,
    Entered,
    Facts,
    Finish,
    Finished,
    Input,
    Look,
    Looked,
    Noticed,
    Path,
    Publish,
    Ready,
    Refused,
    RemoveWatch,
    WakeAt,
    Warn,
    Woke,
)
from watch.inotify import IN_CREATE, IN_DELETE, IN_IGNORED, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW, Record
from watch.names import LONGEST, shown

WINDOW = 0.1
"""Seconds from the first sign of a change until it is looked at; what happens to the name meanwhile is one change."""

PAUSE = 1.0
"""Seconds between the end of one re-scan and the start of the next, however often records are lost."""

MOST = 100_000
MOST_DOUBTS = 10_000

_MEMBERSHIP = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO


class _Node:
    """One name on the disk. Only folders have a watch and children."""

    __slots__ = ("alias", "barred", "children", "facts", "name", "parent", "watch")

    def __init__(self, parent: _Node | None, name: str, facts: Facts | None) -> None:
        self.parent = parent
        self.name = name
        self.facts = facts  # None only for a root that is not there
        self.watch: int | None = None
        self.children: dict[str, _Node] = {}
        self.alias = False  # the same folder is entered at another path already (a bind mount)
        self.barred = False  # it may not be read, and the log says so

    def below(self) -> Iterator[_Node]:
        level = list(self.children.values())
        while level:
            node = level.pop()
            yield node
            level.extend(node.children.values())


_Name = tuple[_Node, str]


class Tree:
    """Everything below one root.

    :param ignored: names that are passed over wherever they stand, with all that is below them.
    :param most: how many entries are known at most.
    :param most_doubts: how many names may be in doubt before the tree is read again instead.
    """

    def __init__(
        self, ignored: Callable[[str], bool] = lambda _: False, *, most: int = MOST, most_doubts: int = MOST_DOUBTS
    ) -> None:
        self._ignored = ignored
        self._most = most
        self._most_doubts = most_doubts
        self._root = _Node(None, "", None)
        self._count = 0
        self._watched: dict[int, _Node] = {}
        self._awaited: int | None = None
        self._doubts: dict[_Name, None] = {}
        self._departures: dict[int, _Name] = {}
        self._moved: set[_Name] = set()
        self._root_doubted = False
        self._lost = False
        self._waking = False
        self._scanning = True
        self._ready = False
        self._warned: set[str] = set()
        self.partial = False  # there is more on the disk than ``most``

    def start(self) -> list[Effect]:
        """What to do first."""
        return [Enter((), quiet=True), Finish()]

    def receive(self, seen: Input, now: float) -> list[Effect]:
        """Take one input.

        :param now: seconds of any clock that does not go back.
        :returns: what to do, in this order, each effect's own consequences before the next.
        """
        match seen:
            case Noticed(records):
                for record in records:
                    self._notice(record)
                return self._wake(now, WINDOW)
            case Woke():
                return self._woke()
            case Looked(look, facts):
                return self._looked(look, facts)
            case Entered():
                return self._entered(seen)
            case Refused():
                return self._refused(seen)
            case Awaited():
                return self._awaiting(seen)
            case Finished():
                return self._finished(now)
        assert_never(seen)

    def entries(self, limit: int) -> tuple[list[tuple[Path, Facts]], bool]:
        """What is known, level by level, so that a cut leaves the deepest out; and whether there is more."""
        found: list[tuple[Path, Facts]] = []
        level: deque[tuple[Path, _Node]] = deque([((), self._root)])
        while level:
            path, node = level.popleft()
            for name, child in node.children.items():
                if len(found) == limit:
                    return found, True
                assert child.facts is not None
                found.append(((*path, name), child.facts))
                if child.children:
                    level.append(((*path, name), child))
        return found, self.partial

    # Records: where to look ------------------------------------------------------------------------------------------

    def _notice(self, record: Record) -> None:
        if record.mask & IN_Q_OVERFLOW:
            self._lose()
        elif record.watch == self._awaited:
            self._root_doubted = True
            if record.mask & IN_IGNORED:
                self._awaited = None
        elif (node := self._watched.get(record.watch)) is not None:
            if record.mask & IN_IGNORED:
                del self._watched[record.watch]
                node.watch = None
            if not record.name:
                self._doubt_folder(node)
            elif not self._ignored(record.name):
                self._doubt(node, record.name)
                self._pair(node, record)
                if record.mask & _MEMBERSHIP and node is not self._root:
                    self._doubt_folder(node)  # its own time changed

    def _doubt_folder(self, node: _Node) -> None:
        if node.parent is None:
            self._root_doubted = True
        else:
            self._doubt(node.parent, node.name)

    def _doubt(self, folder: _Node, name: str) -> None:
        if self._lost:
            return  # all of it will be read
        if len(self._doubts) >= self._most_doubts or len(self._departures) >= self._most_doubts:
            self._lose()
        else:
            self._doubts[folder, name] = None

    def _pair(self, folder: _Node, record: Record) -> None:
        if record.mask & IN_MOVED_FROM:
            self._departures[record.cookie] = (folder, record.name)
        elif record.mask & IN_MOVED_TO and (source := self._departures.pop(record.cookie, None)) is not None:
            self._moved.add(source)

    def _lose(self) -> None:
        self._lost = True
        self._settle()

    def _settle(self) -> None:
        self._doubts.clear()
        self._departures.clear()
        self._moved.clear()

    def _wake(self, now: float, delay: float) -> list[Effect]:
        if self._waking or not (self._doubts or self._root_doubted or self._lost):
            return []
        self._waking = True
        return [WakeAt(now + delay)]

    def _woke(self) -> list[Effect]:
        self._waking = False
        if self._lost and not self._scanning:
            self._lost = self._root_doubted = self.partial = False
            self._scanning = True
            return [Enter((), deep=True), Finish()]
        effects: list[Effect] = [Enter(())] if self._root_doubted else []
        self._root_doubted = False
        # Shallow names first: a folder that is gone takes what is below it along, in one change.
        doubts = ((self._path(folder), (folder, name)) for folder, name in self._doubts)
        looks = [Look((*path, key[1]), key in self._moved) for path, key in doubts if path is not None]
        self._settle()
        return effects + sorted(looks, key=lambda look: len(look.path))

    def _finished(self, now: float) -> list[Effect]:
        self._scanning = False
        effects: list[Effect] = [Publish(Change((), "rescanned", self._root.facts))] if self._ready else [Ready()]
        self._ready = True
        return effects + self._wake(now, PAUSE)

    # Observations: what is -------------------------------------------------------------------------------------------

    def _looked(self, look: Look, facts: Facts | None) -> list[Effect]:
        if not look.path:
            known = self._root.facts
            same = facts is not None and known is not None and facts.identity == known.identity
            return [] if same else [Enter(())]
        parent = self._find(look.path[:-1])
        if parent is None or parent.facts is None:
            return []
        return self._compare(parent, look.path[-1], facts, Enter(look.path), look.moved)

    def _compare(
        self, parent: _Node, name: str, facts: Facts | None, enter: Enter, moved: bool = False
    ) -> list[Effect]:
        """Bring one name up to date. ``enter`` says how to enter it, should it be a folder to be entered."""
        known = parent.children.get(name)
        moved = moved or (parent, name) in self._moved
        if known is None:
            return [] if facts is None else self._appear(parent, name, facts, enter)
        if facts is None:
            return self._vanish(known, "moved" if moved else "deleted")
        was = known.facts
        assert was is not None
        same = (was.identity, was.is_dir) == (facts.identity, facts.is_dir)
        if not same and (moved or was.is_dir or facts.is_dir):
            gone = self._vanish(known, "moved" if moved else "deleted")
            return gone + self._appear(parent, name, facts, enter)
        known.facts = facts
        if facts.is_dir:
            return [enter] if enter.deep or (known.watch is None and not known.alias) else []
        return [Publish(Change(enter.path, "modified", facts))] if facts != was else []

    def _appear(self, parent: _Node, name: str, facts: Facts, enter: Enter) -> list[Effect]:
        if self._count >= self._most:
            self.partial = True
            return self._warn(f"more than {self._most} entries: the rest is passed over")
        if len(shown(enter.path)) > LONGEST:
            return self._warn(f"paths longer than {LONGEST} characters are passed over")
        self._count += 1
        parent.children[name] = _Node(parent, name, facts)
        news: list[Effect] = [] if enter.quiet else [Publish(Change(enter.path, "created", facts))]
        return [*news, replace(enter, deep=False)] if facts.is_dir else news

    def _vanish(self, node: _Node, kind: ChangeKind) -> list[Effect]:
        path = self._path(node)
        assert path is not None
        if node.parent is not None:
            del node.parent.children[node.name]
            node.parent = None
            self._count -= 1
        effects: list[Effect] = [Publish(Change(path, kind, node.facts)), *self._unwatch(node)]
        for each in node.below():
            effects += self._unwatch(each)
            self._count -= 1
        return effects

    def _vanish_root(self) -> list[Effect]:
        gone, self._root = self._root, _Node(None, "", None)
        effects: list[Effect] = [] if gone.facts is None else [Publish(Change((), "deleted", gone.facts))]
        for each in (gone, *gone.below()):
            effects += self._unwatch(each)
        self._count = 0
        return effects

    def _unwatch(self, node: _Node) -> list[Effect]:
        watch, node.watch = node.watch, None
        return [] if watch is None or self._watched.pop(watch, None) is None else [RemoveWatch(watch)]

    # Folders entered -------------------------------------------------------------------------------------------------

    def _entered(self, seen: Entered) -> list[Effect]:
        enter, watch = seen.enter, seen.watch
        node = self._find(enter.path)
        if node is None:
            return self._unwanted(watch)
        if node.facts is not None and node.facts.identity != seen.facts.identity:
            return self._unwanted(watch) + self._replaced(node, seen)
        owner = node if watch is None else self._watched.get(watch, node)
        if owner is not node:
            return self._contended(node, owner, enter)
        node.alias = node.barred = False
        effects = self._arrive(node, seen)
        if node.watch != watch:
            effects += self._unwatch(node)
            node.watch = watch
        if watch is None:
            effects += self._warn(_EXHAUSTED)
        else:
            self._watched[watch] = node
        return effects + self._list(node, seen)

    def _unwanted(self, watch: int | None) -> list[Effect]:
        return [] if watch is None or watch in self._watched else [RemoveWatch(watch)]

    def _replaced(self, node: _Node, seen: Entered) -> list[Effect]:
        """Another folder has come to this path since it was last looked at: enter it as a new one."""
        if node is self._root:
            return [*self._vanish_root(), replace(seen.enter, deep=False)]
        assert node.parent is not None
        return self._compare(node.parent, node.name, seen.facts, seen.enter)

    def _contended(self, node: _Node, owner: _Node, enter: Enter) -> list[Effect]:
        """The folder is watched already, under another path. Either it has left that path, which a look will show, or
        it really is at both (a bind mount): then it stays entered where it was first met."""
        path = self._path(owner)
        assert path is not None
        if not enter.again:
            return [Look(path), replace(enter, again=True)]
        node.alias, known = True, node.alias
        text = f"{shown(enter.path)!r} is the same folder as {shown(path)!r}: listed, not entered"
        return [] if known else [Warn(text)]

    def _arrive(self, node: _Node, seen: Entered) -> list[Effect]:
        if node is not self._root:
            return []
        effects = self._stop_awaiting(seen.watch)
        if node.facts is None and not seen.enter.quiet:
            effects.append(Publish(Change((), "created", seen.facts)))
        node.facts = seen.facts
        return effects

    def _list(self, node: _Node, seen: Entered) -> list[Effect]:
        enter = seen.enter
        found = {name: facts for name, facts in seen.children if not self._ignored(name)}
        # What a cut listing leaves out is not gone for that.
        gone = [] if seen.cut else [name for name in node.children if name not in found]
        self.partial = self.partial or seen.cut
        effects: list[Effect] = []
        for name in gone:
            effects += self._compare(node, name, None, Enter((*enter.path, name)))
        for name, facts in found.items():
            below = Enter((*enter.path, name), deep=enter.deep, quiet=enter.quiet)
            effects += self._compare(node, name, facts, below)
        return effects

    def _refused(self, seen: Refused) -> list[Effect]:
        path = seen.enter.path
        if not path:
            denied = [] if seen.gone else self._warn(f"the root cannot be read: {seen.reason}")
            return [*self._vanish_root(), *denied, Await()]
        node = self._find(path)
        if node is None:
            return []
        if seen.gone:
            return [Look(path)]
        node.barred, known = True, node.barred
        return [] if known else [Warn(f"{shown(path)!r} cannot be read: {seen.reason}")]

    def _awaiting(self, seen: Awaited) -> list[Effect]:
        effects = self._stop_awaiting(seen.watch)
        self._awaited = seen.watch
        if seen.present:
            return [*effects, Enter(())]
        if seen.watch is None:
            effects += self._warn(f"the root is not there, and its coming would not be seen: {seen.reason}")
        return effects

    def _stop_awaiting(self, unless: int | None) -> list[Effect]:
        watch, self._awaited = self._awaited, None
        return [] if watch is None or watch == unless else [RemoveWatch(watch)]

    # The tree itself -------------------------------------------------------------------------------------------------

    def _warn(self, text: str) -> list[Effect]:
        if text in self._warned:
            return []
        self._warned.add(text)
        return [Warn(text)]

    def _find(self, path: Path) -> _Node | None:
        node: _Node | None = self._root
        for name in path:
            node = node.children.get(name) if node is not None else None
        return node

    def _path(self, node: _Node) -> Path | None:
        """The path of a node, or ``None`` if it, or a folder above it, has gone."""
        names: list[str] = []
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return tuple(reversed(names)) if node is self._root else None


_EXHAUSTED = (
    "the kernel has no inotify watch left for some folders: changes in them are only seen by a re-scan. "
    "Allow more with: sysctl fs.inotify.max_user_watches=524288"
)
