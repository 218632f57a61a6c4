"""Backlog, followers and journal together, as a link joins them: whatever the transport does, the reader can tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import assert_never

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hopsack_router.routing import backlog as held
from hopsack_router.routing import following as followed
from hopsack_router.routing.backlog import OVERHEAD, Backlog, Channel, Framed, Gap
from hopsack_router.routing.followers import Followers
from hopsack_router.routing.following import Following, Read, State
from hopsack_router.streams.events import Gone, Page, Stored
from hopsack_router.streams.position import Position

LOG, ORDERS = Channel("log.lines"), Channel("orders")
CHAT = Channel("chat.room.a")
STREAMS = [LOG, ORDERS]
BUDGET = 12 * (OVERHEAD + 100)
BUFFER = 250
"""Bytes at which the transport's buffer is full."""


class Journal:
    """One stream: a batch is committed whole and announced one by one."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.committed = self.announced = 0
        self.first = 1

    def at(self, offset: int) -> Position:
        return Position("e", offset)

    def stored(self, offset: int) -> Stored:
        return Stored(topic=self.topic, epoch="e", offset=offset, time=0.0, publication=offset, data=b"1")

    def read(self, after: Position) -> Page | Gone:
        if after.offset < self.first - 1:
            oldest = self.at(self.first) if self.first <= self.committed else None
            return Gone("trimmed", oldest, self.at(self.committed))
        last = min(after.offset + 8, self.committed)
        events = tuple(self.stored(offset) for offset in range(after.offset + 1, last + 1))
        return Page(events, last == self.committed, None, self.at(last))


class Link:
    """What ``Link`` does, without a socket."""

    def __init__(self) -> None:
        self.journals = {channel: Journal(channel.topic) for channel in STREAMS}
        self.backlog = Backlog(BUDGET)
        self.followers = Followers()
        self.reads: deque[tuple[Channel, Following, Read]] = deque()
        self.pending: list[str] = []
        self.wire: list[str] = []
        self.buffered = 0
        self.paused = self.closed = False

    # ---- what is to be sent ----

    def answer(self, text: str) -> None:
        if self.paused:
            self.obey(self.backlog.answer(frame(text)))
        else:
            self.pending.append(text)

    def live(self, channel: Channel, text: str) -> None:
        if self.paused:
            self.obey(self.backlog.live(Framed(channel, frame(text))))
        else:
            self.pending.append(text)

    def stream(self, channel: Channel, event: Stored) -> None:
        following = self.followers.of(channel)
        assert event.position is not None
        if isinstance(following, Following):
            self.perform(channel, following.committed(event.position))
        elif self.paused:
            self.obey(self.backlog.stream(channel, event.position, frame(text_of(event))))
        else:
            self.pending.append(text_of(event))

    def subscribe(self, channel: Channel, after: int) -> None:
        journal = self.journals[channel]
        following = Following(journal.at(journal.announced))
        self.followers.begin(channel, following)
        found = None if after >= journal.first - 1 else Gone("trimmed", None, journal.at(journal.announced))
        self.perform(channel, following.asked(journal.at(after), found, None))

    # ---- effects ----

    def obey(self, effects: Sequence[held.Effect]) -> None:
        for effect in effects:
            match effect:
                case held.Follow(channel, first):
                    journal = self.journals[channel]
                    following = Following(journal.at(journal.announced))
                    self.followers.begin(channel, following)
                    self.perform(channel, following.fell_behind(first))
                case held.Close():
                    self.closed = True
                    self.followers.clear()
                case _:
                    assert_never(effect)

    def perform(self, channel: Channel, effects: Sequence[followed.Effect]) -> None:
        for effect in effects:
            match effect:
                case followed.Answer(position):
                    self.answer(f"begin {channel.topic} {position.offset}")
                case followed.Read():
                    self.read(channel, effect)
                case followed.Deliver(events):
                    assert not self.paused
                    self.pending.extend(map(text_of, events))
                case followed.TellGap(_, missed):
                    self.answer(f"gap {channel.topic} {missed}")
                case followed.GoLive():
                    self.followers.end(channel)
                case followed.GiveUp():
                    raise AssertionError
                case _:
                    assert_never(effect)

    def read(self, channel: Channel, read: Read) -> None:
        following = self.followers.of(channel)
        assert isinstance(following, Following)
        self.reads.append((channel, following, read))

    def page_came(self) -> None:
        channel, following, read = self.reads.popleft()
        self.perform(channel, following.page(self.journals[channel].read(read.after)))

    # ---- the transport ----

    def flush(self) -> None:
        if self.paused or self.closed:
            return
        pending, self.pending = self.pending, []
        self.write(pending)
        while not self.paused and (pieces := self.backlog.drain(100)):
            self.write([told(piece) for piece in pieces])
        if not self.paused:
            turn = self.followers.room()
            if turn is not None:
                self.perform(*turn)

    def write(self, texts: Sequence[str]) -> None:
        self.wire.extend(texts)
        self.buffered += 100 * len(texts)
        if self.buffered > BUFFER:
            self.paused = True
            self.backlog.pause(0.0)
            self.followers.full()

    def sent(self, size: int) -> None:
        self.buffered = max(self.buffered - size, 0)
        if not self.buffered and self.paused:
            self.paused = False
            self.flush()


def frame(text: str) -> bytes:
    return text.encode().ljust(100)


def text_of(event: Stored) -> str:
    return f"event {event.topic} {event.offset}"


def told(piece: bytes | Gap) -> str:
    return f"gap {piece.channel.topic} {piece.dropped}" if isinstance(piece, Gap) else piece.decode().rstrip()


# ---- turns -----------------------------------------------------------------------------------------------------------


def behind(last: int, head: int) -> Following:
    following = Following(Position("e", head))
    following.fell_behind(Position("e", last + 1))
    return following


def page(journal: Journal, after: int) -> Page | Gone:
    return journal.read(journal.at(after))


def two_behind() -> tuple[Followers, Journal]:
    followers, journal = Followers(), Journal("any")
    journal.committed = 12
    for channel in STREAMS:
        followers.begin(channel, behind(0, 10))
    return followers, journal


def test_one_page_is_under_way_at_a_time_and_each_stream_has_its_turn() -> None:
    followers, journal = two_behind()
    log = followers.of(LOG)
    assert isinstance(log, Following)

    assert followers.room() == (LOG, [Read(Position("e", 0))])
    assert followers.room() == (LOG, [])
    assert isinstance(log.page(page(journal, 0))[0], followed.Deliver)
    assert followers.room() == (ORDERS, [Read(Position("e", 0))])


def test_a_page_in_hand_comes_before_another_is_read() -> None:
    followers, journal = two_behind()
    log = followers.of(LOG)
    assert isinstance(log, Following)

    followers.room()
    followers.full()
    assert log.page(page(journal, 0)) == []
    turn = followers.room()
    assert turn is not None
    assert turn[0] == LOG
    assert followers.room() == (ORDERS, [Read(Position("e", 0))])


def test_who_has_nothing_to_read_is_passed_over() -> None:
    followers, journal = two_behind()
    log = followers.of(LOG)
    assert isinstance(log, Following)
    for after in (0, 8):
        log.room()
        log.page(page(journal, after))
    assert log.state is State.AHEAD

    assert followers.room() == (ORDERS, [Read(Position("e", 0))])


def test_who_ends_gives_up_its_turn() -> None:
    followers, journal = two_behind()
    log = followers.of(LOG)
    assert isinstance(log, Following)

    followers.room()
    followers.end(LOG)
    assert log.page(page(journal, 0)) == []
    assert followers.of(LOG) is None
    assert followers.room() == (ORDERS, [Read(Position("e", 0))])

    followers.clear()
    assert len(followers) == 0
    assert followers.room() is None


# ---- whatever happens ------------------------------------------------------------------------------------------------


class AnyLink(RuleBasedStateMachine):
    """A reader of two streams, a live topic and answers; its transport takes as much as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.link = Link()
        self.chats = self.answers = 0
        for channel in STREAMS:
            self.publish(channel, count=9, before=9)

    @precondition(lambda self: not self.link.closed)
    @rule(channel=st.sampled_from(STREAMS), count=st.integers(1, 15), before=st.integers(0, 9))
    def publish(self, channel: Channel, count: int, before: int) -> None:
        """A batch is committed; after some of its announcements a page comes."""
        journal = self.link.journals[channel]
        journal.committed += count
        for number in range(count):
            if number == before and self.link.reads:
                self.link.page_came()
            journal.announced += 1
            self.link.stream(channel, journal.stored(journal.announced))

    @precondition(lambda self: not self.link.closed)
    @rule(count=st.integers(1, 9))
    def chat(self, count: int) -> None:
        for _ in range(count):
            self.chats += 1
            self.link.live(CHAT, f"event {CHAT.topic} {self.chats}")

    @precondition(lambda self: not self.link.closed)
    @rule()
    def answer(self) -> None:
        self.answers += 1
        self.link.answer(f"answer . {self.answers}")

    @rule(channel=st.sampled_from(STREAMS), count=st.integers(1, 4))
    def trim(self, channel: Channel, count: int) -> None:
        journal = self.link.journals[channel]
        journal.first = min(journal.first + count, journal.committed + 1)

    @precondition(lambda self: not self.link.closed)
    @rule(channel=st.sampled_from(STREAMS))
    def come_back(self, channel: Channel) -> None:
        """Unsubscribe, and resume where the journal still reaches back to, or a little before."""
        self.link.followers.end(channel)
        self.link.backlog.left(channel)
        self.link.answer(f"left {channel.topic} 0")
        journal = self.link.journals[channel]
        self.link.subscribe(channel, max(journal.first - 1, journal.announced - 4))

    @rule(turns=st.integers(1, 5), size=st.sampled_from([0, 50, 1000]), pages=st.booleans())
    def go_on(self, turns: int, size: int, pages: bool) -> None:
        for _ in range(turns):
            self.link.flush()
            self.link.sent(size)
            if self.link.reads and pages:
                self.link.page_came()

    @invariant()
    def bounded(self) -> None:
        link = self.link
        assert link.backlog.bytes <= BUDGET
        under_way = [one for _, one, _ in link.reads if one.state is State.WAITING_FOR_PAGE]
        in_hand = [one for channel in STREAMS if (one := link.followers.of(channel)) is not None and one.holds]
        assert len(under_way) + len(in_hand) <= 1

    @invariant()
    def the_reader_can_tell(self) -> None:
        seen = {LOG.topic: 0, ORDERS.topic: 0, CHAT.topic: 0, ".": 0}
        away: set[str] = set()
        for text in self.link.wire:
            kind, topic, number = text.split()
            match kind:
                case "left":
                    away.add(topic)
                case "begin":
                    away.discard(topic)
                    seen[topic] = int(number)
                case "gap":
                    seen[topic] += int(number)
                case _:
                    assert topic not in away, "an event of a subscription that has ended"
                    seen[topic] += 1
                    assert int(number) == seen[topic], "a hole, or twice the same"
        self.seen = seen

    def teardown(self) -> None:
        link = self.link
        for _ in range(300):
            link.sent(1 << 20)
            if link.reads:
                link.page_came()
            link.flush()
        self.the_reader_can_tell()
        if link.closed:
            return
        assert not link.followers
        assert self.seen["."] == self.answers
        assert self.seen[CHAT.topic] == self.chats
        assert all(self.seen[channel.topic] == link.journals[channel].announced for channel in STREAMS)


AnyLink.TestCase.settings = settings(max_examples=120, stateful_step_count=80, deadline=None)
TestAnyLink = AnyLink.TestCase
