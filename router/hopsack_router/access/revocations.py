"""Who may not come any more: for each revoked subject, the moment before which no proof of it counts.

    revoke(subject)   -> everything issued until now is refused: tokens, and whatever does not say when it was issued
    restore(subject)  -> it counts again
    refusal(identity) -> why it may not come, or nothing

Kept in ``$HOPSACK_DATA/revoked.json``, as a whole or not at all, so a restart forgets nothing; one that cannot be read
stops the start. A revocation is in force before it is written: if the disk is full it holds until the node ends, and
who asked for it is told.

Tokens say when they were issued in whole seconds. One of the second of the revocation may be from before it, and is
refused. Clocks may have been set back: the moment is never earlier than the latest that the node has seen, else tokens
from the time that comes twice would pass. So a subject that is revoked while the clock is wrong by an hour may have to
wait an hour for its next token to count, unless it is restored.

Bound: :data:`MOST` subjects.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from hopsack.errors import Revoked, TooMany
from hopsack.settings import ConfigError
from hopsack_router.access.identity import Identity

FILE = "revoked.json"
"""Below ``HOPSACK_DATA``."""
MOST = 100_000


class Revocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    :ivar since: what was issued until this moment is refused, in seconds since the epoch.
    """

    subject: str
    since: float
    reason: str | None = None

    def facts(self) -> dict[str, Any]:
        told = {"subject": self.subject, "since": self.since}
        return told if self.reason is None else told | {"reason": self.reason}


class Revocations:
    """The revocations of one node.

    :param kept: those of before. :param keep: writes them; it may raise ``OSError``.
    :param now: Unix time, in seconds.
    """

    def __init__(
        self,
        now: Callable[[], float],
        kept: tuple[Revocation, ...] = (),
        keep: Callable[[tuple[Revocation, ...]], object] = lambda _: None,
    ) -> None:
        self._now = now
        self._by_subject = {one.subject: one for one in kept}
        self._keep = keep
        self._latest = max((one.since for one in kept), default=0.0)

    def __iter__(self) -> Iterator[Revocation]:
        return iter(tuple(self._by_subject.values()))

    def refusal(self, identity: Identity) -> Revoked | None:
        """Why this identity may not come; ``None``: nothing is against it."""
        self._latest = max(self._latest, self._now())
        revoked = self._by_subject.get(identity.subject)
        if revoked is None or identity.proof == "guest":
            return None
        if identity.issued is not None and identity.issued > revoked.since:
            return None
        return Revoked("what this client logged in with has been revoked", advice="log in again")

    def revoke(self, subject: str, reason: str | None = None) -> Revocation:
        """
        :raises TooMany: there are too many already.
        :raises OSError: it is in force, but cannot be kept over a restart.
        """
        if subject not in self._by_subject and len(self._by_subject) >= MOST:
            raise TooMany(f"{MOST:,} subjects are revoked", advice="restore those that can do no harm any more")
        self._latest = max(self._latest, self._now())
        revoked = self._by_subject[subject] = Revocation(subject, self._latest, reason)
        self._keep(tuple(self))
        return revoked

    def restore(self, subject: str) -> bool:
        """
        :returns: whether it had been revoked.
        :raises OSError: it is restored, but a restart revokes it again.
        """
        found = self._by_subject.pop(subject, None)
        if found is not None:
            self._keep(tuple(self))
        return found is not None


class _File(msgspec.Struct, frozen=True):
    revoked: tuple[Revocation, ...]
    version: int = 1


def read(path: Path) -> tuple[Revocation, ...]:
    """What was kept; nothing, where there is no file.

    :raises ConfigError: there is one, and it cannot be read: nobody must come back because of that.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).revoked
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{path} says who is revoked, and cannot be read: {error}",
            "mend it, or remove it if nobody needs to be kept out",
        ) from error


def keep_in(path: Path) -> Callable[[tuple[Revocation, ...]], None]:
    """Writes a file that is the new one or the old one, whatever happens meanwhile."""

    def keep(revoked: tuple[Revocation, ...]) -> None:
        new = path.with_suffix(".new")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_File(revoked))))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    return keep
