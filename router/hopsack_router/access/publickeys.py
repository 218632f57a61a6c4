"""The public keys that are accepted: a folder with one file for each, which is read while the node runs.

    $HOPSACK_KEYS/<name>.pub   {"subject": "host", "role": "service", "public": "<base64url>", "added": 1790000000.0}

``added`` (seconds since the epoch; else the file's date) and ``note`` may be left out. A file that is put there counts
from the next look on; one that is changed or removed ends the sessions that logged in with what it said. What a file
lacks or has too much of is told in the log once, and nobody logs in with it: not even as who it said before. A folder
that cannot be looked at, and files that the machine has no descriptor left for, are looked at again the next time.

:meth:`PublicKeys.look` is a look at the folder and at the dates of its files; it reads those that have another date.
Bounds: :data:`MOST` files, :data:`MOST_BYTES` each.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from twisted.logger import Logger

from hopsack.errors import BadRequest, StoreFailed, TooMany
from hopsack.keys import fingerprint, public_from, public_text
from hopsack_router.access.identity import Identity
from hopsack_router.access.verifying import LONGEST_NAME, is_name

LOG = Logger()

SUFFIX = ".pub"
MOST = 10_000
MOST_BYTES = 4096
YOUNG = 1.0
"""Seconds for which a file that was changed is read at each look: its date is no finer than a tick of the kernel."""
ROLES = frozenset(("user", "service", "operator"))
"""What a key may be: nobody needs one to be a guest, and ``trusted`` is the node's own."""
NO_NAME = f"no name: 1 to {LONGEST_NAME} printable characters"

Mark = tuple[int, int, int, int]
_NONE: Mark = (0, 0, 0, 0)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
"""Of descriptors or memory: it says nothing of the file. Else who fills the node with connections ends its services."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that is accepted.

    :ivar name: of its file, without the suffix. :ivar public: 32 bytes.
    :ivar added: seconds since the epoch.
    """

    name: str
    subject: str
    role: str
    public: bytes
    added: float
    note: str | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def identity(self) -> Identity:
        """Who logs in with it."""
        return Identity(self.subject, self.role, issued=self.added, proof="key", key=self.fingerprint)

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": self.name,
            "subject": self.subject,
            "role": self.role,
            "public": public_text(self.public),
            "fingerprint": self.fingerprint,
            "added": self.added,
        }
        return facts if self.note is None else facts | {"note": self.note}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    subject: str
    role: str
    public: str
    added: float | None = None
    note: str | None = None


