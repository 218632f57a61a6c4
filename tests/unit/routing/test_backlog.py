"""What a paused link holds: nothing beyond its budget, no hole without a gap, nothing overtakes an answer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hopsack_router.routing.backlog import OVERHEAD, Backlog, Channel, Close, Effect, Follow, Framed, Gap, Policy, Why

FRAME = 1000
EVERYTHING = 1 << 30
CHAT = Channel("chat.room.a")
LOAD = Channel("host.metrics")
LOG = Channel("log.lines")


def paused(frames: int) -> Backlog:
    """A backlog that has room for this many frames of 1000 bytes."""
    backlog = Backlog(budget=frames * (FRAME + OVERHEAD))
    backlog.pause(100.0)
    return backlog


def frame(text: str) -> bytes:
    return text.encode().ljust(FRAME, b".")


def texts(written: Sequence[bytes | Gap]) -> list[str | Gap]:
    return [piece if isinstance(piece, Gap) else piece.decode().rstrip(".") for piece in written]


def drained(backlog: Backlog) -> list[str | Gap]:
    return texts(backlog.drain(EVERYTHING))


# ---- each policy -----------------------------------------------------------------------------------------------------


def test_what_fits_is_written_in_the_order_it_came() -> None:
    backlog = paused(5)

    backlog.live(Framed(CHAT, frame("c1")))
    backlog.answer(frame("a1"))
    backlog.stream(LOG, 1, frame("s1"))
    backlog.latest(LOAD, "web", frame("v1"))
    backlog.live(Framed(CHAT, frame("c2")))

    assert drained(backlog) == ["c1", "a1", "s1", "v1", "c2"]
    assert backlog.bytes == 0


def test_the_oldest_live_events_give_way_and_one_gap_stands_where_they_were() -> None:
    backlog = paused(4)

    for number in range(1, 10):
        assert backlog.live(Framed(CHAT, frame(f"c{number}"))) == []

    assert drained(backlog) == [Gap(CHAT, 6), "c7", "c8", "c9"]


def test_a_gap_is_told_per_channel() -> None:
    backlog = paused(3)
    other = Channel("chat.room.b")

    for number in range(1, 4):
        backlog.live(Framed(CHAT, frame(f"a{number}")))
        backlog.live(Framed(other, frame(f"b{number}")))

    assert backlog.lag().dropped == {"chat.room.a": 2, "chat.room.b": 2}
    assert drained(backlog) == [Gap(CHAT, 2), Gap(other, 2), "a3", "b3"]


def test_a_hole_behind_an_answer_is_told_behind_it() -> None:
    """The answer may be that of a new subscription: told before it, the gap would be nobody's."""
    backlog = paused(3)

    backlog.live(Framed(CHAT, frame("old")))
    backlog.answer(frame("subscribed"))
    backlog.live(Framed(CHAT, frame("new")))
    backlog.live(Framed(CHAT, frame("newer")))

    assert drained(backlog) == [Gap(CHAT, 1), "subscribed", Gap(CHAT, 1), "newer"]


def test_a_newer_value_stands_in_the_place_of_the_older_one() -> None:
    backlog = paused(3)

    backlog.latest(LOAD, "web", frame("web 1"))
    backlog.latest(LOAD, "db", frame("db 1"))
    for number in range(2, 1000):
        assert backlog.latest(LOAD, "web", frame(f"web {number}")) == []

    assert backlog.policy is Policy.NEWEST
    assert drained(backlog) == ["web 999", "db 1"]


def test_a_newer_value_does_not_overtake_an_answer() -> None:
    backlog = paused(4)

    backlog.latest(LOAD, "web", frame("before"))
    backlog.answer(frame("subscribed"))
    backlog.latest(LOAD, "web", frame("after"))

    assert drained(backlog) == ["subscribed", "after"]


def test_more_newest_values_than_fit_lose_the_longest_held() -> None:
    backlog = paused(3)

    for key in range(6):
        backlog.latest(LOAD, key, frame(f"v{key}"))

    assert drained(backlog) == [Gap(LOAD, 4), "v4", "v5"]


