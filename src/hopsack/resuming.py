"""What one reader has read of the streams behind its subscription: each event once, in order, or told as gone.

Without I/O. A subscription feeds and obeys it; what goes in, and what comes out:

    granted   the node gave the subscription          ->   Deliver   give this event to the reader
    came      an event                                     Read      ask for a page of the journal
    paged     a page of the journal, or why not            Recovery  tell how it went on
    drained   the reader has room again
    skipped   the node tells that some are gone
    checked   where the node says that streams stand         Dropped   there was no room for an event
    lost      the link is gone

Each topic has a place, the last event given to the reader, and is in one stage:

           granted without what it lacks, a jump of the offset, no room, or the node says that it has gone on
    LIVE ---------------------------------------------------------------> DUE <-------------.
      ^                                                                    | a read begins   | there is more,
      |                 the page was the last, and what was held follows   v                 | or no room
      `---------------------------------------------------------------- READING -------------'

The journal is the buffer. What comes live while a topic is DUE is dropped, for it stands in the journal that will be
read; only what comes while a page is on its way is held. So a reader that is slow costs its own queue and nothing
else, and it loses nothing as long as the journal reaches back.

A topic that may not be read back, which the reader is told, goes on live. What its queue has no room for is gone then:
a topic that is DUE waits for room, and the gap is told in place of a page. The next link is asked again.

Where the door brings what was missed by itself (``asked``, the raw door), a topic stays LIVE; what it has already is
dropped by its offset.

Bounds: :data:`TOPICS` places, of which the one silent for longest is forgotten; :data:`READS` pages on their way, of
:data:`PAGE` events; :data:`HELD` events held for each of them, and the journal is read again for those beyond. After
:data:`ATTEMPTS` reads that do not bring what a jump left out, the gap is told and reading goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from hopsack.errors import HopsackError, RemoteError
from hopsack.position import Position, parse
from hopsack.session import Grant, Payload, Publication

__all__ = [
    "ATTEMPTS",
    "HELD",
    "PAGE",
    "READS",
    "TOPICS",
    "Deliver",
    "Dropped",
    "Effect",
    "Page",
    "Read",
    "Recovery",
    "Resuming",
]

TOPICS = 1_000
READS = 4
PAGE = 500
HELD = 1_000
ATTEMPTS = 5

_NO_SUCH = frozenset({"hopsack.no_callee", "hopsack.undeclared"})
"""A node without journals has no procedure to read them: waiting does not help."""


def may_pass(error: RemoteError) -> bool:
    """Whether a refusal to read streams back is one that waiting may change."""
    return error.retry == "later" and error.code not in _NO_SUCH


class Recovery(msgspec.Struct, frozen=True):
    """How a subscription went on: after a reconnect, after ``after=``, or where events were missing in between.

    :ivar topic: as subscribed; of a pattern that lost events, the topic that lost them.
    :ivar recovered: everything missed follows, in order, once.
    :ivar reason: why not. ``trimmed``: the stream no longer keeps what was missed. ``epoch``: it began anew. ``gap``:
        events stayed missing though they were asked for. ``live``: no stream, as far as is known. ``snapshot``: no
        stream either, and the newest values follow. Else the code of an error.
    :ivar missed: events that are gone; 0 when recovered, ``None`` where nobody can know.
    """

    topic: str
    recovered: bool
    reason: str | None = None
    missed: int | None = None


class Deliver(msgspec.Struct, frozen=True):
    publication: Publication
    payload: Payload


class Read(msgspec.Struct, frozen=True):
    """Ask for the events of ``topic`` after a position, and hand in the answer with :meth:`Resuming.paged`.

    :ivar attempt: how often this was tried in vain: wait a little longer each time.
    """

    topic: str
    after: Position
    limit: int
    generation: int
    attempt: int = 0


class Dropped(msgspec.Struct, frozen=True):
    """So many events found no room, and may not be read back. They are told as a gap when there is room."""

    count: int


Effect = Deliver | Read | Recovery | Dropped


class Page(msgspec.Struct, frozen=True):
    """What the journal has after a position.

    :ivar recovered: nothing is missing between that position and the first event; else ``reason`` says why.
    :ivar position: of the last event, or where reading starts if there is none.
    :ivar end: nothing is committed after these now.
    """

    events: tuple[tuple[Publication, Payload], ...]
    position: Position | None
    recovered: bool
    reason: str | None
    end: bool


class _Stage(Enum):
    LIVE = "live"
    DUE = "due"
    READING = "reading"


class _Place:
    """How far one topic is read. ``loose``: the next event may be further on, what lies between was told or left out.

    ``hole``: the offset of the event that jumped, until it is reached. ``spilled``: the last event that came and was
    not held. ``is_kept``: as far as is known, this link's node has a journal of it, which may be read. ``is_quiet``:
    its last event was the last one already when somebody looked. ``refusals``: so often was the node too busy to read
    it back.
    """

    __slots__ = ("at", "attempts", "held", "hole", "is_kept", "is_quiet", "loose", "refusals", "spilled", "stage")

    def __init__(self, at: Position, stage: _Stage = _Stage.LIVE) -> None:
        self.at = at
        self.stage = stage
        self.loose = False
        self.is_kept = True
        self.is_quiet = False
        self.attempts = self.refusals = 0
        self.hole = 0
        self.held: list[tuple[Publication, Payload]] = []
        self.spilled: Position | None = None


class Resuming:
    """One reader's places.

    :param places: what the program itself resumes from.
    :param is_keen: the newest values are all it wants: each grant begins with them, and nothing is resumed.
    :param limit: events that the reader has room for in all; ``room`` is always how many it has room for now.
    :ivar is_thinned: a rate limit leaves events out, so offsets may jump.
    :ivar due: topics of which a page is to be read when there is room.
    :ivar has_forgotten: there are topics whose place was forgotten.
    :ivar is_curious: the node has not said where the streams stand.
    """

    def __init__(
        self,
        topic: str,
        places: Mapping[str, Position] | None = None,
        *,
        is_keen: bool = False,
        limit: int,
    ) -> None:
        self.topic = topic
        self.is_keen = is_keen
        self.is_thinned = False
        self._places = {uri: _Place(at) for uri, at in (places or {}).items()}
        self.due: dict[str, None] = {}
        self._reading = 0
        self._generation = 0
        self._is_granted = False
        self._step = min(PAGE, limit)
        self._waits = bool(self._places)
        """It is to be told how the next grant went."""
        self._undecided: set[str] = set()
        """Topics whose first page is still to come."""
        self._had: dict[str, Position] = {}
        """Places of before a snapshot."""
        self._takes_newest = False
        self._knows_all = False
        """Every stream that matched at the last grant has its place: one without is new since."""
        self.has_forgotten = False
        self.is_curious = False

    @property
    def knows_all(self) -> bool:
        """Whether a topic without a place here is new, and is to be read from its first event."""
        return self._knows_all and not self.is_keen

    @property
    def is_expecting(self) -> bool:
        """Whether a stream that the node names, and that has no place here, has begun meanwhile."""
        return self._is_granted and self._knows_all and not (self.is_curious or self.is_thinned)

    @property
    def wants_newest(self) -> bool:
        """Whether a subscription is to begin with the newest values, where there are some."""
        return self.is_keen or not self._places

    @property
    def takes_newest(self) -> bool:
        """Whether the newest values that come now are for this reader."""
        return self.is_keen or self._takes_newest

    @property
    def places(self) -> dict[str, Position]:
        """The last event of each topic."""
        return {topic: place.at for topic, place in self._places.items()}

    @property
    def after(self) -> dict[str, Position]:
        """What the door may resume from by itself. Whoever is behind reads back at its own pace."""
        if self.is_keen:
            return {}
        return {topic: place.at for topic, place in self._places.items() if place.stage is _Stage.LIVE}

    # ---- the link ----------------------------------------------------------------------------------------------------

    def lost(self) -> None:
        self._waits = self._waits or self._is_granted
        self._generation += 1
        self._reading = 0
        self._is_granted = False
        self._undecided.clear()
        for topic, place in self._places.items():
            place.attempts = place.refusals = place.hole = 0
            place.is_kept = True
            place.is_quiet = False
            place.spilled = None
            if place.stage is _Stage.READING:
                place.stage = _Stage.DUE
                self.due[topic] = None

    def granted(self, grant: Grant | None, asked: Mapping[str, Position], room: int) -> list[Effect]:
        """
        :param grant: what the node says about the streams, if it says anything.
        :param asked: what it was asked to resume from.
        """
        self._generation += 1
        self._reading = 0
        is_renewed, self._is_granted = self._is_granted, True
        has_newest = grant is not None and grant.snapshot is not None
        if self.is_keen:
            self._places.clear()
            self.due.clear()
        self._had = self.places
        self._takes_newest = has_newest and not is_renewed and not self._places
        effects = self._resume(grant, asked)
        if effects:
            self._is_told()
        elif self._waits and not self._undecided:
            effects.append(self._verdict(grant, has_newest))
            self._is_told()
        self._begin(grant)
        return effects + self._reads(room)

    def _is_told(self) -> None:
        self._waits = False
        self._undecided.clear()

    def _resume(self, grant: Grant | None, asked: Mapping[str, Position]) -> list[Effect]:
        told: list[Effect] = []
        heads = (grant.positions if grant is not None else None) or {}
        for topic, place in self._places.items():
            start = asked.get(topic)
            if place.stage is _Stage.LIVE and start and start.epoch == place.at.epoch and start <= place.at:
                told += self._resumed(topic, place, start, heads.get(topic), grant)
            else:
                place.is_kept = True
                self._fall_behind(topic, place)
                if self._waits:
                    self._undecided.add(topic)
        return told

    def _resumed(
        self, topic: str, place: _Place, start: Position, head: Position | None, grant: Grant | None
    ) -> list[Effect]:
        """The door resumes from ``start`` by itself, as far as it says in ``head`` and ``grant``."""
        if grant is not None and grant.recovered:
            return []
        missed, otherwise = None, "live"
        if head is None:
            place.loose = True
        elif head.epoch == place.at.epoch:
            missed, otherwise = head.offset - place.at.offset, "trimmed"
            if missed <= 0:
                return []
        else:
            otherwise = "epoch"
        place.at = head or place.at
        reason = grant.reason if grant is not None else None
        self._takes_newest = self._takes_newest or (grant is not None and grant.snapshot is not None)
        return [Recovery(topic, False, reason or otherwise, missed)]

    def _begin(self, grant: Grant | None) -> None:
        """Streams that have no place yet begin where they are; one that was not there before, at its beginning."""
        heads = grant.positions if grant is not None else None
        is_told = heads is not None or (grant is not None and grant.snapshot is None)
        self.is_curious = not is_told and self.topic not in self._places
        for topic, head in (heads or {}).items():
            self._enter(topic, head, self.knows_all)
        if is_told:
            self._knows_all = heads is not None and len(heads) < TOPICS and not self.has_forgotten

    def _enter(self, topic: str, head: Position, is_new: bool) -> list[Effect]:
        """A stream stands at ``head``. :param is_new: it has begun since all were known."""
        if topic in self._places:
            return []
        is_new = is_new and head.offset > 0
        place = _Place(Position(head.epoch, 0) if is_new else head)
        forgotten = self._note(topic, place)
        if is_new:
            self._fall_behind(topic, place)
        return forgotten

    def _verdict(self, grant: Grant | None, has_newest: bool) -> Recovery:
        is_begun = self._knows_all and grant is not None and grant.recovered and bool(grant.positions)
        if (self._places or is_begun) and not self.is_keen:
            return Recovery(self.topic, True, None, 0)
        return Recovery(self.topic, False, "snapshot" if has_newest else "live", None)

    # ---- events ------------------------------------------------------------------------------------------------------

    def came(self, publication: Publication, payload: Payload, room: int) -> list[Effect]:
        """An event with a position. What has none is no business of this machine."""
        position = parse(publication.position)
        if position is None:
            return [Deliver(publication, payload)]
        topic = publication.topic
        if publication.retained:
            return self._newest(publication, payload, position)
        place = self._places.get(topic)
        if place is None:
            place = _Place(Position(position.epoch, 0 if self._knows_all else position.offset - 1))
            forgotten = self._note(topic, place)
            return forgotten + self._live(topic, place, position, publication, payload, room)
        if place.stage is _Stage.LIVE:
            return self._live(topic, place, position, publication, payload, room)
        if place.stage is _Stage.READING and len(place.held) < HELD:
            place.held.append((publication, payload))
            return []
        return self._pass_over(place, position)

    def _pass_over(self, place: _Place, position: Position) -> list[Effect]:
        """An event comes while there is no room: it stays in the journal, or is gone."""
        last = place.spilled or place.at
        count = position.offset - (last.offset if position.epoch == last.epoch else 0)
        if count <= 0:
            return []
        place.spilled = position
        return [] if place.is_kept else [Dropped(count)]

    def _newest(self, publication: Publication, payload: Payload, position: Position) -> list[Effect]:
        had = self._had.get(publication.topic)
        is_old = had is not None and had.epoch == position.epoch and position <= had
        wanted = self.is_keen or (self._takes_newest and not is_old)
        return [Deliver(publication, payload)] if wanted else []

    def _live(
        self, topic: str, place: _Place, position: Position, publication: Publication, payload: Payload, room: int
    ) -> list[Effect]:
        at = place.at
        is_same = position.epoch == at.epoch
        skipped = position.offset - 1 - (at.offset if is_same else 0)
        if is_same and skipped < 0:
            return []
        told: list[Effect] = []
        if (skipped or not is_same) and not (is_same and (place.loose or self.is_thinned)):
            if skipped and not place.loose and place.is_kept and place.attempts < ATTEMPTS:
                return self._jumped(topic, place, position, room)
            told.append(Recovery(topic, False, "gap" if is_same else "epoch", skipped if is_same else None))
        if room <= 0 and not self.is_thinned:
            if told or not place.is_kept:
                # What lies before it is told.
                place.at = Position(position.epoch, position.offset - 1)
                place.loose = place.loose and place.is_kept
            self._fall_behind(topic, place)
            return [*told, *self._pass_over(place, position)]
        place.at = position
        place.loose = place.is_quiet = False
        if place.hole and position.offset >= place.hole:
            place.attempts = place.hole = 0
        if len(self._places) > 1:
            self._places[topic] = self._places.pop(topic)
        return [*told, Deliver(publication, payload)]

    def _jumped(self, topic: str, place: _Place, position: Position, room: int) -> list[Effect]:
        place.attempts += 1
        place.hole = position.offset
        self._fall_behind(topic, place)
        return self._reads(room)

    def skipped(self, topic: str) -> None:
        """The node has told that events of a topic are gone."""
        place = self._places.get(topic)
        if place is not None:
            place.loose = True

    def loosen(self) -> None:
        """A rate limit ended: the next event of each topic may be further on."""
        self.is_thinned = False
        for place in self._places.values():
            place.loose = True

    # ---- an event that was lost, and none came after it --------------------------------------------------------------

    def quiet(self, known: Mapping[str, Position], most: int) -> dict[str, Position]:
        """Topics whose last event was the last one already when this was asked before.

        :param known: what is asked about already. :param most: so many more.
        """
        found: dict[str, Position] = {}
        if not self._is_granted or self.is_thinned:
            return found
        for topic, place in self._places.items():
            if not self._reads_back(place):
                continue
            is_asked = known.get(topic) == place.at
            if place.is_quiet and topic not in known and len(found) < most:
                is_asked = True
                found[topic] = place.at
            place.is_quiet = not is_asked
        return found

    def checked(
        self,
        asked: Mapping[str, Position],
        heads: Mapping[str, Position],
        is_all: bool,
        room: int,
        *,
        is_whole: bool = True,
    ) -> list[Effect]:
        """Where the node says that streams stand; who has heard something meanwhile is not meant.

        :param asked: topics that were named, of this subscription or another.
        :param heads: also of those among them that stand where they were.
        :param is_all: it was asked about every stream of this subscription. :param is_whole: it has told them all.
        """
        if not self._is_granted:
            return []
        effects: list[Effect] = []
        # Who holds newest values was given those of before.
        is_new = self._knows_all and not (self.is_curious and self.is_keen)
        for topic, head in heads.items():
            place = self._places.get(topic)
            if place is None:
                if is_all and (is_new or topic not in asked):
                    effects += self._enter(topic, head, is_new and self._knows_all)
            elif asked.get(topic) == place.at != head and self._reads_back(place):
                self._fall_behind(topic, place)
        if is_all and self.is_curious:
            self.is_curious = False
            self._knows_all = is_whole and not self.has_forgotten
        return effects + self._reads(room)

    def _reads_back(self, place: _Place) -> bool:
        """Where it is behind, a page would help. What may not be read back would be asked about again and again."""
        return place.stage is _Stage.LIVE and place.is_kept and not self.is_thinned

    # ---- reading back ------------------------------------------------------------------------------------------------

    def drained(self, room: int) -> list[Effect]:
        """The reader has taken events."""
        return self._reads(room)

    def _fall_behind(self, topic: str, place: _Place) -> None:
        place.stage = _Stage.DUE
        place.held.clear()
        self.due[topic] = None

    def _reads(self, room: int) -> list[Effect]:
        effects: list[Effect] = []
        while self.due and self._is_granted and self._reading < READS:
            if room - self._reading * self._step < self._step:
                break
            topic = next(iter(self.due))
            del self.due[topic]
            place = self._places[topic]
            if not place.is_kept:
                effects += self._give_up(topic, place)
                continue
            place.stage = _Stage.READING
            # What came before this is asked stands in the journal.
            place.held.clear()
            place.spilled = None
            self._reading += 1
            effects.append(Read(topic, place.at, self._step, self._generation, max(place.attempts - 1, place.refusals)))
        return effects

    def _give_up(self, topic: str, place: _Place) -> list[Effect]:
        """There is room again, and what had none may not be read back. A page of room at once keeps the gaps few."""
        at, last = place.at, place.spilled
        place.stage, place.spilled = _Stage.LIVE, None
        if last is None or last == at:
            return []
        place.at = last
        is_same = last.epoch == at.epoch
        return [Recovery(topic, False, "gap" if is_same else "epoch", last.offset - at.offset if is_same else None)]

    def paged(self, read: Read, page: Page | HopsackError, room: int) -> list[Effect]:
        """The answer to ``read``, or why there is none."""
        if read.generation != self._generation:
            return []
        self._reading -= 1
        place = self._places.get(read.topic)
        if place is None or place.stage is not _Stage.READING:
            return self._reads(room)
        if not isinstance(page, Page):
            effects = self._unread(read.topic, place, page, room)
        else:
            place.refusals = 0
            if not place.hole:
                place.attempts = 0
            effects = self._restart(read.topic, place, page)
            effects += self._decided(read.topic)
            effects += self._page(read.topic, place, page, room)
        given = sum(type(effect) is Deliver for effect in effects)
        return effects + self._reads(room - given)

    def _restart(self, topic: str, place: _Place, page: Page) -> list[Effect]:
        """The journal does not reach back to the place: go on from its oldest event."""
        if page.recovered:
            return []
        first = parse(page.events[0][0].position) if page.events else None
        start = Position(first.epoch, first.offset - 1) if first is not None else page.position
        if start is None:
            place.loose = True
            missed = None
        else:
            missed = max(0, start.offset - place.at.offset) if start.epoch == place.at.epoch else None
            place.at = start
        place.attempts = place.hole = 0
        self._is_told()
        return [Recovery(topic, False, page.reason or "trimmed", missed)]

    def _decided(self, topic: str) -> list[Effect]:
        """The first pages of all topics have come, and nothing was gone in the last of them."""
        if topic not in self._undecided:
            return []
        self._undecided.discard(topic)
        if self._undecided:
            return []
        self._is_told()
        return [Recovery(self.topic, True, None, 0)]

    def _page(self, topic: str, place: _Place, page: Page, room: int) -> list[Effect]:
        effects: list[Effect] = []
        held, spilled = place.held, place.spilled
        place.held, place.spilled = [], None
        place.stage = _Stage.LIVE
        is_over = page.end or not page.events
        for publication, payload in (*page.events, *(held if is_over else ())):
            position = parse(publication.position)
            if position is None:
                continue
            if place.stage is _Stage.LIVE:
                given = self._live(topic, place, position, publication, payload, room)
                room -= sum(type(effect) is Deliver for effect in given)
                effects += given
            elif not place.is_kept:
                effects += self._pass_over(place, position)
        is_live = place.stage is _Stage.LIVE
        if spilled is not None and (is_live or not place.is_kept):
            effects += self._pass_over(place, spilled)
        if is_live and (spilled is not None or not is_over):
            self._fall_behind(topic, place)
        return effects

    def _unread(self, topic: str, place: _Place, error: HopsackError, room: int) -> list[Effect]:
        if not isinstance(error, RemoteError):
            # The link is going: the next one reads.
            self._fall_behind(topic, place)
            self._is_granted = False
            return []
        if may_pass(error):
            place.refusals += 1
            self._fall_behind(topic, place)
            return []
        place.is_kept = False
        place.loose = True
        self._is_told()
        live = self._page(topic, place, Page((), None, True, None, True), room)
        return [Recovery(topic, False, error.code, None), *live]

    def _note(self, topic: str, place: _Place) -> list[Effect]:
        self._places[topic] = place
        if len(self._places) <= TOPICS:
            return []
        self.has_forgotten = True
        self._knows_all = False
        oldest = next((uri for uri, one in self._places.items() if one.stage is _Stage.LIVE), next(iter(self._places)))
        was_behind = self._places.pop(oldest).stage is not _Stage.LIVE
        self.due.pop(oldest, None)
        return [Recovery(oldest, False, "gap", None)] if was_behind else []
