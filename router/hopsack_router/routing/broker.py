"""The broker: Crossbar's bookkeeping of subscriptions, with our own path from PUBLISH to the readers.

An event is accepted, acknowledged, then delivered: one :class:`Delivery` per matching subscription, one encoding per
format, one frame shared by all links of that format (see :mod:`hopsack_router.routing.fanout`). The work per publish
depends on the subscriptions that match and on the deliveries, on nothing else. Events of one publisher reach each
reader in the order they were published: dispatch is never chunked.

What keeps Crossbar's code: SUBSCRIBE, UNSUBSCRIBE, retained events, meta events, revocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from autobahn import util
from autobahn.wamp import message
from crossbar.router.broker import Broker as CrossbarBroker
from crossbar.router.broker import RetainedEvent, SubscriptionExtra

from hopsack_router import metrics
from hopsack_router.routing import uris
from hopsack_router.routing.fanout import Delivery, Format

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession


class Broker(CrossbarBroker):  # type: ignore[misc]
    """Routes events of one realm."""

    def processPublish(self, session: NodeSession, publish: message.Publish) -> None:
        topic = publish.topic
        refusal = uris.check(topic, restricted=session._authrole != "trusted", where="topic")
        if refusal is not None:
            self._router.refuse(session, publish, refusal)
            return
        self._accept(session, publish)

    def _accept(self, session: NodeSession, publish: message.Publish) -> None:
        publication = util.id()
        disclosed = session if session._authrole == "trusted" else None
        if publish.retain:
            self._retain(publish, disclosed)
        if publish.acknowledge:
            self._router.send(session, message.Published(publish.request, publication))
        shared: dict[Format, bytes] = {}
        for subscription in self._subscription_map.match_observations(publish.topic):
            if publish.topic.startswith("wamp.") and not subscription.uri.startswith("wamp."):
                continue  # a pattern that merely covers the meta topics has not been granted them
            receivers = subscription.observers
            if _is_filtered(publish):
                receivers = self._filter_publish_receivers(receivers, publish)
            if receivers:
                skip = None if publish.exclude_me is False else session
                self._deliver(_delivery(subscription, publication, publish, disclosed), receivers, skip, shared)

    def _deliver(
        self,
        delivery: Delivery,
        receivers: Iterable[NodeSession],
        skip: NodeSession | None,
        shared: dict[Format, bytes],
    ) -> None:
        """The inner loop: its body runs once per reader.

        :param shared: frames of this publication that do not differ between its subscriptions.
        """
        frames: dict[Format, bytes] = {}
        count = 0
        for receiver in receivers:
            link = receiver._transport
            if receiver is skip or link is None:
                continue
            fmt = getattr(link, "format", None)
            if fmt is None:  # a component inside the node takes the message itself
                link.send(to_message(delivery))
                continue
            known = frames if fmt.per_subscription else shared
            frame = known.get(fmt)
            if frame is None:
                frame = known[fmt] = fmt.event(delivery)
            link.offer(frame, delivery.publication)
            count += 1
        if count:
            metrics.deliveries.inc(count)

    def _retain(self, publish: message.Publish, disclosed: NodeSession | None) -> None:
        retained = RetainedEvent(
            publish,
            disclosed and disclosed._session_id,
            disclosed and disclosed._authid,
            disclosed and disclosed._authrole,
        )
        observation = self._subscription_map.get_observation(publish.topic)
        if observation is None:
            observation = self._subscription_map.create_observation(publish.topic, extra=SubscriptionExtra())
        addressed = publish.eligible or publish.exclude
        if observation.extra.retained_events and addressed:
            observation.extra.retained_events.append(retained)
        else:
            observation.extra.retained_events = [retained]


def _is_filtered(publish: message.Publish) -> bool:
    return bool(
        publish.exclude
        or publish.eligible
        or publish.exclude_authid
        or publish.eligible_authid
        or publish.exclude_authrole
        or publish.eligible_authrole
    )


def _delivery(subscription: Any, publication: int, publish: message.Publish, disclosed: NodeSession | None) -> Delivery:
    return Delivery(
        topic=publish.topic,
        subscription=subscription.id,
        match=subscription.match,
        publication=publication,
        args=publish.args,
        kwargs=publish.kwargs,
        payload=publish.payload,
        enc_algo=publish.enc_algo,
        enc_key=publish.enc_key,
        enc_serializer=publish.enc_serializer,
        publisher=disclosed and disclosed._session_id,
        publisher_authid=disclosed and disclosed._authid,
        publisher_authrole=disclosed and disclosed._authrole,
        forward_for=publish.forward_for,
    )


def to_message(delivery: Delivery) -> message.Event:
    """The WAMP EVENT of a delivery. Only pattern subscriptions carry the topic (advanced profile, section 8.4)."""
    opaque: dict[str, Any] = {}
    if delivery.payload is not None:
        opaque = {
            "payload": delivery.payload,
            "enc_algo": delivery.enc_algo,
            "enc_key": delivery.enc_key,
            "enc_serializer": delivery.enc_serializer,
        }
    return message.Event(
        delivery.subscription,
        delivery.publication,
        args=delivery.args,
        kwargs=delivery.kwargs,
        publisher=delivery.publisher,
        publisher_authid=delivery.publisher_authid,
        publisher_authrole=delivery.publisher_authrole,
        topic=None if delivery.match == "exact" else delivery.topic,
        forward_for=delivery.forward_for,
        **opaque,
    )
