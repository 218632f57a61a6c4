"""What a realm keeps of its events, as its readers see it: the journal, up to what has been announced.

    contract(topic)   -> the contract, where it has events kept (``stream``, ``latest``); else ``None``
    append(…)         -> announce(event), in the order of the calls; or refuse(why)
    keep(…)           -> the same; at once, where nobody asked for an acknowledgement and nothing waits before it
    head(topic)       -> the newest event that has been announced

The journal commits a batch and then its events are announced one by one, so while they are, it has more than readers
have been told of. Whoever begins to read, or falls behind, begins at what was announced: so none is given twice, and
none is left out (:mod:`~hopsack_router.routing.following`).

Bounds: of announcements under way, the journal's queue; :data:`MAX_REMEMBERED` topics whose contract is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack.contracts import Catalogue, TopicContract
from hopsack.errors import RemoteError
from hopsack_router.streams import Draft, Found, Gone, Journal, Page, Position, Stored

LOG = Logger()

MAX_REMEMBERED = 10_000


def keeps_events(catalogue: Catalogue) -> bool:
    """Whether any contract asks for a journal."""
    return any(contract.stream or contract.keeps_latest for contract in catalogue.topics.values())


class _UnderWay:
    """A topic with events that are not announced yet. :ivar left: how many."""

    __slots__ = ("head", "left")

    def __init__(self, head: Position) -> None:
        self.head = head
        self.left = 0


class Keeping:
    """
    :param catalogue: says what is kept.
    :param journal: keeps it; it has been started.
    """

    def __init__(self, catalogue: Catalogue, journal: Journal) -> None:
        self.catalogue = catalogue
        self.journal = journal
        self._contracts: dict[str, TopicContract | None] = {}
        self._under_way: dict[str, _UnderWay] = {}

    def contract(self, topic: str) -> TopicContract | None:
        """How a topic is kept; ``None``: it is not. Asked for every event: one look-up."""
        try:
            return self._contracts[topic]
        except KeyError:
            pass
        if len(self._contracts) >= MAX_REMEMBERED:
            self._contracts.clear()
        contract = self.catalogue.topic(topic)
        kept = contract if contract is not None and (contract.stream or contract.keeps_latest) else None
        self._contracts[topic] = kept
        return kept

    def shows_newest(self, pattern: str, match: Any) -> bool:
        """Whether a pattern covers a topic that keeps newest values."""
        return any(contract.keeps_latest for contract in self.catalogue.topics_matching(pattern, match))

    def is_stream(self, topic: str) -> bool:
        contract = self.contract(topic)
        return contract is not None and contract.stream is not None

    # ---- writing ----------------------------------------------------------------------------------------------------

    def append(
        self,
        topic: str,
        draft: Draft,
        durable: bool,
        publisher: str | None,
        announce: Callable[[Stored], object],
        refuse: Callable[[RemoteError], object],
    ) -> None:
        """Keep an event of a stream.

        :param publisher: its authid, for its share of the idempotency keys.
        :param announce: is told when it is committed; ``repeated``: it had been told before.
        """
        under_way = self._under_way.get(topic)
        if under_way is None:
            under_way = self._under_way[topic] = _UnderWay(self.journal.head(topic))
        under_way.left += 1

        def committed(event: Stored) -> None:
            if event.position is not None and not event.repeated:
                under_way.head = event.position
            self._ended(topic, under_way)
            announce(event)

        def refused(failure: Failure) -> None:
            self._ended(topic, under_way)
            if not isinstance(failure.value, RemoteError):
                failure.raiseException()
            refuse(failure.value)

        self._tell(topic, self.journal.append(topic, draft, durable, publisher).addCallbacks(committed, refused))

    def _tell(self, topic: str, kept: Deferred[Any]) -> None:
        kept.addErrback(lambda failure: LOG.failure("an event of {topic} could not be told", failure, topic=topic))

    def _ended(self, topic: str, under_way: _UnderWay) -> None:
        under_way.left -= 1
        if not under_way.left:
            del self._under_way[topic]

    def keep(
        self,
        topic: str,
        draft: Draft,
        durable: bool,
        announce: Callable[[Stored], object],
        refuse: Callable[[RemoteError], object],
    ) -> None:
        """Keep the newest value of a key, of a topic that is no stream.

        :param announce: is told when it is the newest; if ``durable``, it is on disk.
        """
        if not durable:
            try:
                event = self.journal.keep_at_once(topic, draft)
            except RemoteError as error:
                refuse(error)
                return
            if event is not None:
                announce(event)
                return

        def refused(failure: Failure) -> None:
            if not isinstance(failure.value, RemoteError):
                failure.raiseException()
            refuse(failure.value)

        self._tell(topic, self.journal.keep(topic, draft, durable).addCallbacks(announce, refused))

    # ---- reading ----------------------------------------------------------------------------------------------------

    def head(self, topic: str) -> Position:
        """The newest event that has been announced."""
        committed = self.journal.head(topic)
        under_way = self._under_way.get(topic)
        if under_way is None:
            return committed
        return under_way.head if under_way.head.epoch == committed.epoch else Position(committed.epoch, 0)

    def where(self, topic: str, after: Position | None) -> Found:
        return self.journal.where(topic, after)

    def newest(self, topic: str) -> Sequence[Stored]:
        """The snapshot. Not of what is committed and will be announced later in this turn: it would come twice.

        Values outlive a journal that was lost: they are of an older epoch then.
        """
        head = self.head(topic)
        newest = self.journal.newest(topic)
        return [event for event in newest if event.epoch != head.epoch or event.offset <= head.offset]

    def before_newest(self, topic: str) -> str | None:
        """The position behind which the newest event stands alone, of a stream that keeps no newest values."""
        contract, head = self.contract(topic), self.head(topic)
        if contract is None or contract.stream is None or contract.keeps_latest or not head.offset:
            return None
        return str(Position(head.epoch, head.offset - 1))

    def topics(self) -> list[str]:
        """Topics of which something is, or was, kept; the longest unchanged first."""
        return self.journal.topics()

    def last_changed(self, most: int) -> list[str]:
        """So many of these, the last to change first."""
        return self.journal.last_changed(most)

    def read(self, topic: str, after: Position, limit: int, max_bytes: int) -> Deferred[Page | Gone]:
        return self.journal.read(topic, after, limit, max_bytes)
