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
from autobahn.wamp.exception import ApplicationError
from crossbar.router.broker import Broker as CrossbarBroker
from crossbar.router.broker import RetainedEvent, SubscriptionExtra
from twisted.logger import Logger

from hopsack.errors import Denied, RemoteError
from hopsack_router import metrics
from hopsack_router.routing import uris
from hopsack_router.routing.fanout import Delivery, Format
from hopsack_router.routing.links import Link
from hopsack_router.routing.unread import Carried, carried_by

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

LOG = Logger()


class Broker(CrossbarBroker):  # type: ignore[misc]
    """Routes events of one realm."""

    def processPublish(self, session: NodeSession, publish: message.Publish) -> None:
        refusal = uris.check(publish.topic, restricted=session._authrole != "trusted", where="topic")
        if refusal is not None:
            self._router.refuse(session, publish, refusal)
        elif self._router.admits:
            self._accept(session, publish, disclose=session._authrole == "trusted")
        else:
            self._ask_roles(session, publish)

    def _ask_roles(self, session: NodeSession, publish: message.Publish) -> None:
        """Crossbar's own roles decide, one of which may be a remote procedure."""
        asked = self._router.authorize(session, publish.topic, "publish", options=publish.marshal_options())

        def decided(authorization: dict[str, Any]) -> None:
            if authorization["allow"]:
                self._accept(session, publish, bool(authorization.get("disclose")))
            else:
                self._router.refuse(session, publish, Denied(where=publish.topic))

        def failed(failure: Any) -> None:
            LOG.failure("an authorizer failed", failure=failure)
            uri = ApplicationError.AUTHORIZATION_FAILED
            self._router.refuse(session, publish, RemoteError("the authorizer failed", code=uri, where=publish.topic))

        asked.addCallback(decided).addErrback(failed)

    def _accept(self, session: NodeSession, publish: message.Publish, disclose: bool) -> None:
        publication = util.id()
        disclosed = session if disclose else None
        carried = carried_by(publish)
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
                delivery = _delivery(subscription, publication, publish, carried, disclosed)
                self._deliver(delivery, receivers, skip, shared)

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
            if not isinstance(link, Link):  # a component inside the node takes the message itself
                link.send(to_message(delivery))
                continue
            fmt = link.format
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


def _delivery(
    subscription: Any, publication: int, publish: message.Publish, carried: Carried, disclosed: NodeSession | None
) -> Delivery:
    return Delivery(
        topic=publish.topic,
        subscription=subscription.id,
        match=subscription.match,
        publication=publication,
        carried=carried,
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
    args, kwargs = None, None
    if delivery.payload is not None:
        opaque = {
            "payload": delivery.payload,
            "enc_algo": delivery.enc_algo,
            "enc_key": delivery.enc_key,
            "enc_serializer": delivery.enc_serializer,
        }
    else:
        args, kwargs = delivery.carried.values()
    return message.Event(
        delivery.subscription,
        delivery.publication,
        args=args,
        kwargs=kwargs,
        publisher=delivery.publisher,
        publisher_authid=delivery.publisher_authid,
        publisher_authrole=delivery.publisher_authrole,
        topic=None if delivery.match == "exact" else delivery.topic,
        forward_for=delivery.forward_for,
        **opaque,
    )
