"""Who reads what: SUBSCRIBE, UNSUBSCRIBE and revocation over Crossbar's subscription map.

    SUBSCRIBE                     -> SUBSCRIBED, then the retained events it asked for
              invalid URI         -> ERROR invalid_uri
    UNSUBSCRIBE                   -> UNSUBSCRIBED
    remove_subscriber             -> UNSUBSCRIBED 0 to the subscriber

The meta events say what happened, with the session it happened to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from crossbar.router import NotAttached
from crossbar.router.broker import Broker as CrossbarBroker
from crossbar.router.broker import SubscriptionExtra

from hopsack_router.routing import uris
from hopsack_router.routing.fanout import Audience

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession


NONE: frozenset[Any] = frozenset()
"""The subscriptions of a session that has none."""


class Readers(SubscriptionExtra):  # type: ignore[misc]
    """What we keep with a subscription: its readers as the broker wants them, until who reads changes."""

    __slots__ = ("audience",)

    def __init__(self) -> None:
        super().__init__()
        self.audience: Audience | None = None


class Subscriptions(CrossbarBroker):  # type: ignore[misc]
    """The subscriptions of one realm."""

    def attach(self, session: NodeSession) -> None:
        """A session that subscribes to nothing has no set of its own."""
        self._session_to_subscriptions[session] = NONE

    def is_read(self, topic: str) -> bool:
        """Whether anybody reads a topic, by its URI or by a pattern: asked before an event of the node's is made."""
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
        subscription, was_subscribed, is_new = self._subscription_map.add_observer(
            session, subscribe.topic, subscribe.match, extra=Readers()
        )
        subscription.extra.audience = None
        (self._session_to_subscriptions[session] or self._begin(session)).add(subscription)
        self._router.send(session, message.Subscribed(subscribe.request, subscription.id))
        if is_new:
            self._announce("on_create", subscription, session, _facts(subscription))
        if not was_subscribed:
            self._announce("on_subscribe", subscription, session, subscription.id)
        if subscribe.get_retained:
            self.show_retained(session, subscription)

    def _begin(self, session: NodeSession) -> set[Any]:
        begun: set[Any] = set()
        self._session_to_subscriptions[session] = begun
        return begun

    def show_retained(self, session: NodeSession, subscription: Any) -> None:
        raise NotImplementedError

    def _unsubscribe(self, subscription: Any, session: NodeSession, unsubscribe: Any = None) -> tuple[bool, bool, bool]:
        """Where a subscription ends; Crossbar's ``processUnsubscribe`` and ``removeSubscriber`` come here."""
        was_subscribed, was_last = self._subscription_map.drop_observer(session, subscription)
        if was_subscribed:
            subscription.extra.audience = None
            self._session_to_subscriptions[session].discard(subscription)
            self._announce("on_unsubscribe", subscription, session, subscription.id)
        if was_last:
            self._subscription_map.delete_observation(subscription)
            self._announce("on_delete", subscription, session, subscription.id)
        return was_subscribed, was_last, was_subscribed

    def detach(self, session: NodeSession) -> None:
        subscriptions = self._session_to_subscriptions.get(session)
        if subscriptions is None:
            raise NotAttached(f"session {session._session_id} is not attached")
        for subscription in tuple(subscriptions):
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