def test_a_stream_leaves_whole_for_a_follower_before_anything_is_dropped() -> None:
    backlog = paused(3)

    backlog.stream(LOG, "e:7", frame("s7"))
    backlog.live(Framed(CHAT, frame("c1")))
    backlog.stream(LOG, "e:8", frame("s8"))
    effects = backlog.live(Framed(CHAT, frame("c2")))

    assert effects == [Follow(LOG, "e:7")]
    assert backlog.policy is Policy.FOLLOWING
    assert drained(backlog) == ["c1", "c2"]


def test_streams_leave_one_at_a_time() -> None:
    backlog = paused(2)
    other = Channel("orders")

    backlog.stream(LOG, "e:1", frame("l1"))
    backlog.stream(other, "f:1", frame("o1"))

    assert backlog.stream(other, "f:2", frame("o2")) == [Follow(LOG, "e:1")]
    assert drained(backlog) == ["o1", "o2"]


def test_what_was_written_is_not_followed_again() -> None:
    backlog = paused(3)
    for number in range(1, 4):
        backlog.stream(LOG, number, frame(f"s{number}"))

    assert texts(backlog.drain(1)) == ["s1"]
    backlog.pause(101.0)
    backlog.answer(frame("a1"))

    assert backlog.answer(frame("a2")) == [Follow(LOG, 2)]
    assert drained(backlog) == ["a1", "a2"]


def test_a_channel_that_has_both_kinds_is_told_of_each_hole() -> None:
    """An event of the reader's pace is the newest value of a channel whose other events are live."""
    backlog = paused(4)

    backlog.latest(CHAT, None, frame("paced"))
    backlog.answer(frame("as they come"))
    backlog.live(Framed(CHAT, frame("live")))
    for number in range(2):
        backlog.answer(frame(f"a{number}"))

    assert drained(backlog) == [Gap(CHAT, 1), "as they come", Gap(CHAT, 1), "a0", "a1"]


def test_what_readers_share_is_dropped_by_each_as_its_own_budget_says() -> None:
    wide, narrow = paused(8), paused(4)
    narrow.answer(frame("a"))

    for number in range(1, 10):
        event = Framed(CHAT, frame(f"c{number}"))
        assert wide.live(event) == narrow.live(event) == []

    assert drained(wide) == [Gap(CHAT, 2), *(f"c{number}" for number in range(3, 10))]
    assert drained(narrow) == ["a", Gap(CHAT, 7), "c8", "c9"]


def test_who_left_a_stream_is_not_made_to_follow_it() -> None:
    backlog = paused(2)

    backlog.stream(LOG, "e:1", frame("old"))
    backlog.left(LOG)
    backlog.answer(frame("left"))
    backlog.stream(LOG, "e:5", frame("new"))

    assert backlog.answer(frame("a")) == [Follow(LOG, "e:5")]
    assert drained(backlog) == ["left", "a"]


def test_what_the_reader_may_not_have_any_more_is_not_written_and_all_else_is_in_its_order() -> None:
    backlog = paused(10)
    backlog.live(Framed(CHAT, frame("c1")))
    backlog.live(Framed(Channel("secret"), frame("x1")))
    backlog.answer(frame("a1"))
    backlog.stream(LOG, "e:1", frame("s1"))
    backlog.latest(LOAD, "web", frame("v1"))
    backlog.live(Framed(Channel("secret"), frame("x2")))
    backlog.live(Framed(CHAT, frame("c2")))

    backlog.withhold(lambda channel: channel in (Channel("secret"), LOG, LOAD))

    assert [piece for piece in drained(backlog) if piece] == ["c1", "a1", "c2"]
    assert backlog.bytes == 0


def test_what_was_withheld_leaves_no_gap() -> None:
    backlog = paused(3)
    for number in range(3):
        backlog.live(Framed(Channel("secret"), frame(f"x{number}")))

    backlog.withhold(lambda channel: channel.topic == "secret")
    for number in range(3):
        backlog.live(Framed(CHAT, frame(f"c{number}")))

    assert [piece for piece in drained(backlog) if piece] == ["c0", "c1", "c2"]
    assert backlog.bytes == 0


def test_answers_beyond_the_budget_close_the_connection() -> None:
    backlog = paused(3)

    assert [backlog.answer(frame(f"a{number}")) for number in range(4)] == [[], [], [], [Close(Why.OVERLOADED)]]

    assert backlog.bytes == 0
    assert backlog.answer(frame("a")) == backlog.live(Framed(CHAT, frame("c"))) == backlog.tick(1e9) == []
    assert drained(backlog) == []


