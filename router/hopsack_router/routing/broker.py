"""The broker: Crossbar's bookkeeping of subscriptions, with our own path from PUBLISH to the readers.

An event is accepted, acknowledged, then delivered: one :class:`Delivery` per matching subscription, one encoding per
format, one frame shared by all links of that format (see :mod:`hopsack_router.routing.fanout`). The work per publish
depends on the subscriptions that match and on the deliveries, on nothing else. Events of one publisher reach each
reader in the order they were published: dispatch is never chunked.

Retained events take the same way out, to the one subscriber that asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autobahn import util
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from msgspec.structs import replace
from twisted.logger import Logger

from hopsack.wamp.codec import MSGPACK
from hopsack_router import metrics
from hopsack_router.routing import uris
from hopsack_router.routing.fanout import Delivery, Format
from hopsack_router.routing.links import Link
from hopsack_router.routing.retained import Kept, Retained, is_addressed, is_for_nobody
from hopsack_router.routing.subscriptions import Subscriptions
from hopsack_router.routing.unread import Carried, carried_by

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

LOG = Logger()


class Broker(Subscriptions):
    """Routes events of one realm."""

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self._retained = Retained()

    def processPublish(self, session: NodeSession, publish: message.Publish) -> None:
        refusal = uris.check(publish.topic, restricted=session._authrole != "trusted", where="topic")
        if refusal is not None:
            self._router.refuse(session, publish, refusal)
        elif self._router.admits:
            self._accept(session, publish, disclose=session._authrole == "trusted")
        else:
            self._router.permit(
                session,
                publish,
                publish.topic,
                "publish",
                lambda authorization: self._accept(session, publish, bool(authorization.get("disclose"))),
            )

    def _accept(self, session: NodeSession, publish: message.Publish, disclose: bool) -> None:
        publication = util.id()
        disclosed = session if disclose else None
        carried = carried_by(publish)
        if publish.retain:
            self._retain(publication, publish, carried, disclosed)
        if publish.acknowledge:
            self._router.send(session, message.Published(publish.request, publication))
        addressed = is_addressed(publish)
        if addressed and is_for_nobody(publish):
            return
        shared: dict[Format, bytes] = {}
        for subscription in self._subscription_map.match_observations(publish.topic):
            if publish.topic.startswith("wamp.") and not subscription.uri.startswith("wamp."):
                continue  # a pattern that merely covers the meta topics has not been granted them
            receivers = subscription.observers
            if addressed:
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
        publication = 0 if delivery.retained else delivery.publication
        count = 0
        for receiver in tuple(receivers):  # a component of the node that takes the event may end a session
            link = receiver._transport
            if receiver is skip or link is None:
                continue
            if not isinstance(link, Link):  # a component inside the node takes the message itself
                link.send(to_message(delivery))
                continue
            fmt = link.format
            known = frames if fmt.per_subscription else shared
            frame = known.get(fmt)
            if not frame:
                frame = known[fmt] = _frame(fmt, delivery)
                if not frame:
                    continue
            try:
                link.offer(frame, publication)
            except PayloadExceededError:
                _tell_of_dropped(link, delivery, len(frame))
                continue
            count += 1
        if count:
            metrics.deliveries.inc(count)

    # ---- retained events ------------------------------------------------------------------------------------------

    def _retain(
        self, publication: int, publish: message.Publish, carried: Carried, disclosed: NodeSession | None
    ) -> None:
        size = len(publish.payload) if publish.payload is not None else sum(map(len, carried.encoded(MSGPACK)))
        event = _delivery(None, publication, publish, carried, disclosed)
        self._retained.keep(Kept(publish, size, event))

    def show_retained(self, session: NodeSession, subscription: Any) -> None:
        for kept in self._retained.shown_to(session, subscription.uri, subscription.match):
            event = replace(kept.content, subscription=subscription.id, match=subscription.match, retained=True)
            self._deliver(event, (session,), None, {})


def _frame(fmt: Format, delivery: Delivery) -> bytes:
    """The frame of an event; that of its notice, where this format cannot write what another one could."""
    try:
        return fmt.event(delivery)
    except Exception:
        LOG.failure("an event of {topic} cannot be written for some of its readers", topic=delivery.topic)
        return fmt.notice(delivery, "unreadable", 0)


def _tell_of_dropped(link: Link, delivery: Delivery, size: int) -> None:
    """The reader does not take messages as large as this event: tell it that there was one."""
    metrics.oversized.labels(link.door).inc()
    link.oversized += 1
    if link.oversized == 1:  # the first one is enough to know
        LOG.warn(
            "events of {topic} with {size} bytes are too large for {peer}, which is told so instead",
            topic=delivery.topic,
            size=size,
            peer=link.peer,
        )
    notice = link.format.notice(delivery, "too_large", size)
    if notice:
        with suppress(PayloadExceededError):
            link.offer(notice, delivery.publication)


def _delivery(
    subscription: Any, publication: int, publish: message.Publish, carried: Carried, disclosed: NodeSession | None
) -> Delivery:
    return Delivery(
        topic=publish.topic,
        subscription=subscription.id if subscription else 0,
        match=subscription.match if subscription else "exact",
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
        retained=True if delivery.retained else None,
        forward_for=delivery.forward_for,
        **opaque,
    )
