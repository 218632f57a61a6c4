"""What a connection wants from the node as long as it lives: its subscriptions and registrations.

They outlast links. :meth:`Standing.ask_all` asks a new link for all of them; what the node grants gets a number that
is valid for this link only. Two local subscriptions to the same topic and match share one at the node, which is one
subscription there however often it is asked for: a :class:`Feed`. It is asked to resume from the earliest place of its
readers; whoever is ahead drops what it has, and whoever is behind reads back by itself.

On a link that stands a feed is asked for again, and given back first, where somebody wants the newest values of its
topic and the subscription that stands will not bring them.

What is refused after it had once been granted, for a reason that may pass (our own session of before the reconnect may
still hold the procedure), is asked for again, with jitter, until it is granted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hopsack import backoff
from hopsack import session as on
from hopsack.binding import Binding
from hopsack.errors import AlreadyRegistered, Disconnected, HopsackError, RemoteError
from hopsack.keeper import settle, settle_error
from hopsack.link import Carrier
from hopsack.position import Position
from hopsack.resuming import TOPICS
from hopsack.subscription import Subscription
from hopsack.tally import Tally

__all__ = ["Feed", "Registration", "Standing", "Wanted"]

log = logging.getLogger("hopsack")


@dataclass(eq=False, slots=True)
class Feed:
    """One subscription at the node and its local readers.

    :ivar id: its number on the present link.
    :ivar rate: the limit that the node was told.
    :ivar asked: what the present link was asked to resume from.
    :ivar keeps_newest: the topic has newest values, as far as is known.
    """

    topic: str
    match: on.Match
    granted: asyncio.Future[None]
    readers: list[Subscription[Any]] = field(default_factory=list)
    id: int | None = None
    rate: float | None = None
    asked: Mapping[str, Position] = field(default_factory=dict)
    keeps_newest: bool = False
    _is_for_keen: bool = False

    def request(self) -> on.Input:
        lowest = {} if self._begins_anew else self._lowest()
        has_forgotten = len(lowest) > TOPICS or any(reader.has_forgotten for reader in self.readers)
        self.asked = dict(list(lowest.items())[-(TOPICS - has_forgotten) :])
        self.rate = self.pace
        self._is_for_keen = self._has_keen
        is_whole = not self._begins_anew and not has_forgotten and any(reader.knows_all for reader in self.readers)
        others: on.Others = "forgotten" if has_forgotten else "new" if is_whole else None
        return on.SubscribeRequested(
            self, self.topic, self.match, self.asked, self.rate, self._is_for_keen, others=others
        )

    def grant(self, told: on.Grant | None) -> None:
        """The node has granted it. A door that says nothing has not resumed anything."""
        self.keeps_newest = self.keeps_newest or (told is not None and told.snapshot is not None)
        for reader in list(self.readers):
            reader.thin(self.rate is not None)
            reader.granted(told, {} if told is None else self.asked)

    @property
    def pace(self) -> float | None:
        """The fastest reader counts."""
        rates = [reader.max_rate for reader in self.readers]
        return None if None in rates else max((rate for rate in rates if rate is not None), default=None)

    @property
    def lacks_newest(self) -> bool:
        """Somebody came who wants the newest values after it was asked for."""
        return self._has_keen and not self._is_for_keen

    @property
    def _has_keen(self) -> bool:
        return any(reader.is_keen for reader in self.readers)

    @property
    def _begins_anew(self) -> bool:
        """Somebody wants the newest values, so that nothing is resumed."""
        return self._has_keen or (self.keeps_newest and any(reader.wants_newest for reader in self.readers))

    def _lowest(self) -> dict[str, Position]:
        lowest: dict[str, Position] = {}
        for reader in self.readers:
            for topic, at in reader.after.items():
                known = lowest.get(topic)
                if known is None or (known.epoch == at.epoch and at < known):
                    lowest[topic] = at
        return lowest


@dataclass(eq=False, slots=True)
class Registration:
    """A procedure that this connection serves, also after reconnects, until :meth:`close`.

    :ivar id: its number on the present link.
    :ivar errors: the codes that its contract declares; ``None`` if it is served by its URI alone.
    :ivar tally: how often it was asked, and how that ended.
    """

    binding: Binding
    invoke: on.Invoke
    granted: asyncio.Future[None]
    leave: Callable[[Registration], Awaitable[None]]
    id: int | None = None
    errors: frozenset[str] | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def procedure(self) -> str:
        return self.binding.pattern.uri

    def request(self) -> on.Input:
        return on.RegisterRequested(self, self.procedure, self.binding.pattern.match, self.invoke)

    async def close(self) -> None:
        """Unregister. Invocations that run are finished."""
        await self.leave(self)

    async def __aenter__(self) -> Registration:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


Wanted = Feed | Registration


class Standing:
    """The book of what is wanted, and of what the present link has granted.

    :param chance: a random number from 0 to 1, for the jitter.
    :param give_back: told of what was granted after nobody wanted it any more.
    """

    def __init__(self, chance: Callable[[], float], give_back: Callable[[Wanted], None]) -> None:
        self.registrations: list[Registration] = []
        self._feeds: dict[tuple[str, on.Match], Feed] = {}
        self._feeds_by_id: dict[int, Feed] = {}
        self._registrations_by_id: dict[int, Registration] = {}
        self._carrier: Carrier | None = None
        self._chance = chance
        self._give_back = give_back
        self._loop = asyncio.get_running_loop()

    @property
    def readers(self) -> list[Subscription[Any]]:
        return [reader for feed in self._feeds.values() for reader in feed.readers]

    @property
    def is_granted(self) -> bool:
        """Whether the present link has granted everything that is wanted."""
        return all(wanted.id is not None for wanted in self._everything)

    @property
    def _everything(self) -> list[Wanted]:
        return [*self._feeds.values(), *self.registrations]

    def feed(self, reader: Subscription[Any]) -> Feed:
        """The feed for ``reader``, who now reads it."""
        key = (reader.topic, reader.match)
        feed = self._feeds.get(key)
        if feed is None:
            feed = Feed(reader.topic, reader.match, self._loop.create_future(), [reader])
            self._ask(feed)
            self._feeds[key] = feed
            return feed
        feed.readers.append(reader)
        if feed.id is not None:
            if reader.is_keen or (feed.keeps_newest and reader.wants_newest):
                self.renew(feed)
            else:
                reader.granted(None, {})
        return feed

    def feed_of(self, reader: Subscription[Any]) -> Feed | None:
        feed = self._feeds.get((reader.topic, reader.match))
        return feed if feed is not None and reader in feed.readers else None

    def renew(self, feed: Feed) -> None:
        """Ask for it again. Given back first: a second subscription to a topic need not bring its newest values."""
        if self._carrier is None or feed.id is None:
            return
        number, feed.id = feed.id, None
        self._feeds_by_id.pop(number, None)
        self._carrier.take(on.UnsubscribeRequested(self._loop.create_future(), number))
        self._carrier.take(feed.request())

    def add(self, registration: Registration) -> None:
        self._ask(registration)
        self.registrations.append(registration)

    def _ask(self, wanted: Wanted) -> None:
        """Ask the present link; every later one asks for what is in the book."""
        if self._carrier is not None:
            self._carrier.check_room("register" if isinstance(wanted, Registration) else wanted.topic)
            self._carrier.take(wanted.request())

    # ---- letting go --------------------------------------------------------------------------------------------------

    def leave(self, reader: Subscription[Any]) -> Feed | None:
        """``reader`` reads no more. Returns the feed if the node has to be told.

        A feed that is asked for and not yet granted stays in the book until it is: forgetting it now would let a new
        subscription to the same topic be ended by the unsubscription of the old one.
        """
        feed = self._feeds.get((reader.topic, reader.match))
        if feed is None or reader not in feed.readers:
            return None
        feed.readers.remove(reader)
        return feed if not feed.readers and self._forget(feed) else None

    def drop(self, registration: Registration) -> Registration | None:
        """``registration`` is not wanted any more. Returns it if the node has to be told."""
        if registration in self.registrations:
            self.registrations.remove(registration)
        return registration if registration.id is not None else None

    def _forget(self, feed: Feed) -> bool:
        if feed.id is None and self._carrier is not None:
            return False
        self._feeds.pop((feed.topic, feed.match), None)
        return feed.id is not None and self._feeds_by_id.pop(feed.id, None) is not None

    # ---- links -------------------------------------------------------------------------------------------------------

    def ask_all(self, carrier: Carrier) -> None:
        self._carrier = carrier
        for wanted in self._everything:
            try:
                carrier.take(wanted.request())
            except HopsackError as error:  # this dialect cannot ask for it
                self._refuse(wanted, error)

    def lost(self) -> None:
        self._carrier = None
        for feed in list(self._feeds.values()):
            feed.id = None
            for reader in feed.readers:
                reader.lost()
            if not feed.readers:
                del self._feeds[feed.topic, feed.match]
        for registration in self._registrations_by_id.values():
            registration.id = None
        self._feeds_by_id.clear()
        self._registrations_by_id.clear()

    def ended(self, error: HopsackError | None) -> None:
        told = error or Disconnected("the connection is closed")
        for feed in self._feeds.values():
            settle_error(feed.granted, told)
            for reader in feed.readers:
                reader.end(error)
        for registration in self.registrations:
            settle_error(registration.granted, told)

    # ---- what the node says ------------------------------------------------------------------------------------------

    def deliver(self, number: int, publication: on.Publication, payload: on.Payload) -> None:
        feed = self._feeds_by_id.get(number)
        if feed is not None:
            for reader in feed.readers:
                reader.offer(publication, payload)

    def skipped(self, number: int, topic: str, count: int | None) -> None:
        feed = self._feeds_by_id.get(number)
        for reader in feed.readers if feed is not None else ():
            reader.skipped(topic, count)

    def withheld(self, number: int, topic: str) -> None:
        feed = self._feeds_by_id.get(number)
        for reader in feed.readers if feed is not None else ():
            reader.withheld(topic)

    def registration(self, number: int) -> Registration | None:
        """Also one that was closed: what the node sent before it knew is still served."""
        return self._registrations_by_id.get(number)

    def confirm(self, wanted: Wanted, number: int, told: object = None) -> None:
        wanted.id = number
        settle(wanted.granted, None)
        if isinstance(wanted, Registration):
            self._registrations_by_id[number] = wanted
            if wanted not in self.registrations:
                self._give_back(wanted)
        else:
            self._feeds_by_id[number] = wanted
            if not wanted.readers and self._forget(wanted):
                self._give_back(wanted)
            elif wanted.lacks_newest:
                self.renew(wanted)
            else:
                wanted.grant(told if isinstance(told, on.Grant) else None)

    def reject(self, wanted: Wanted, error: HopsackError) -> None:
        if isinstance(error, Disconnected):
            return  # the next link asks again
        was_granted = wanted.granted.done()
        if was_granted and isinstance(error, RemoteError) and _may_pass(error) and self._is_wanted(wanted):
            log.warning("not restored yet: %s", error)
            self._loop.call_later(1.0 + backoff.delay(0, self._chance()), self._ask_again, wanted, self._carrier)
            return
        if was_granted:
            log.error("lost after a reconnect: %s", error)
        self._refuse(wanted, error)

    def revoke(self, effect: on.Revoke) -> None:
        taken: Wanted | None
        if effect.kind == "subscription":
            taken = self._feeds_by_id.pop(effect.id, None)
        else:
            taken = self._registrations_by_id.pop(effect.id, None)
        if taken is not None:
            log.error("the node took a %s away: %s", effect.kind, effect.error)
            self._refuse(taken, effect.error)

    def _refuse(self, wanted: Wanted, error: HopsackError) -> None:
        settle_error(wanted.granted, error)
        if isinstance(wanted, Registration):
            if wanted in self.registrations:
                self.registrations.remove(wanted)
            return
        self._feeds.pop((wanted.topic, wanted.match), None)
        for reader in wanted.readers:
            reader.end(error)

    def _is_wanted(self, wanted: Wanted) -> bool:
        return wanted in self.registrations if isinstance(wanted, Registration) else wanted in self._feeds.values()

    def _ask_again(self, wanted: Wanted, carrier: Carrier | None) -> None:
        if carrier is not None and carrier is self._carrier and self._is_wanted(wanted):
            carrier.take(wanted.request())


def _may_pass(error: RemoteError) -> bool:
    return error.retry == "later" or isinstance(error, AlreadyRegistered)