def parse(name: str, text: bytes, date: float) -> PublicKey:
    """What a file says.

    :param date: of the file, in seconds since the epoch.
    :raises ValueError: nothing that anybody may log in with; says why.
    """
    try:
        said = msgspec.json.decode(text, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if said.role not in ROLES:
        raise ValueError(f"its role is {said.role[:40]!r}, not one of {', '.join(sorted(ROLES))}")
    if not is_name(said.subject):
        raise ValueError(f"its subject {said.subject[:40]!r} is {NO_NAME}")
    return PublicKey(
        name, said.subject, said.role, public_from(said.public), date if said.added is None else said.added, said.note
    )


class PublicKeys:
    """The folder of one node.

    :param now: Unix time, in seconds.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._marks: dict[str, Mark] = {}
        self._by_name: dict[str, PublicKey] = {}
        self._by_public: dict[bytes, PublicKey] = {}
        self._by_fingerprint: dict[str, PublicKey] = {}
        self._troubles: dict[str, str] = {}
        self.look()

    def find(self, public: bytes) -> PublicKey | None:
        """The key that is accepted, if this one is."""
        return self._by_public.get(public)

    def all(self) -> list[PublicKey]:
        return sorted(self._by_name.values(), key=lambda one: (one.subject, one.added))

    def named(self, word: str) -> PublicKey | None:
        """By its name, or by its fingerprint."""
        return self._by_name.get(word) or self._by_fingerprint.get(word)

    def stands(self, identity: Identity) -> bool:
        """Whether somebody who logged in with a key could do so now, as the same."""
        key = self._by_fingerprint.get(identity.key or "")
        return key is not None and (key.subject, key.role) == (identity.subject, identity.role)

    # ---- looking -----------------------------------------------------------------------------------------------------

    def look(self) -> bool:
        """Take what has changed.

        :returns: whether a key is accepted no longer, or is somebody else's.
        """
        seen = self._seen()
        if seen is None or seen == self._marks:
            return False
        before, now = self._by_public, self._now()
        for name in self._marks.keys() - seen.keys():
            self._by_name.pop(name, None)
            self._troubles.pop(name, None)
        unread = {name for name, mark in seen.items() if self._marks.get(name) != mark and not self._read(name)}
        self._marks = {
            name: _NONE if name in unread or mark[1] / 1e9 > now - YOUNG else mark for name, mark in seen.items()
        }
        self._by_public = self._told_apart()
        self._by_fingerprint = {one.fingerprint: one for one in self._by_public.values()}
        return any(self._by_public.get(public) != key for public, key in before.items())

    def _seen(self) -> dict[str, Mark] | None:
        """The marks of the files; ``None``: the machine does not say, and nothing is known to be gone."""
        seen: dict[str, Mark] = {}
        try:
            entries = os.scandir(self._folder)
        except (FileNotFoundError, NotADirectoryError):  # there is none yet
            return seen
        except OSError as error:
            self._trouble("", f"{self._folder} cannot be looked at: {error.strerror}; the keys of before go on")
            return None
        with entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    try:
                        facts = entry.stat()
                    except OSError:  # removed meanwhile, or a link to nowhere
                        continue
                    moment = max(facts.st_mtime_ns, facts.st_ctime_ns)
                    seen[entry.name.removesuffix(SUFFIX)] = (facts.st_ino, moment, facts.st_size, facts.st_dev)
        if len(seen) <= MOST:
            return seen
        self._trouble("", f"{self._folder} holds {len(seen):,} keys: the first {MOST:,} by name count")
        return {name: seen[name] for name in sorted(seen)[:MOST]}

    def _trouble(self, name: str, what: str) -> None:
        """Say it in the log, once."""
        if self._troubles.get(name) != what:
            self._troubles[name] = what
            LOG.error("{what}", what=what)

    def _read(self, name: str) -> bool:
        """
        :returns: whether that is known now; else the machine has nothing left to read it with, and all is as before.
        """
        known = self._by_name.pop(name, None)
        try:
            # Without waiting: a pipe of that name must not stop the node.
            with open(os.open(self._path(name), os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode) or facts.st_size > MOST_BYTES:
                    raise ValueError(f"it is no file of {MOST_BYTES} bytes at most")
                if facts.st_mode & stat.S_IWOTH:
                    raise ValueError("everybody on this machine may write to it")
                self._by_name[name] = parse(name, file.read(MOST_BYTES), facts.st_mtime)
                self._troubles.pop(name, None)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _EXHAUSTED:
                self._by_name |= {} if known is None else {name: known}
                return False
            self._trouble(name, f"the key {self._path(name)} does not count: {error}")
        return True

    def _told_apart(self) -> dict[bytes, PublicKey]:
        """Which key is whose. Of two files with the same key the first by name counts."""
        told: dict[bytes, PublicKey] = {}
        for name in sorted(self._by_name):
            key = self._by_name[name]
            first = told.setdefault(key.public, key)
            if first is not key:
                self._trouble(name, f"the key {self._path(name)} does not count: {first.name} holds the same one")
        return told

    # ---- changing ----------------------------------------------------------------------------------------------------

    def add(self, subject: str, role: str, public: str, note: str | None = None) -> PublicKey:
        """Accept a key from now on, by a new file. One that is accepted already as the same is left as it is.

        :param public: as somebody wrote it.
        :raises BadRequest: it is no key, or somebody else's, or the subject is no name.
        :raises TooMany: there are :data:`MOST`. :raises StoreFailed: the file cannot be written.
        """
        self.look()
        if not is_name(subject):
            raise BadRequest(f"{subject[:40]!r} is {NO_NAME}", path="/subject")
        try:
            key = public_from(public)
        except ValueError as error:
            raise BadRequest(str(error), path="/public") from error
        known = self.find(key)
        if known is not None:
            if (known.subject, known.role) == (subject, role):
                return known
            raise BadRequest(
                f"this key is {known.subject}'s, as {known.role}: {known.name}{SUFFIX}",
                path="/public",
                advice="revoke it there, or make another key",
            )
        if len(self._marks) >= MOST:
            raise TooMany(f"there are {MOST:,} keys", advice="revoke those that nobody uses")
        added = PublicKey(_name_of(subject, key), subject, role, key, self._now(), note)
        self._write(added)
        self.look()
        return added

    def _write(self, key: PublicKey) -> None:
        said = _File(key.subject, key.role, public_text(key.public), key.added, key.note)
        draft = self._folder / f".{secrets.token_hex(8)}.new"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            try:
                with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(said)) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._path(key.name))
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise StoreFailed(
                f"cannot write to the folder of keys: {error.strerror}", advice="look at HOPSACK_KEYS"
            ) from error

    def revoke(self, key: PublicKey) -> None:
        """Accept it no longer, in whichever files it stands; its sessions are for the caller to end.

        :raises StoreFailed: a file cannot be removed.
        """
        for name in [one.name for one in self._by_name.values() if one.public == key.public]:
            try:
                self._path(name).unlink(missing_ok=True)
            except OSError as error:
                raise StoreFailed(
                    f"cannot remove {name}{SUFFIX}: {error.strerror}", advice="look at HOPSACK_KEYS"
                ) from error
        self.look()

    def revoke_subject(self, subject: str) -> int:
        """The same for every key of a subject, whose sessions must end whatever becomes of the files.

        A file that cannot be removed, since the folder is read-only here, is told in the log: what it says was issued
        before the revocation, and does not count because of that (:mod:`~hopsack_router.access.revocations`).

        :returns: how many are gone.
        """
        self.look()
        keys = {one.public: one for one in self._by_name.values() if one.subject == subject}
        gone = 0
        for key in keys.values():
            try:
                self.revoke(key)
                gone += 1
            except StoreFailed as error:
                LOG.error("{what}", what=error.message)
        return gone

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def _name_of(subject: str, public: bytes) -> str:
    """A file name that tells a person whose key it is, and is nobody else's."""
    readable = quote(subject, safe=" @+")[:80].lstrip(".").replace(" ", "_")
    return f"{readable}-{fingerprint(public)[:8]}"
