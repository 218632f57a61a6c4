"""The broker: Crossbar's bookkeeping of subscriptions, with our own path from PUBLISH to the readers.

An event is accepted, acknowledged, then delivered: one :class:`Delivery` per matching subscription, one encoding per
format, one frame shared by all links of that format (see :mod:`hopsack_router.routing.fanout`). The work per publish
depends on the subscriptions that match and on the deliveries, on nothing else. Events of one publisher reach each
reader in the order they were published: dispatch is never chunked.

Retained events take the same way out, to the one subscriber that asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from autobahn import util
from autobahn.wamp import message
from msgspec.structs import replace
from twisted.logger import Logger

from hopsack.wamp.codec import MSGPACK
from hopsack_router import metrics
from hopsack_router.routing import uris
from hopsack_router.routing.fanout import Audience, Delivery, Format, Outlet
from hopsack_router.routing.retained import Kept, Retained, is_addressed, is_for_nobody, weight_of, without_payload
from hopsack_router.routing.subscriptions import Readers, Subscriptions
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
        skip = None if publish.exclude_me is False else session
        matching = self._matching(publish.topic)
        sent: Sent | None = {} if len(matching) > 1 else None
        for subscription in matching:
            if addressed:
                audience = Audience(self._filter_publish_receivers(subscription.observers, publish))
            else:
                audience = _readers_of(subscription)
            delivery = _delivery(subscription, publication, publish, carried, disclosed)
            self._deliver(delivery, audience, skip, sent)

    def _matching(self, topic: str) -> list[Any]:
        matching: list[Any] = self._subscription_map.match_observations(topic)
        if topic.startswith("wamp."):  # a pattern that merely covers the meta topics has not been granted them
            return [subscription for subscription in matching if subscription.uri.startswith("wamp.")]
        return matching

    def _filter_publish_receivers(self, readers: Any, publish: message.Publish) -> Any:
        """Whom the lists of an event let through. Of a role there may be ten thousand sessions that do not read it:
        the few that are named are looked up, and of these, or of all, each is asked who it is."""
        sessions, namesakes = self._router._session_id_to_session, self._router._authid_to_sessions
        if publish.eligible is not None:
            readers = {sessions.get(number) for number in publish.eligible} & readers
        elif publish.eligible_authid is not None:
            readers = {one for authid in publish.eligible_authid for one in namesakes.get(authid)} & readers
        for fact, eligible, exclude in (
            ("_session_id", None, publish.exclude),
            ("_authid", publish.eligible_authid, publish.exclude_authid),
            ("_authrole", publish.eligible_authrole, publish.exclude_authrole),
        ):
            if eligible is not None:
                wanted = frozenset(eligible)
                readers = [one for one in readers if getattr(one, fact) in wanted]
            if exclude:
                unwanted = frozenset(exclude)
                readers = [one for one in readers if getattr(one, fact) not in unwanted]
        return readers

    def _deliver(
        self, delivery: Delivery, audience: Audience, skip: NodeSession | None = None, sent: Sent | None = None
    ) -> None:
        """Hand one event to the readers of one subscription. What runs once per reader is ``Outbox.share``.

        :param skip: the session that does not get it.
        :param sent: what other subscriptions have brought of this publication; ``None`` if there is only one.
        """
        skipped = _outlet_of(skip)
        for fmt, outbox, outlets in audience.groups:
            frame, receivers = self._frame_for(fmt, delivery, outlets, sent)
            if not frame:
                continue
            for outlet in outbox.share(frame, receivers, skipped):
                _tell_of_dropped(outlet, delivery, len(frame))
        # They come last, since one of them may end the sessions of others.
        for component in audience.components:
            if component is not skip and component._transport is not None:
                component._transport.send(to_message(delivery))

    def _frame_for(
        self, fmt: Format, delivery: Delivery, outlets: Sequence[Outlet], sent: Sent | None
    ) -> tuple[bytes, Sequence[Outlet]]:
        """The frame, and who still needs it: bytes that name no subscription go to each connection once."""
        if sent is None or fmt.per_subscription:
            return _frame(fmt, delivery), outlets
        known = sent.get(fmt)
        if known is None:
            known = sent[fmt] = (_frame(fmt, delivery), set())
        frame, reached = known
        receivers = [outlet for outlet in outlets if outlet not in reached]
        reached.update(receivers)
        return frame, receivers

    # ---- retained events ------------------------------------------------------------------------------------------

    def _retain(
        self, publication: int, publish: message.Publish, carried: Carried, disclosed: NodeSession | None
    ) -> None:
        size = len(publish.payload) if publish.payload is not None else 0
        if publish.payload is None:
            args, kwargs = (part.copy() for part in carried.encoded(MSGPACK))  # else they hold the whole message
            carried, size = Carried(MSGPACK, args, kwargs), len(args) + len(kwargs)
        event = _delivery(None, publication, publish, carried, disclosed)
        self._retained.keep(Kept(without_payload(publish), weight_of(publish, size), event))

    def show_retained(self, session: NodeSession, subscription: Any) -> None:
        for kept in self._retained.shown_to(session, subscription.uri, subscription.match):
            carried = kept.content.carried.afresh()  # what is decoded for this reader is not kept
            event = replace(
                kept.content, subscription=subscription.id, match=subscription.match, carried=carried, retained=True
            )
            self._deliver(event, Audience((session,)))


Sent: TypeAlias = dict[Format, tuple[bytes, set[Outlet]]]
"""The frames of one publication that do not differ between its subscriptions, and who has got them."""


def _readers_of(subscription: Any) -> Audience:
    """Everybody who subscribed; kept until that changes."""
    extra: Readers = subscription.extra
    audience = extra.audience
    if audience is None:
        audience = extra.audience = Audience(subscription.observers)
    return audience


def _outlet_of(session: NodeSession | None) -> Outlet | None:
    """Where a session's events wait; a component of the node takes them itself."""
    return getattr(session and session._transport, "outlet", None)


def _frame(fmt: Format, delivery: Delivery) -> bytes:
    """The frame of an event; that of its notice, where this format cannot write what another one could."""
    try:
        return fmt.event(delivery)
    except Exception:
        LOG.failure("an event of {topic} cannot be written for some of its readers", topic=delivery.topic)
        return fmt.notice(delivery, "unreadable", 0)


def _tell_of_dropped(outlet: Outlet, delivery: Delivery, size: int) -> None:
    """The reader does not take messages as large as this event: tell it that there was one."""
    link = outlet.link
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
    if notice and len(notice) <= outlet.most:
        link.queue(notice)


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
