"""Who reads what: SUBSCRIBE, UNSUBSCRIBE and revocation over Crossbar's subscription map.

    SUBSCRIBE                     -> SUBSCRIBED, then the retained events it asked for
              of what is kept     -> SUBSCRIBED, which says what follows: newest values, missed events, then live
              invalid URI         -> ERROR invalid_uri
    UNSUBSCRIBE                   -> UNSUBSCRIBED
    remove_subscriber             -> UNSUBSCRIBED 0 to the subscriber
    it may not read that any more -> the same, and nothing that waits for it leaves
    Rate                          -> Rated

The meta events say what happened, with the session it happened to.

Bounds: a session has :data:`MAX_SUBSCRIPTIONS` subscriptions, and is refused more (``hopsack.too_many``). While the
newest values that its earlier ones begin with take their share of its link's budget, it waits with the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from crossbar.router import NotAttached
from crossbar.router.broker import Broker as CrossbarBroker
from crossbar.router.broker import SubscriptionExtra

from hopsack.errors import Denied, RemoteError, TooMany
from hopsack_router.routing import asked, uris
from hopsack_router.routing.asked import Granted, Subscribed
from hopsack_router.routing.backlog import Channel
from hopsack_router.routing.ended import Unsubscribed
from hopsack_router.routing.fanout import Audience
from hopsack_router.routing.followers import Follower
from hopsack_router.routing.joining import has_feature
from hopsack_router.routing.lagging import Lagging
from hopsack_router.routing.links import DoorLink, Link
from hopsack_router.routing.resuming import Beginning, begin
from hopsack_router.routing.retained import matcher

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession


NONE: frozenset[Any] = frozenset()
"""The subscriptions of a session that has none."""

NOTHING_MORE = Beginning(Granted())
"""What most subscriptions begin with: what comes now."""

NO_SUBSCRIPTION = "hopsack.no_such_subscription"

OURS = "hopsack-"
"""What the agents of our libraries begin with."""

MAX_SUBSCRIPTIONS = 1000
"""Of one session, where nothing else is said (``subscribed.connection``). The node's own components have no bound."""


class Readers(SubscriptionExtra):  # type: ignore[misc]
    """What we keep with a subscription: its readers as the broker wants them, until who reads changes."""

    __slots__ = ("audience",)

    def __init__(self) -> None:
        super().__init__()
        self.audience: Audience | None = None


