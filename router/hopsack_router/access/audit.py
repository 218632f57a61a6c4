"""The audit log: who came in, who was refused, what operators did. JSON lines in ``$HOPSACK_DATA/audit.jsonl``.

    note(event, facts)  -> a line {time, event, …}
         the same event of the same source, too often  -> counted, and told as one line {…, repeated, since} later
         too many of one event in all                   -> the same, without their sources

So a flood neither fills the disk nor pushes out what was there before it: it costs a few lines a minute. What happens
rarely and matters most (:data:`NEVER_SUMMED`) is always written out.

A line is JSON: what somebody calls himself cannot make a second one. What has the form of a token is not written,
wherever it stands. Lines of one turn of the loop are written at once, and not synced: the last ones may be lost with
the machine, none with the process. A disk that is full is said once in the node's log; lines of that time are counted,
and the first that can be written again says how many there were (``lost``).

Bounds: :data:`MOST_BYTES` a file and :data:`FILES` of them; :data:`SOURCES` are told apart; a text has
:data:`MOST_TEXT` characters, a line some thousands.
"""

from __future__ import annotations

import os
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

LOG = Logger()

WINDOW = 60.0
"""Seconds for which is counted how often something has happened."""
WRITTEN_OUT = 5
"""Lines about the same event and source in a window."""
OF_A_KIND = 1000
"""Lines about the same event in a window, whoever it was."""
SOURCES = 4096
MOST_TEXT = 300
MOST_BYTES = 16 << 20
FILES = 4

NEVER_SUMMED = frozenset(("admin", "ended", "key_added", "key_revoked", "limits_changed", "restored", "revoked"))
"""Only operators can make them happen, or only once for each session."""

_TOKEN = re.compile(r"e[wy][\w-]{8,}\.[\w-]{4,}\.[\w-]*")
"""A JSON Web Token in its compact form, or the beginning of one (RFC 7519, section 3)."""
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What terminals and editors obey or hide, and JSON may hold unescaped: strangers choose some of what is written."""


class Notes(Protocol):
    """Where events are noted. Values of facts are texts, numbers, or lists of them; ``None`` is left out.

    Never give a secret, a token or a payload. ``subject``, ``role`` and ``address`` say who it was.
    """

    def note(self, event: str, **facts: Any) -> None: ...


class Unwritten:
    """Notes that nobody keeps: of a realm in memory."""

    def note(self, event: str, **facts: Any) -> None:
        pass


UNWRITTEN: Notes = Unwritten()


def facts_of(session: Any) -> dict[str, Any]:
    """Who a session is, as the log has it.

    :param session: a :class:`~hopsack_router.routing.session.NodeSession`, which may be joining still.
    """
    identity, number = session.identity, session._session_id
    return {
        "subject": session._authid,
        "role": session._authrole,
        "proof": None if identity is None else identity.proof,
        "key": None if identity is None else identity.key,
        "token_id": None if identity is None else identity.token_id,
        "session": number,
        "door": session.door,
        "address": session.peer,
    }


# ---- what is written out, and what is counted ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """What is told apart: an event, of whom, from where. Guests make up a name each time, so they have none here."""

    event: str
    subject: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """How often something happened that was not written out.

    :ivar since: when the first of them was, by the clock of the sums.
    """

    source: Source
    repeated: int
    since: float


class Sums:
    """Decides which events are written out. A core: its clock is that of whoever asks."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Source, int] = OrderedDict()
        self._kinds: Counter[str] = Counter()
        self._repeated: dict[Source, tuple[int, float]] = {}

    def passes(self, source: Source, now: float) -> bool:
        """Whether this event is written out; else it is counted."""
        if source.event in NEVER_SUMMED:
            return True
        if self._kinds[source.event] >= OF_A_KIND:
            self._repeat(Source(source.event), now)
            return False
        n = self._counts.get(source, 0)
        if n >= WRITTEN_OUT:
            self._repeat(source, now)
            return False
        if n == 0 and len(self._counts) >= SOURCES:
            self._counts.popitem(last=False)
        self._counts[source] = n + 1
        self._kinds[source.event] += 1
        return True

    def _repeat(self, source: Source, now: float) -> None:
        if source not in self._repeated and len(self._repeated) >= SOURCES:
            source = Source(source.event)
        n, since = self._repeated.get(source, (0, now))
        self._repeated[source] = n + 1, since

    def close(self) -> list[Sum]:
        """The window has ended, or the log does: what was not written out in it."""
        sums = [Sum(source, n, since) for source, (n, since) in self._repeated.items()]
        self._counts.clear()
        self._kinds.clear()
        self._repeated.clear()
        return sums


