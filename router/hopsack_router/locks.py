"""Locks of the whole fabric, exclusive or counting: who holds which, and who waits. A core without I/O.

    acquire -> Held        there is room, and nobody waited before
            -> Waiting     in the order they came
            -> None        there is none, and it does not want to wait
    release, withdraw, left -> the grants that this makes possible

Every grant has a fencing token, greater than all before it: whoever writes somewhere under a lock hands it on, and what
is written to refuses a token smaller than one it has seen. So who lost a lock without knowing does no harm.

A holder is a session; when it ends, all its locks are free. Within a session, a program may name each of its tries: the
same name asks for the same grant, and gives it back though its token never arrived.

Bounds: :data:`NAMES` locks, :data:`WAITING` that wait for one, :data:`OF_ONE` held or awaited by one session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hopsack.errors import BadRequest, NotHeld, Overloaded, TooMany

NAMES = 10_000
WAITING = 1_000
OF_ONE = 1_000
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A grant.

    :ivar owner: the session. :ivar since: when, in seconds. :ivar attempt: the program's name for it.
    """

    name: str
    owner: int
    token: int
    since: float
    attempt: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    name: str
    owner: int
    attempt: str | None = None


Grants = list[tuple[Waiting, Held | None]]
"""Who waited, and their grant; ``None``: there is no token to be had, and they wait no more."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a session's end changes.

    :ivar waited: what waited for it. :ivar names: of all locks that it held or awaited.
    """

    waited: list[Waiting]
    grants: Grants
    names: list[str]


@dataclass(slots=True)
class _Lock:
    slots: int
    held: dict[int, Held] = field(default_factory=dict)
    waiting: dict[Waiting, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """One lock, for who looks."""

    name: str
    slots: int
    holders: tuple[Held, ...]
    waiting: int


class Locks:
    """The locks of one realm.

    :param tokens: gives a number greater than any it gave before, over restarts too; or raises OSError.
    :param now: tells the time.
    """

    def __init__(self, tokens: Callable[[], int], now: Callable[[], float]) -> None:
        self._tokens, self._now = tokens, now
        self._locks: dict[str, _Lock] = {}
        self._of: dict[int, dict[Held | Waiting, None]] = {}

    def acquire(
        self, name: str, owner: int, slots: int = 1, attempt: str | None = None, *, wait: bool = True
    ) -> Held | Waiting | None:
        """
        :param slots: how many may hold it at once; whoever comes while it is held or awaited says the same.
        :raises BadRequest: they say something else. :raises Overloaded, TooMany: a bound. :raises OSError: no token.
        """
        lock = self._locks.get(name)
        if lock is not None and lock.slots != slots:
            raise BadRequest(
                f"the lock {name} is held with {lock.slots} slots, and was asked for with {slots}",
                where=name,
                path="/slots",
                advice="let all its users say the same number",
            )
        known = self._known(owner, name, attempt)
        if known is not None:
            return known
        self._check_room(name, owner, lock)
        if lock is None:
            lock = self._locks[name] = _Lock(slots)
        if len(lock.held) < slots and not lock.waiting:
            try:
                return self._grant(lock, name, owner, attempt)
            finally:
                self._tidy(name, lock)
        if not wait:
            return None
        waiting = Waiting(name, owner, attempt)
        lock.waiting[waiting] = None
        self._of.setdefault(owner, {})[waiting] = None
        return waiting

    def _known(self, owner: int, name: str, attempt: str | None) -> Held | Waiting | None:
        """What a session asked for under this name before."""
        if attempt is None:
            return None
        of = self._of.get(owner, {})
        return next((one for one in of if one.attempt == attempt and one.name == name), None)

    def _check_room(self, name: str, owner: int, lock: _Lock | None) -> None:
        if len(self._of.get(owner, ())) >= OF_ONE:
            raise TooMany(f"a session holds or awaits at most {OF_ONE} locks", where=name)
        if lock is None and len(self._locks) >= NAMES:
            raise Overloaded(
                f"the fabric has {NAMES} locks in use already", where=name, data={"retry_after": RETRY_AFTER}
            )
        if lock is not None and len(lock.waiting) >= WAITING:
            raise Overloaded(
                f"{WAITING} sessions wait for this lock already", where=name, data={"retry_after": RETRY_AFTER}
            )

    def _grant(self, lock: _Lock, name: str, owner: int, attempt: str | None) -> Held:
        held = Held(name, owner, self._tokens(), self._now(), attempt)
        lock.held[held.token] = held
        self._of.setdefault(owner, {})[held] = None
        return held

    # ---- giving back ------------------------------------------------------------------------------------------------

    def release(self, name: str, owner: int, token: int) -> Grants:
        """:raises NotHeld: it does not hold it with that token, or not any more."""
        lock = self._locks.get(name)
        held = None if lock is None else lock.held.get(token)
        if lock is None or held is None or held.owner != owner:
            raise NotHeld(where=name, data={"token": token})
        return self._give_back(held)

    def abandon(self, name: str, owner: int, attempt: str) -> tuple[Waiting | None, Grants]:
        """Give back what was asked for under this name, whether it was granted or not. Nothing, if it was not asked.

        :returns: also what waited.
        """
        known = self._known(owner, name, attempt)
        if isinstance(known, Waiting):
            self.withdraw(known)
            return known, []
        return None, [] if known is None else self._give_back(known)

    def withdraw(self, waiting: Waiting) -> None:
        """It does not wait any more. Nothing, if it does not."""
        lock = self._locks.get(waiting.name)
        if lock is not None and waiting in lock.waiting:
            del lock.waiting[waiting]
            self._forget(waiting)
            self._tidy(waiting.name, lock)

    def left(self, owner: int) -> Left:
        """A session has ended."""
        of = list(self._of.get(owner, ()))
        waited = [one for one in of if isinstance(one, Waiting)]
        for waiting in waited:
            self.withdraw(waiting)
        grants = [grant for one in of if isinstance(one, Held) for grant in self._give_back(one)]
        return Left(waited, grants, sorted({one.name for one in of}))

    def _give_back(self, held: Held) -> Grants:
        lock = self._locks[held.name]
        del lock.held[held.token]
        self._forget(held)
        grants: Grants = []
        while lock.waiting and len(lock.held) < lock.slots:
            waiting = next(iter(lock.waiting))
            del lock.waiting[waiting]
            self._forget(waiting)
            try:
                grants.append((waiting, self._grant(lock, held.name, waiting.owner, waiting.attempt)))
            except OSError:
                grants.append((waiting, None))
        self._tidy(held.name, lock)
        return grants

    def _forget(self, one: Held | Waiting) -> None:
        of = self._of[one.owner]
        del of[one]
        if not of:
            del self._of[one.owner]

    def _tidy(self, name: str, lock: _Lock) -> None:
        if not lock.held and not lock.waiting:
            del self._locks[name]

    # ---- looking ----------------------------------------------------------------------------------------------------

    def standing(self, name: str) -> Standing:
        lock = self._locks.get(name)
        if lock is None:
            return Standing(name, 0, (), 0)
        return Standing(name, lock.slots, tuple(lock.held.values()), len(lock.waiting))

    def all(self) -> Iterable[Standing]:
        """Those that are held, in the order of their names."""
        return [self.standing(name) for name in sorted(self._locks)]
