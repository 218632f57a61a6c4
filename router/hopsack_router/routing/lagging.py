"""What a link has while it is not straight: what it holds, what it reads from the journal, and its paces.

    the transport is full      -> Backlog                 frames wait, each kind by its policy
    a stream left the backlog  -> Followers               the journal is read a page at a time, when there is room
    a subscription resumes     -> Followers               the same, and the snapshot before it
    max_rate                   -> Pace                    the newest value of each key, now and then

One of these for a link that needs it, none for all others. An event comes here by ``Link.take``, and belongs to the
follower of its channel, to the pace of its subscription, to the backlog while the transport is full, or else to the
queue of this turn: to the first of these that there is. The shell of these machines: it does as they say, through the
link, and tells them the time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, assert_never

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from hopsack_router import metrics
from hopsack_router.routing import backlog as held
from hopsack_router.routing import following as followed
from hopsack_router.routing import pace as paced
from hopsack_router.routing.backlog import Backlog, Channel, Framed, Gap, Policy, Tally, Why
from hopsack_router.routing.fanout import Delivery
from hopsack_router.routing.followers import Follower, Followers
from hopsack_router.routing.following import Following, Read, State
from hopsack_router.routing.pace import Pace
from hopsack_router.streams import Gone, Page, Position, Stored

if TYPE_CHECKING:
    from hopsack_router.routing.links import Link

LOG = Logger()

Covering = Callable[[str], Collection[int]]

MAX_REMEMBERED = 1000
"""Topics of which it is known at which pace they are read."""

PIECE = 64 << 10
"""Bytes of what is held that go to the transport at once: it says after each whether it takes more."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A stream that a link reads from the journal. :ivar events: between it and the head."""

    topic: str
    events: int


