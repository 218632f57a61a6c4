"""What the tree is told, and what it asks for. The tree (``tree.py``) does no I/O; ``observer.py`` does what it asks.

Noticed, Looked, Entered, Refused, Awaited, Woke, Finished  ->  Tree  ->  Enter, Look, RemoveWatch, Await,
                                                                         Publish, WakeAt, Finish, Ready, Warn
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from watch.inotify import Record

Path = tuple[str, ...]
"""Names from the root down, exactly as the disk has them; ``()`` is the root itself."""

ChangeKind = Literal["created", "modified", "deleted", "moved", "rescanned"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What ``lstat`` says of one name.

    :ivar identity: device and inode.
    :ivar is_dir: false for everything else, symbolic links to folders included: they are listed, never followed.
    :ivar size: bytes.
    :ivar modified: nanoseconds since the Unix epoch.
    """

    identity: tuple[int, int]
    is_dir: bool
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what was known and what is. ``facts`` are those of the thing, the last known if gone."""

    path: Path
    kind: ChangeKind
    facts: Facts | None


# Effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Enter:
    """Watch this folder and list it, in this order and through one descriptor. Answer: ``Entered`` or ``Refused``.

    :ivar deep: enter the known folders below it as well: a re-scan.
    :ivar quiet: what is found is not news: the first scan.
    :ivar again: its watch seemed to belong to another path; that one has been looked at meanwhile.
    """

    path: Path
    deep: bool = False
    quiet: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Say what is at this path. Answer: ``Looked``.

    :ivar moved: the kernel said that what was there went elsewhere below the root.
    """

    path: Path
    moved: bool = False


@dataclass(frozen=True, slots=True)
class RemoveWatch:
    watch: int


@dataclass(frozen=True, slots=True)
class Await:
    """The root is not there: watch the nearest folder above it that is. Answer: ``Awaited``."""


@dataclass(frozen=True, slots=True)
class Publish:
    change: Change


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Answer ``Woke`` at this time (the clock's seconds)."""

    when: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Answer ``Finished`` when all that was asked for before is done."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The first scan is complete: a listing is one from now on."""


@dataclass(frozen=True, slots=True)
class Warn:
    """For the log: what this root cannot see, and what to do about it."""

    text: str


Request = Enter | Look | RemoveWatch | Await | WakeAt | Finish | Ready | Warn
Effect = Request | Publish


# Inputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noticed:
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """:ivar facts: ``None`` where nothing is."""

    look: Look
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class Entered:
    """:ivar watch: ``None`` where the kernel has no watch left to give (``max_user_watches``).
    :ivar children: what the folder holds, the folder being watched already when it was read.
    :ivar cut: it holds more than that.
    """

    enter: Enter
    watch: int | None
    facts: Facts
    children: tuple[tuple[str, Facts], ...]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """:ivar gone: there is no folder at this path; otherwise it may not be read, and ``reason`` says why."""

    enter: Enter
    gone: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """:ivar watch: ``None`` where the folder above cannot be watched, and ``reason`` says why.
    :ivar present: the root came while its watch was set.
    """

    watch: int | None
    present: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Woke:
    pass


@dataclass(frozen=True, slots=True)
class Finished:
    pass


Input = Noticed | Looked | Entered | Refused | Awaited | Woke | Finished