def test_one_answer_larger_than_the_budget_is_let_through_and_costs_the_others_nothing() -> None:
    backlog = paused(2)
    giant = b"g" * (10 * FRAME)

    assert backlog.answer(giant) == []
    assert backlog.live(Framed(CHAT, frame("c1"))) == []
    assert backlog.answer(frame("a1")) == []

    assert backlog.drain(1) == [giant]
    assert drained(backlog) == ["c1", "a1"]
    assert [backlog.answer(frame(f"a{number}")) for number in range(3)] == [[], [], [Close(Why.OVERLOADED)]]


def test_a_second_answer_larger_than_the_budget_closes_the_connection() -> None:
    backlog = paused(2)
    giant = b"g" * (10 * FRAME)

    assert backlog.answer(giant) == []
    assert backlog.answer(giant) == [Close(Why.OVERLOADED)]


def test_one_event_larger_than_the_budget_is_a_gap() -> None:
    backlog = paused(2)

    backlog.live(Framed(CHAT, b"g" * (10 * FRAME)))

    assert drained(backlog) == [Gap(CHAT, 1)]


# ---- what is seen of it, and time ------------------------------------------------------------------------------------


def test_a_drain_ends_with_the_frame_that_reaches_its_limit() -> None:
    backlog = paused(4)
    for number in range(4):
        backlog.answer(frame(f"a{number}"))

    assert texts(backlog.drain(FRAME + 1)) == ["a0", "a1"]
    assert texts(backlog.drain(FRAME)) == ["a2"]
    assert texts(backlog.drain(1)) == ["a3"]


def test_a_reader_is_behind_until_it_takes_more_than_there_is() -> None:
    backlog = Backlog()
    assert backlog.lag().since is None

    backlog.pause(5.0)
    backlog.latest(LOAD, 1, b"1")
    backlog.latest(LOAD, 1, b"2")
    backlog.drain(EVERYTHING)
    backlog.pause(9.0)

    lag = backlog.lag()
    assert (lag.since, lag.stalled_since, lag.policy, lag.bytes) == (5.0, 9.0, Policy.NEWEST, 0)

    backlog.drain(EVERYTHING)

    lag = backlog.lag()
    assert (lag.since, lag.stalled_since, lag.policy) == (None, None, Policy.HOLDING)


def test_no_progress_for_too_long_closes_the_connection() -> None:
    backlog = Backlog(patience=30.0)
    assert backlog.due is None

    backlog.pause(100.0)
    assert backlog.due == 130.0
    assert backlog.tick(129.9) == []

    backlog.moved(120.0)
    assert backlog.tick(149.9) == []

    backlog.drain(1)
    assert backlog.due is None
    assert backlog.tick(1000.0) == []

    backlog.pause(1000.0)
    assert backlog.tick(1030.0) == [Close(Why.STALLED)]


# ---- whatever happens ------------------------------------------------------------------------------------------------

STREAMS = [Channel("s.1"), Channel("s.2")]
LIVES = [Channel("l.1"), Channel("l.2", 7), Channel("l.2", 8)]
VALUES = [Channel("v.1"), Channel("v.2")]
SIZES = st.sampled_from([10, 100, 700, 3000])


def mark(kind: str, channel: Channel, number: int, era: int, size: int, key: int = 0) -> bytes:
    head = f"{kind}|{channel.topic}|{channel.subscription}|{number}|{era}|{key}|".encode()
    return head.ljust(size, b".")