@dataclass(slots=True)
class _Paced:
    """:ivar timer: wakes the pace."""

    pace: Pace
    timer: IDelayedCall | None = None

    def stop(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


class Lagging:
    """
    :param link: whose it is.
    """

    __slots__ = (
        "_covering",
        "_elsewhere",
        "_fastest",
        "_is_counted",
        "_link",
        "_paced",
        "_paces",
        "_put_off",
        "_stalls",
        "_unwritten",
        "_waiting",
        "backlog",
        "followers",
    )

    def __init__(self, link: Link) -> None:
        self._link = link
        self._stalls = link.outlet.outbox.stalls
        self._elsewhere = Tally()
        self.backlog = Backlog(link.budget, self._stalls.patience, self._elsewhere)
        self.followers = Followers(self._elsewhere)
        self._paces: dict[int, _Paced] = {}
        self._paced = 0  # bytes that wait for their pace
        self._put_off: tuple[Callable[[], bool], Callable[[], object]] | None = None
        self._covering: Covering = lambda topic: ()
        self._fastest: dict[str, _Paced | None] = {}
        self._waiting: dict[Any, _Paced] = {}
        self._unwritten: int | None = None
        self._is_counted = False

    @property
    def bends(self) -> bool:
        """Whether events may not pass by the link."""
        return bool(self.followers) or bool(self._paces)

    @property
    def is_idle(self) -> bool:
        return not self.backlog and not self.bends

    @property
    def held_elsewhere(self) -> int:
        """Bytes that are held for the link outside of its backlog."""
        return self._elsewhere.bytes

    @property
    def is_showing_much(self) -> bool:
        """Whether what subscriptions begin with takes its share of the budget: the next one has to wait."""
        return 2 * (self._elsewhere.bytes - self._paced) >= self._link.budget

    def put_off(self, step: Callable[[], object], until: Callable[[], bool]) -> None:
        """Take a step when something is so, which is asked whenever something was written."""
        assert self._put_off is None, "all that the session asks for waits behind one request"
        self._put_off = until, step

    # ---- what is to be sent -----------------------------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """A frame that must arrive, while the transport is full."""
        self._obey(self.backlog.answer(frame))

    def event(self, event: Framed, delivery: Delivery) -> bool:
        """:returns: whether this frame waits now to be sent."""
        if delivery.stored is None and not self._paces:  # what nothing keeps is not followed
            return self._put(event, delivery)
        channel = event.channel
        follower = self.followers.of(channel)
        if isinstance(follower, Following):
            assert delivery.stored is not None
            position, before = delivery.stored.position, follower.state
            assert position is not None
            self._perform(channel, follower, follower.committed(position))
            if before is State.AHEAD and follower.state is State.WAITING_FOR_ROOM:
                self._link.wake()
        elif follower is not None and delivery.stored is not None:
            follower.changed(delivery.stored)
        else:
            return self._at_its_pace(event, delivery)
        return False

    def _at_its_pace(self, event: Framed, delivery: Delivery) -> bool:
        one = self._pace_of(delivery) if self._paces else None
        if one is None or len(event.frame) > self._link.outlet.most:
            return self._at_once(event, delivery)
        key = _key_of(event, delivery)
        if self._waiting.get(key) is not one:
            self._overtake(key)
            self._waiting[key] = one
        before = one.pace.bytes
        room = self._link.budget // 2 - self._paced + before
        effects = one.pace.event(key, event.frame, self._stalls.now(), room)
        self._wait_for_pace(one.pace.bytes - before)
        self._keep_pace(one, effects)
        return False

    def _at_once(self, event: Framed, delivery: Delivery) -> bool:
        if self._waiting:
            self._overtake(_key_of(event, delivery))
        return self._put(event, delivery)

    def _overtake(self, key: Any) -> None:
        """The pace of a topic has changed: what still waits for the former one must not come behind what is newer."""
        one = self._waiting.pop(key, None)
        if one is not None:
            before = one.pace.bytes
            one.pace.overtaken(key)
            self._wait_for_pace(one.pace.bytes - before)

    def _wait_for_pace(self, more: int) -> None:
        self._paced += more
        self._elsewhere.bytes += more

    def _pace_of(self, delivery: Delivery) -> _Paced | None:
        """Of a connection that gets each event once: the pace of the fastest subscription that covers the topic.

        Remembered by topic until a subscription comes or goes: a page has up to a thousand of them.
        """
        if self._link.format.per_subscription:
            return self._paces.get(delivery.subscription)
        topic = delivery.topic
        if topic not in self._fastest:
            if len(self._fastest) >= MAX_REMEMBERED:
                self._fastest.clear()
            self._fastest[topic] = self._fastest_of(topic)
        return self._fastest[topic]

    def _fastest_of(self, topic: str) -> _Paced | None:
        paces = [self._paces.get(number) for number in self._covering(topic)]
        paced = [one for one in paces if one is not None and one.pace.rate is not None]
        return max(paced, key=_rate_of) if paced and len(paced) == len(paces) else None

    def _put(self, event: Framed, delivery: Delivery) -> bool:
        link, stored, frame = self._link, delivery.stored, event.frame
        if len(frame) > link.outlet.most:
            link.tell_of_dropped(delivery, len(frame))
            return False
        if not link.paused:
            link.queue(frame)
        elif stored is None:
            self._obey(self.backlog.live(event))
        elif stored.position is not None:
            self._obey(self.backlog.stream(event.channel, stored.position, frame))
        else:
            self._obey(self.backlog.latest(event.channel, stored.latest, frame))
        return True

    # ---- the transport ----------------------------------------------------------------------------------------------

    def pause(self, unwritten: int | None) -> None:
        """:param unwritten: bytes that the peer has not taken yet, if that can be known."""
        self._count()
        self._unwritten = unwritten
        self.backlog.pause(self._stalls.now())
        self.followers.full()

    def waits_on(self, unwritten: int | None, now: float) -> bool:
        """The transport has been full for as long as one is patient. Taking bytes, however few, is progress."""
        if unwritten is not None and self._unwritten is not None and unwritten < self._unwritten:
            self._unwritten = unwritten
            self.backlog.moved(now)
            return True
        effects = self.backlog.tick(now)
        self._obey(effects)
        return not effects

    def go_on(self) -> None:
        """The transport has room: write what is held, then the next page of what is read."""
        link = self._link
        while not link.paused and (pieces := self.backlog.drain(PIECE)):
            frames = [self._written(piece) if isinstance(piece, Gap) else piece for piece in pieces]
            told = [frame for frame in frames if frame]
            if told:
                link.put(told)
        if link.paused:
            return
        turn = self.followers.room()
        if turn is not None:
            channel, effects = turn
            follower = self.followers.of(channel)
            assert follower is not None
            self._perform(channel, follower, effects)
        if not self.backlog:
            self._uncount()
        if self._put_off is not None and self._put_off[0]():
            (_, step), self._put_off = self._put_off, None
            step()

    def _written(self, gap: Gap) -> bytes:
        metrics.dropped.inc(gap.dropped)
        return self._link.format.gap(gap.channel, gap.dropped)

    def close(self) -> None:
        """The link is gone."""
        self._uncount()
        self.followers.clear()
        for one in self._paces.values():
            one.stop()
        self._paces.clear()
        self._waiting.clear()
        self._wait_for_pace(-self._paced)
        self._put_off = None

    # ---- subscriptions ----------------------------------------------------------------------------------------------

    def begin(self, channels: Sequence[Channel], follower: Follower) -> None:
        """A subscription was answered, and this is to be read before it is live.

        On a connection that gets each event once, another of its subscriptions may be reading the same.
        """
        for channel in channels:
            other = self.followers.of(channel)
            if other is not None and other is not follower:
                follower.take_over(other)  # type: ignore[arg-type]  # a topic is a stream or none: both are of one kind
                self.followers.replace(other, follower)
            first = self.backlog.hand_over(channel)
            if first is not None and isinstance(follower, Following):
                follower.reach_back(Position(first.epoch, first.offset - 1))
            self.followers.begin(channel, follower)
        self._link.wake()

    def left(self, channel: Channel) -> None:
        """Nobody reads this channel any more."""
        self.backlog.left(channel)
        self.followers.end(channel)
        self._link.wake()

    def withhold(self, is_ended: Callable[[Channel], bool]) -> None:
        """Its peer may not have these channels any more: nothing that is held of them leaves."""
        self.backlog.withhold(is_ended)

    def reads(self, channel: Channel) -> bool:
        """Whether it is among :meth:`channels`."""
        return self.followers.of(channel) is not None or self.backlog.holds(channel)

    def channels(self) -> set[Channel]:
        """What is followed, and the streams of which something is held."""
        return {channel for channel, _ in self.followers} | set(self.backlog.streams)

    def set_pace(self, subscription: int, rate: float | None, covering: Covering) -> None:
        """
        :param rate: events per second; ``None``: as they come.
        :param covering: the link's subscriptions that cover a topic.
        """
        self._covering = covering
        self._fastest.clear()
        one = self._paces.get(subscription)
        if one is not None:
            before = one.pace.bytes
            effects = one.pace.change(rate, self._stalls.now())
            self._wait_for_pace(one.pace.bytes - before)
            self._keep_pace(one, effects)
            if rate is None:
                self.drop_pace(subscription)
        elif rate is not None:
            self._paces[subscription] = _Paced(Pace(rate))

    def drop_pace(self, subscription: int) -> None:
        """What waits for it goes to the other subscriptions that cover it, at once: it may be the last of its key."""
        self._fastest.clear()
        one = self._paces.pop(subscription, None)
        if one is None:
            return
        one.stop()
        self._wait_for_pace(-one.pace.bytes)
        for effect in one.pace.change(None, self._stalls.now()):
            if isinstance(effect, paced.Send):
                key: Any = effect.key
                del self._waiting[key]
                if not self._link.format.per_subscription and self._covering(key[0].topic):
                    self._send_at_pace(key, effect.frame)

    # ---- effects ----------------------------------------------------------------------------------------------------

    def _obey(self, effects: Sequence[held.Effect]) -> None:
        for effect in effects:
            match effect:
                case held.Follow(channel, first):
                    keeping = self._link.keeping
                    assert keeping is not None, "an event of a stream has come without a journal"
                    follower = Following(keeping.head(channel.topic))
                    self.followers.begin(channel, follower)
                    self._perform(channel, follower, follower.fell_behind(first))
                    if self.followers.stream_bytes > self._link.budget:
                        self._link.cut_off(Why.CROWDED)
                        return
                case held.Close(why):
                    self._link.cut_off(why)
                case _:
                    assert_never(effect)

    def _perform(self, channel: Channel, follower: Follower, effects: Sequence[followed.Effect]) -> None:
        for effect in effects:
            match effect:
                case followed.Read():
                    self._read(channel, follower, effect)
                case followed.Deliver(events, newest):
                    self._deliver(channel, events, newest)
                case followed.TellGap(_, missed):
                    metrics.dropped.inc(missed or 1)
                    frame = self._link.format.gap(channel, missed)
                    if frame:
                        self._link.queue(frame)
                case followed.GoLive():
                    self.followers.release(follower)
                    self._link.wake()
                case followed.GiveUp():
                    self._link.cut_off(Why.UNREADABLE)
                case followed.Answer():
                    raise AssertionError("a subscription is answered before it is followed")
                case _:
                    assert_never(effect)

    def _read(self, channel: Channel, follower: Follower, read: Read) -> None:
        assert isinstance(follower, Following)
        assert self._link.keeping is not None
        page: Deferred[Any] = self._link.keeping.read(channel.topic, read.after, read.limit, read.max_bytes)

        def came(page: Page | Gone) -> None:
            self._perform(channel, follower, follower.page(page))

        def failed(failure: Failure) -> None:
            LOG.info("{peer} cannot read {topic}: {why}", peer=self._link.peer, topic=channel.topic, why=failure.value)
            self._perform(channel, follower, follower.failed())

        page.addCallbacks(came, failed)
        page.addErrback(lambda failure: LOG.failure("a page cannot be given", failure))

    def _deliver(self, channel: Channel, events: Sequence[Stored], newest: bool) -> None:
        """Write events that were read. Paces are for what was missed, not for newest values, whose number was told."""
        put = self._at_once if newest else self._at_its_pace
        read = (self._link.read(event, channel, newest) for event in events)
        metrics.deliveries.inc(sum(put(Framed(_of(channel, one.topic), frame), one) for frame, one in read))
        self._link.wake()  # for the next page, even if a pace holds all of this one

    def _keep_pace(self, one: _Paced, effects: Sequence[paced.Effect]) -> None:
        for effect in effects:
            match effect:
                case paced.Send(key, frame):
                    self._waiting.pop(key, None)  # or the link has been closed meanwhile
                    self._send_at_pace(key, frame)
                case paced.WakeAt(when):
                    one.stop()
                    one.timer = self._stalls.call_at(when, self._wake_pace, one)
                case _:
                    assert_never(effect)

    def _wake_pace(self, one: _Paced) -> None:
        one.timer = None
        before = one.pace.bytes
        effects = one.pace.tick(self._stalls.now())
        self._wait_for_pace(one.pace.bytes - before)
        self._keep_pace(one, effects)

    def _send_at_pace(self, key: Any, frame: bytes) -> None:
        """It is read with holes anyway: while the transport is full, the newest of each key will do."""
        channel, latest = key
        metrics.deliveries.inc()
        if self._link.paused:
            self._obey(self.backlog.latest(channel, latest, frame))
        else:
            self._link.queue(frame)

    # ---- what an operator sees --------------------------------------------------------------------------------------

    def behind(self) -> list[Behind]:
        """The streams that are read from the journal."""
        return [
            Behind(channel.topic, max(follower.head.offset - follower.last.offset, 0))
            for channel, follower in self.followers
            if isinstance(follower, Following)
        ]

    @property
    def policy(self) -> Policy:
        return max(self.backlog.policy, Policy.FOLLOWING if self.followers else Policy.HOLDING)

    def _count(self) -> None:
        if not self._is_counted:
            self._is_counted = True
            metrics.lagging.tally(self._link.door).n += 1

    def _uncount(self) -> None:
        if self._is_counted:
            self._is_counted = False
            metrics.lagging.tally(self._link.door).n -= 1


def _of(channel: Channel, topic: str) -> Channel:
    """The channel of another topic under the same subscription: newest values of several come in the turn of one."""
    return channel if channel.topic == topic else Channel(topic, channel.subscription, channel.match)


def _key_of(event: Framed, delivery: Delivery) -> tuple[Channel, str | None]:
    """What a newer value takes the place of."""
    return event.channel, delivery.stored.latest if delivery.stored is not None else None


def _rate_of(one: _Paced) -> float:
    return one.pace.rate or inf
