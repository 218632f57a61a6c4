"""What the tree knows, in the words of ``schemas/watch.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hopsack_contracts import WatchChange, WatchEntry, WatchListing
from watch.events import Change, Facts, Path
from watch.names import shown

BATCH = 500
MOST_ENTRIES = 5000
MOST_CHARACTERS = 500_000
"""Of all paths of one listing: with the rest of it, well below what one message may carry."""


def change(root: str, at: float, change: Change) -> WatchChange:
    """:param at: when it was seen, seconds since the Unix epoch."""
    facts = None if change.kind in ("deleted", "moved", "rescanned") else change.facts
    return WatchChange(
        root=root,
        path=shown(change.path),
        kind=change.kind,
        is_dir=change.facts.is_dir if change.facts else not change.path,
        size=None if facts is None else _size(facts),
        modified=None if facts is None else facts.modified / 1e9,
        at=at,
    )


def listing(root: str, at: float, entries: Iterable[tuple[Path, Facts]], truncated: bool) -> WatchListing:
    """:param entries: the most important first: what is too much is left out from the end."""
    kept: list[WatchEntry] = []
    characters = 0
    for path, facts in entries:
        name = shown(path)
        characters += len(name)
        if len(kept) == MOST_ENTRIES or characters > MOST_CHARACTERS:
            truncated = True
            break
        kept.append(_entry(name, facts))
    kept.sort(key=lambda entry: entry.path)
    return WatchListing(root=root, at=at, truncated=truncated, entries=tuple(kept))


def batches(entries: Sequence[tuple[Path, Facts]]) -> Iterator[tuple[WatchEntry, ...]]:
    """All of them, each batch well below what one message may carry."""
    batch: list[WatchEntry] = []
    characters = 0
    for path, facts in entries:
        name = shown(path)
        if len(batch) == BATCH or characters + len(name) > MOST_CHARACTERS:
            yield tuple(batch)
            batch, characters = [], 0
        batch.append(_entry(name, facts))
        characters += len(name)
    if batch:
        yield tuple(batch)


def _entry(name: str, facts: Facts) -> WatchEntry:
    return WatchEntry(path=name, is_dir=facts.is_dir, size=_size(facts), modified=facts.modified / 1e9)


def _size(facts: Facts) -> int | None:
    return None if facts.is_dir else facts.size