class AnyReader(RuleBasedStateMachine):
    """Everything that was sent is written, replaced, followed or told, in an order that never breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = 3000
        self.backlog = Backlog(self.budget)
        self.backlog.pause(0.0)
        self.closed = False
        self.sent = dict.fromkeys([*STREAMS, *LIVES, *VALUES], 0)
        self.seen = dict.fromkeys(self.sent, 0)
        self.following: set[Channel] = set()
        self.answers_sent = self.answers_seen = 0
        self.newest: dict[tuple[Channel, int], int] = {}
        self.values_seen: dict[tuple[Channel, int], int] = {}
        self.told: set[Channel] = set()
        self.largest_answer = 0
        self.barred: dict[Channel, int] = {}

    def obey(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Close(why):
                    assert why is Why.OVERLOADED
                    assert self.answers_sent > self.answers_seen  # gaps of one era fit
                    self.closed = True
                case Follow(channel, first):
                    assert channel not in self.following
                    assert first == self.seen[channel] + 1 or channel in self.barred
                    self.following.add(channel)

    def next_of(self, channel: Channel) -> int:
        self.sent[channel] += 1
        return self.sent[channel]

    @precondition(lambda self: not self.closed)
    @rule(size=SIZES)
    def answer(self, size: int) -> None:
        self.answers_sent += 1
        self.largest_answer = max(self.largest_answer, size)
        self.obey(self.backlog.answer(mark("a", Channel(""), self.answers_sent, self.answers_sent, size)))

    @precondition(lambda self: not self.closed)
    @rule(channel=st.sampled_from(LIVES), size=SIZES)
    def live(self, channel: Channel, size: int) -> None:
        frame = mark("l", channel, self.next_of(channel), self.answers_sent, size)
        self.obey(self.backlog.live(Framed(channel, frame)))

    @precondition(lambda self: not self.closed)
    @rule(channel=st.sampled_from(VALUES), key=st.integers(0, 4), size=SIZES)
    def latest(self, channel: Channel, key: int, size: int) -> None:
        number = self.next_of(channel)
        self.newest[channel, key] = number
        self.obey(self.backlog.latest(channel, key, mark("v", channel, number, self.answers_sent, size, key)))

    @precondition(lambda self: not self.closed)
    @rule(channel=st.sampled_from(STREAMS), size=SIZES)
    def stream(self, channel: Channel, size: int) -> None:
        if channel not in self.following:
            number = self.next_of(channel)
            self.obey(self.backlog.stream(channel, number, mark("s", channel, number, self.answers_sent, size)))

    @precondition(lambda self: not self.closed)
    @rule(channel=st.sampled_from([*STREAMS, *LIVES, *VALUES]))
    def may_not_have(self, channel: Channel) -> None:
        self.backlog.withhold(lambda one: one == channel)
        self.barred[channel] = self.sent[channel]

    @precondition(lambda self: bool(self.following))
    @rule()
    def caught_up_from_the_journal(self) -> None:
        channel = self.following.pop()
        self.seen[channel] = self.sent[channel]

    @rule(size=st.sampled_from([1, 500, 2000]))
    def drain(self, size: int) -> None:
        self.read(self.backlog.drain(size))

    def read(self, written: Sequence[bytes | Gap]) -> None:
        for piece in written:
            if not piece:
                continue
            if isinstance(piece, Gap):
                assert piece.dropped > 0
                self.seen[piece.channel] += piece.dropped
                self.told.add(piece.channel)
                continue
            kind, topic, subscription, number, era, key, _ = piece.decode().split("|")
            channel = Channel(topic, int(subscription))
            assert self.answers_seen >= int(era) - (kind == "a"), "it overtook an answer"
            assert kind == "a" or int(number) > self.barred.get(channel, 0), "it may not be had any more"
            if kind == "a":
                self.answers_seen += 1
                assert int(number) == self.answers_seen
            elif kind == "v":
                assert int(number) > self.values_seen.get((channel, int(key)), 0)
                self.values_seen[channel, int(key)] = int(number)
            else:
                self.seen[channel] += 1
                assert int(number) == self.seen[channel] or channel in self.barred, "a hole that nobody told"

    @invariant()
    def bounded(self) -> None:
        spared = self.largest_answer + OVERHEAD if self.largest_answer + OVERHEAD > self.budget else 0
        assert self.backlog.bytes <= self.budget + spared

    def teardown(self) -> None:
        self.read(self.backlog.drain(EVERYTHING))
        assert self.backlog.bytes == 0
        assert not self.backlog
        if self.closed:
            return
        assert self.answers_seen == self.answers_sent
        for channel in (*LIVES, *STREAMS):
            assert self.seen[channel] == self.sent[channel] or channel in self.following or channel in self.barred
        for (channel, key), number in self.newest.items():
            assert self.values_seen.get((channel, key)) == number or channel in self.told or channel in self.barred


AnyReader.TestCase.settings = settings(max_examples=80, stateful_step_count=80, deadline=None)
TestAnyReader = AnyReader.TestCase