# ---- lines --------------------------------------------------------------------------------------------------------


def line(time: float, event: str, facts: dict[str, Any]) -> bytes:
    """One line, with its line feed.

    :param time: Unix time, in seconds.
    """
    told = {name: _safe(value) for name, value in facts.items() if value is not None}
    written = msgspec.json.encode({"time": moment(time), "event": event} | told).decode()
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", written).encode() + b"\n"


def moment(time: float) -> str:
    """Unix time as RFC 3339 has it, to the millisecond."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(value: Any) -> Any:
    match value:
        case bool() | int() | float():
            return value
        case str():
            return _TOKEN.sub("(a token)", value)[:MOST_TEXT]
        case list() | tuple() | set() | frozenset():
            return [_safe(one) for one in list(value)[:100]]
        case _:
            return _safe(str(value))


def host_of(peer: str | None) -> str | None:
    """The address in what Autobahn calls a peer (``tcp4:192.0.2.7:4711``), without the port."""
    if peer is None or not peer.startswith("tcp"):
        return peer
    return peer.partition(":")[2].rpartition(":")[0]


# ---- the log ------------------------------------------------------------------------------------------------------


class Audit:
    """The log of one node.

    :param append: takes the lines of a turn. It may raise ``OSError``.
    :param clock: counts the windows.
    :param wall: tells Unix time.
    """

    def __init__(self, append: Callable[[bytes], object], clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._append = append
        self._clock = clock
        self._wall = wall
        self._sums = Sums()
        self._lines: list[bytes] = []
        self._lost = 0
        self._window: IDelayedCall | None = None

    def note(self, event: str, **facts: Any) -> None:
        """Note that something has happened. See :class:`Notes`."""
        facts["address"] = host_of(facts.get("address"))
        subject = None if facts.get("role") in (None, "guest") else facts.get("subject")
        if self._window is None and event not in NEVER_SUMMED:
            self._window = self._clock.callLater(WINDOW, self._sum_up)
        if self._sums.passes(Source(event, subject, facts["address"]), self._clock.seconds()):
            self._put(line(self._wall(), event, facts))

    def _sum_up(self) -> None:
        self._window = None
        now, wall = self._clock.seconds(), self._wall()
        for one in self._sums.close():
            source, since = one.source, moment(wall - (now - one.since))
            facts = {"subject": source.subject, "address": source.address, "repeated": one.repeated, "since": since}
            self._put(line(wall, source.event, facts))

    def _put(self, written: bytes) -> None:
        if not self._lines:
            self._clock.callLater(0, self.flush)
        self._lines.append(written)

    def flush(self) -> None:
        """Write what this turn has noted."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            if self._lost:
                self._append(line(self._wall(), "lost", {"lines": self._lost}))
                self._lost = 0
            self._append(b"".join(lines))
        except OSError as error:
            if not self._lost:
                LOG.error("the audit log cannot be written: {error}", error=error)
            self._lost += len(lines)

    def close(self) -> None:
        """Write what there is; the node ends."""
        if self._window is not None and self._window.active():
            self._window.cancel()
        self._sum_up()
        self.flush()


class Rotated:
    """A file that begins anew when it is full, readable by its owner only; the older ones have numbers.

    :param path: ``audit.jsonl``; the newest of the older ones is ``audit.jsonl.1``.
    """

    def __init__(self, path: Path, most: int = MOST_BYTES, files: int = FILES) -> None:
        self._path, self._most, self._files = path, most, files
        self._file: int | None = None
        self._bytes = 0

    def __call__(self, data: bytes) -> None:
        """Append whole lines.

        :raises OSError: they cannot be written.
        """
        if self._file is None:
            self._open()
        if self._bytes and self._bytes + len(data) > self._most:
            self._rotate()
        assert self._file is not None
        try:
            while data:
                n = os.write(self._file, data)
                self._bytes += n
                data = data[n:]
        except OSError:
            self.close()  # it may be there again, elsewhere, the next time
            raise

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, 0o600)
        self._bytes = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
        for older, newer in pairwise(names[::-1]):  # the oldest first: each takes the place of the one behind it
            if newer.exists():
                newer.replace(older)
        self._open()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
