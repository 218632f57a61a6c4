"""Whether streams have gone on unnoticed: the node is asked about those of which nothing was heard for a while.

An event that is lost on its way shows when the next one jumps; but not if there is no next one. So every other round,
every stream that stayed silent is asked about, in one question for all of them:

    -> hopsack.stream.behind {positions: {topic: position}, patterns?: [{topic, match}]}
    <- {topic: position}                         only those that stand elsewhere, which are read back then

``patterns`` are, at once, subscriptions whose grant did not say where their streams stand, so that what begins while
nobody is connected is read from its first event. And every other round those that know all of theirs: a stream that
began, and of which every event was lost, shows in no other way. Their positions are named with them, so that the node
answers with what is new. Where these are too many for one question, patterns take turns; one that has forgotten topics
is not asked about, since a new topic could not be told from those.

Without streams and patterns nothing is asked, and nothing while there is no link. Bounds: one question at a time, of
:data:`TOPICS` positions and :data:`PATTERNS` patterns; one that is not answered in :data:`ROUNDS` rounds is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from hopsack import session as on
from hopsack.errors import BrokenResult, HopsackError, RemoteError, UsageError
from hopsack.position import Position, parse
from hopsack.resuming import TOPICS, may_pass
from hopsack.values import read

if TYPE_CHECKING:
    from hopsack.link import Carrier
    from hopsack.subscription import Subscription

__all__ = ["BEHIND", "PATTERNS", "ROUNDS", "Abreast"]

BEHIND = "hopsack.stream.behind"
PATTERNS = 100
ROUNDS = 3


class Readers(Protocol):
    @property
    def readers(self) -> list[Subscription[Any]]: ...


class _Question(msgspec.Struct, eq=False):
    """What was asked. ``watching``: for whom all streams of their patterns. ``age``: in rounds."""

    ticket: on.Ticket
    positions: dict[str, Position] = {}
    watching: list[Subscription[Any]] = []
    age: int = 0

    def input(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"positions": {topic: str(at) for topic, at in self.positions.items()}}
        patterns = dict.fromkeys((reader.topic, reader.match) for reader in self.watching)
        return asked | ({"patterns": [{"topic": uri, "match": match} for uri, match in patterns]} if patterns else {})


class Abreast:
    """
    :param interval: seconds that a stream may be silent before it is asked about; 0: nothing is ever asked.
    :param chance: a random number from 0 to 1, for the jitter.
    """

    def __init__(self, readers: Readers, interval: float, chance: Callable[[], float]) -> None:
        self._readers = readers
        self._interval = interval
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._carrier: Carrier | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._question: _Question | None = None

    def begin(self, carrier: Carrier) -> None:
        """There is a link."""
        if self._interval > 0:
            self._carrier = carrier
            self._wait()

    def end(self) -> None:
        """It is gone, or this node does not know the question."""
        self._carrier = self._question = None
        if self._timer is not None:
            self._timer.cancel()

    def granted(self) -> None:
        """The node has granted a subscription."""
        if self._carrier is not None and self._question is None:
            self._ask({})

    def _wait(self) -> None:
        half = self._interval / 2 * (0.8 + 0.2 * self._chance())
        self._timer = self._loop.call_later(half, self._look)

    def _look(self) -> None:
        self._wait()
        if self._question is not None:
            self._question.age += 1
            if self._question.age < ROUNDS:
                return
        expecting, positions = self._turns()
        for reader in self._readers.readers:
            positions |= reader.quiet(positions, TOPICS - len(positions))
        self._ask(positions, expecting)

    def _turns(self) -> tuple[list[Subscription[Any]], dict[str, Position]]:
        """Whose patterns are asked about this time, who has waited for longest first; and where they are."""
        taken: list[Subscription[Any]] = []
        positions: dict[str, Position] = {}
        expecting = [reader for reader in self._readers.readers if reader.is_expecting]
        for reader in sorted(expecting, key=lambda one: -one.rounds):
            reader.rounds += 1
            if reader.rounds < 2 or len(taken) >= PATTERNS:
                continue
            known = {**reader.places, **positions}
            if len(known) <= TOPICS:
                reader.rounds, positions = 0, known
                taken.append(reader)
        return taken, positions

    def _ask(self, positions: dict[str, Position], expecting: Sequence[Subscription[Any]] = ()) -> None:
        self._question = None
        curious = [reader for reader in self._readers.readers if reader.is_curious]
        watching = [*expecting, *curious][:PATTERNS]
        if self._carrier is None or not (positions or watching):
            return
        ticket: asyncio.Future[Any] = self._loop.create_future()
        question = _Question(ticket, positions, watching)
        try:
            self._carrier.take(on.CallRequested(ticket, BEHIND, question.input()))
        except UsageError:
            return  # the session is ending
        self._question = question
        ticket.add_done_callback(partial(self._answered, question))

    def _answered(self, question: _Question, ticket: asyncio.Future[Any]) -> None:
        if question is not self._question or ticket.cancelled():
            return
        self._question = None
        try:
            answer: dict[str, str] = read(ticket.result(), dict[str, str], where=BEHIND, error=BrokenResult)
        except HopsackError as error:
            if isinstance(error, RemoteError) and not may_pass(error):
                self.end()
            return
        self._tell(question, {topic: at for topic, text in answer.items() if (at := parse(text)) is not None})

    def _tell(self, question: _Question, heads: Mapping[str, Position]) -> None:
        watching = set(map(id, question.watching))
        stands = {**question.positions, **heads}
        for reader in self._readers.readers:
            is_all = id(reader) in watching
            # What one of them has read, another may have lost.
            told = stands if is_all else heads
            reader.checked(question.positions, told, is_all, is_whole=len(heads) < TOPICS)
        if any(reader.is_curious for reader in self._readers.readers):
            self.granted()