class Subscriptions(CrossbarBroker, ABC):  # type: ignore[misc]
    """The subscriptions of one realm."""

    def attach(self, session: NodeSession) -> None:
        """A session that subscribes to nothing has no set of its own."""
        self._session_to_subscriptions[session] = NONE

    def is_read(self, topic: str) -> bool:
        """Whether anybody reads a topic, by its URI or by a pattern: asked before an event of the node's is made.

        What is kept is read by whoever comes later.
        """
        if self._keeping is not None and self._keeping.contract(topic) is not None:
            return True
        map_ = self._subscription_map
        if topic in map_._observations_exact:
            return True
        has_patterns = len(map_._observation_id_to_observation) > len(map_._observations_exact)
        return has_patterns and bool(map_.match_observations(topic))

    def processSubscribe(self, session: NodeSession, subscribe: message.Subscribe) -> None:
        refusal = uris.check_pattern(subscribe.topic, subscribe.match, where="topic")
        if refusal is not None:
            self._router.refuse(session, subscribe, refusal)
        else:
            self._router.permit(
                session, subscribe, subscribe.topic, "subscribe", lambda _: self._subscribe(session, subscribe)
            )

    def _subscribe(self, session: NodeSession, subscribe: message.Subscribe) -> None:
        link = session._transport
        if isinstance(link, Link) and link.is_showing_much:
            late = partial(self._subscribe_late, session, subscribe)
            self._wait(session, link, late, lambda: not link.is_showing_much)
            return
        try:
            self._check_room(session, subscribe)
            beginning = self._beginning(session, subscribe)
        except RemoteError as refusal:
            self._router.refuse(session, subscribe, refusal)
            return
        subscription, was_subscribed, is_new = self._subscription_map.add_observer(
            session, subscribe.topic, subscribe.match, extra=Readers()
        )
        subscription.extra.audience = None
        (self._session_to_subscriptions[session] or self._begin(session)).add(subscription)
        self._router.send(session, _answer(subscribe, subscription, beginning))
        if isinstance(link, Link) and getattr(subscribe, "told", False):
            link.queue(link.format.granted(subscription.id, beginning.granted))
        if is_new:
            self._announce("on_create", subscription, session, _facts(subscription))
        if not was_subscribed:
            self._announce("on_subscribe", subscription, session, subscription.id)
            if self._attending is not None:
                self._attending.entered(subscription, session)
        self._set_pace(session, subscription, getattr(subscribe, "max_rate", None))
        if isinstance(link, Link):
            for topics, follower in beginning.followers:
                link.begin([_channel(link, subscription, topic) for topic in topics], follower)
        if subscribe.get_retained:
            self._show(session, subscription, [follower for _, follower in beginning.followers])

    def _subscribe_late(self, session: NodeSession, subscribe: message.Subscribe) -> None:
        """It has waited, and its session may have become somebody who may not."""
        refusal = self._router.forbids(session, "subscribe", subscribe.topic, subscribe.match or "exact")
        if refusal is not None:
            self._router.refuse(session, subscribe, refusal)
        else:
            self._subscribe(session, subscribe)

    def _show(self, session: NodeSession, subscription: Any, followers: list[Follower]) -> None:
        """Give a WAMP client what it asks for with ``get_retained``.

        To a stock client the newest values are what comes before the answer to its next request, so that one waits.
        """
        self.show_retained(session, subscription)
        link = session._transport
        if isinstance(link, Link):
            link.write_now()
            if any(one.shows_newest for one in followers):
                until = partial(_are_shown, followers)
                self._wait(session, link, lambda: None, until)

    def _wait(self, session: NodeSession, link: Link, step: Callable[[], object], until: Callable[[], bool]) -> None:
        """Go on with a session later. What it sends meanwhile waits too."""
        turns = self._router.turns
        turns.wait(session)
        link.put_off(lambda: turns.resume(session, step), until)

    def _check_room(self, session: NodeSession, subscribe: message.Subscribe) -> None:
        """:raises TooMany: this would be one more subscription than a session may have."""
        held = self._session_to_subscriptions[session]
        if not isinstance(session._transport, Link):
            return
        most = MAX_SUBSCRIPTIONS if session.levels is None else session.levels.subscribed
        if len(held) < most:
            return
        known = self._subscription_map.get_observation(subscribe.topic, subscribe.match or "exact")
        if known not in held:
            raise TooMany(
                f"this session has {len(held)} subscriptions, and may have no more",
                where=subscribe.topic,
                advice="unsubscribe from something, or subscribe to a pattern",
                data={"most": most},
            )

    def _beginning(self, session: NodeSession, subscribe: message.Subscribe) -> Beginning:
        """What the subscription begins with; a component of the node's begins with what comes now."""
        is_ours = isinstance(subscribe, asked.Subscribe)
        refusal = asked.check(subscribe) if is_ours else None
        if refusal is not None:
            raise refusal
        if self._keeping is None or not isinstance(session._transport, Link):
            return NOTHING_MORE
        newest = bool(subscribe.get_retained) or (is_ours and subscribe.newest)
        after, is_told = (subscribe.after, subscribe.told) if is_ours else (None, False)
        if not newest and not is_told and after is None:
            return NOTHING_MORE
        match = subscribe.match or "exact"
        if subscribe.get_retained and not is_told and after is None and match == "exact":
            after = self._keeping.before_newest(subscribe.topic)
        return begin(self._keeping, self.topics, subscribe.topic, match, after, newest)

    # ---- paces ------------------------------------------------------------------------------------------------------

    def processRate(self, session: NodeSession, rate: asked.Rate) -> None:
        subscription = self._subscription_map.get_observation_by_id(rate.subscription)
        if subscription is None or subscription not in self._session_to_subscriptions[session]:
            advice = "give the number that subscribing was answered with"
            refusal = RemoteError("this session has no such subscription", code=NO_SUBSCRIPTION, advice=advice)
            self._router.refuse(session, rate, refusal)
            return
        self._router.send(session, asked.Rated(rate.request))
        self._set_pace(session, subscription, rate.max_rate)

    def _set_pace(self, session: NodeSession, subscription: Any, rate: float | None) -> None:
        link = session._transport
        if isinstance(link, Link):
            link.set_pace(subscription.id, rate, lambda topic: self._covering(session, topic))

    def _covering(self, session: NodeSession, topic: str) -> list[int]:
        """Its subscriptions that cover a topic. It may have a thousand, so it is not asked of each."""
        held = self._session_to_subscriptions.get(session, NONE)
        return [one.id for one in self._subscription_map.match_observations(topic) if one in held]

    def _begin(self, session: NodeSession) -> set[Any]:
        begun: set[Any] = set()
        self._session_to_subscriptions[session] = begun
        return begun

    @abstractmethod
    def show_retained(self, session: NodeSession, subscription: Any) -> None: ...

    def _unsubscribe(self, subscription: Any, session: NodeSession, unsubscribe: Any = None) -> tuple[bool, bool, bool]:
        """Where a subscription ends; Crossbar's ``processUnsubscribe`` and ``removeSubscriber`` come here."""
        was_subscribed, was_last = self._subscription_map.drop_observer(session, subscription)
        if was_subscribed:
            subscription.extra.audience = None
            self._session_to_subscriptions[session].discard(subscription)
            lagging = getattr(session._transport, "lagging", None)
            if lagging is not None:
                self._stop_reading(session, subscription, lagging)
            if self._attending is not None:
                self._attending.left(subscription, session)
            self._announce("on_unsubscribe", subscription, session, subscription.id)
        if was_last:
            self._subscription_map.delete_observation(subscription)
            self._announce("on_delete", subscription, session, subscription.id)
        return was_subscribed, was_last, was_subscribed

    def _stop_reading(self, session: NodeSession, subscription: Any, lagging: Lagging) -> None:
        """Leave the channels that no other subscription of this session reads."""
        lagging.drop_pace(subscription.id)
        if subscription.match == "exact":
            own = (Channel(subscription.uri), Channel(subscription.uri, subscription.id))
            channels = {channel for channel in own if lagging.reads(channel)}
        else:
            covers = matcher(subscription.uri, subscription.match)
            channels = {channel for channel in lagging.channels() if covers(channel.topic)}
        for channel in channels:
            if channel.subscription == subscription.id or not (
                channel.subscription or self._covering(session, channel.topic)
            ):
                lagging.left(channel)

    # ---- taken away ---------------------------------------------------------------------------------------------

    def subscriptions_of(self, session: NodeSession) -> frozenset[Any]:
        """What it reads: each has its ``uri``, which may be a pattern, and its ``match``."""
        return frozenset(self._session_to_subscriptions.get(session, ()))

    def removeSubscriber(self, subscription: Any, session: NodeSession, reason: str | None = None) -> tuple[bool, bool]:
        """``wamp.subscription.remove_subscriber``."""
        ended = Denied("an operator has ended this subscription", where=subscription.uri)
        was_subscribed, was_last = self.take_away(subscription, session, ended, reason)
        self.withhold(session)
        return was_subscribed, was_last

    def take_away(
        self, subscription: Any, session: NodeSession, refusal: RemoteError, reason: str | None = None
    ) -> tuple[bool, bool]:
        """End a subscription for its reader's session, and tell it. :meth:`withhold` has to follow.

        :param refusal: why. :param reason: a URI that an operator gave.
        :returns: whether there was one, and whether it was the last reader.
        """
        was_subscribed, was_last, _ = self._unsubscribe(subscription, session)
        if was_subscribed and _hears_of_revocation(session):
            self._router.send(session, Unsubscribed(subscription, refusal, reason))
        return was_subscribed, was_last

    def withhold(self, session: NodeSession) -> None:
        """Let nothing leave that waits for a session and belongs to a subscription that has ended."""
        link, held = session._transport, self._session_to_subscriptions.get(session, NONE)
        if not isinstance(link, Link) or link.lagging is None:
            return
        numbers, known = {one.id for one in held}, dict[str, bool]()

        def is_ended(channel: Channel) -> bool:
            if channel.subscription:
                return channel.subscription not in numbers
            if channel.topic not in known:
                known[channel.topic] = not self._covering(session, channel.topic)
            return known[channel.topic]

        link.lagging.withhold(is_ended)

    def detach(self, session: NodeSession) -> None:
        subscriptions = self._session_to_subscriptions.get(session)
        if subscriptions is None:
            raise NotAttached(f"session {session._session_id} is not attached")
        self._session_to_subscriptions[session] = set()  # what waits in one of them is not for the others
        for subscription in subscriptions:
            self._unsubscribe(subscription, session)
        del self._session_to_subscriptions[session]

    def _announce(self, event: str, subscription: Any, session: NodeSession, fact: Any) -> None:
        if not subscription.uri.startswith("wamp."):
            self._router.announce(f"wamp.subscription.{event}", session._session_id, fact)


def _facts(subscription: Any) -> dict[str, Any]:
    """What ``wamp.subscription.on_create`` tells (WAMP advanced profile, subscription meta events)."""
    return {
        "id": subscription.id,
        "created": subscription.created,
        "uri": subscription.uri,
        "match": subscription.match,
    }


def _hears_of_revocation(session: NodeSession) -> bool:
    """Whether its client knows UNSUBSCRIBED with the request number 0; others may hang up over it."""
    is_ours = isinstance(session._transport, DoorLink) or (session.agent or "").startswith(OURS)
    return is_ours or has_feature(session, "subscriber", "subscription_revocation")


def _answer(subscribe: message.Subscribe, subscription: Any, beginning: Beginning) -> message.Subscribed:
    if beginning is NOTHING_MORE:
        return message.Subscribed(subscribe.request, subscription.id)
    return Subscribed(subscribe.request, subscription.id, beginning.granted)


def _channel(link: Link, subscription: Any, topic: str) -> Channel:
    """How a link knows a topic under a subscription."""
    return Channel(topic, subscription.id, subscription.match) if link.format.per_subscription else Channel(topic)


def _are_shown(followers: list[Follower]) -> bool:
    return not any(one.shows_newest for one in followers)
