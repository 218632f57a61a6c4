"""The broker: Crossbar's bookkeeping of subscriptions, with our own path from PUBLISH to the readers.

An event is accepted, acknowledged, then delivered: one :class:`Delivery` per matching subscription, one encoding per
format, one frame shared by all links of that format (see :mod:`hopsack_router.routing.fanout`). The work per publish
depends on the subscriptions that match and on the deliveries, on nothing else. Events of one publisher reach each
reader in the order they were published: dispatch is never chunked.

    live          PUBLISH -> PUBLISHED, deliver
    a stream      PUBLISH -> append …  committed -> PUBLISHED with its position, deliver
                                       refused   -> ERROR, and nobody has heard of it
    ``latest``    the same, without a position; one that wants no acknowledgement is delivered at once, unless
                  something waits that came before

An event of a stream is delivered when it is committed, because one that was delivered and then lost would leave readers
with a position that another event gets. Its publisher reads it too, unless it says otherwise.

Retained events take the same way out, to the one subscriber that asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from autobahn import util
from autobahn.wamp import message
from msgspec.structs import replace

from hopsack.contracts import TopicContract
from hopsack.errors import Invalid, RemoteError
from hopsack.wamp.codec import MSGPACK
from hopsack_router.routing import drafts, uris
from hopsack_router.routing.asked import Published
from hopsack_router.routing.attending import Attending
from hopsack_router.routing.covering import Topics
from hopsack_router.routing.fanout import Audience, Delivery, Format, Outlet, frame_of
from hopsack_router.routing.keeping import Keeping
from hopsack_router.routing.retained import Kept, Retained, is_addressed, is_for_nobody, weight_of, without_payload
from hopsack_router.routing.subscriptions import Readers, Subscriptions
from hopsack_router.routing.unread import Carried, carried_by
from hopsack_router.streams import Stored

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession


RELIEF = 64 << 10
"""Bytes of kept events after which what they made is written, though the turn goes on. The journal may announce
megabytes in one turn, and a reader's policies begin when its transport says that it is full, not before."""


class Broker(Subscriptions):
    """Routes events of one realm."""

    def __init__(self, router: Any, reactor: Any, options: Any = None) -> None:
        super().__init__(router, reactor, options)
        self._retained = Retained()
        self._keeping: Keeping | None = router.keeping
        self.topics: Topics | None = Topics(self._keeping) if self._keeping is not None else None
        self._attending: Attending | None = router.attending
        self._written = 0

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
        if self._keeping is not None:
            contract = self._keeping.contract(publish.topic)
            if contract is not None:
                self._keep(session, publish, contract, publication, carried, disclosed)
                return
        if publish.retain and not self._retain(session, publication, publish, carried, disclosed):
            return
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

    # ---- kept events ------------------------------------------------------------------------------------------------

    def _keep(
        self,
        session: NodeSession,
        publish: message.Publish,
        contract: TopicContract,
        publication: int,
        carried: Carried,
        disclosed: NodeSession | None,
    ) -> None:
        keeping, topic = self._keeping, publish.topic
        assert keeping is not None
        refusal = drafts.check(contract, publish)
        if refusal is not None:
            self._router.refuse(session, publish, refusal)
            return
        draft = drafts.draft_of(contract, publication, publish, carried, disclosed)
        if draft.deleted:
            carried = drafts.carried_in(draft.data)
        is_stream, durable = contract.stream is not None, bool(publish.acknowledge)
        skip = publish.exclude_me is True if is_stream else publish.exclude_me is not False

        def announce(event: Stored) -> None:
            self._announce_kept(session, publish, carried, event, skip, contract.encrypted is not None)

        def refuse(error: RemoteError) -> None:
            self._router.refuse(session, publish, error)

        if is_stream:
            keeping.append(topic, draft, durable, session._authid, announce, refuse)
        else:
            keeping.keep(topic, draft, durable, announce, refuse)

    def _announce_kept(
        self,
        session: NodeSession,
        publish: message.Publish,
        carried: Carried,
        event: Stored,
        skip: bool,
        sealed: bool,
    ) -> None:
        """Acknowledge an event that is kept, and deliver it.

        :param skip: not to its publisher. :param sealed: its topic is encrypted.
        """
        position = None if event.position is None else str(event.position)
        if publish.acknowledge:
            self._router.send(session, Published(publish.request, event.publication, position))
        if event.repeated:
            return
        if self.topics is not None:
            self.topics.add(event.topic)
        matching = self._matching(event.topic)
        sent: Sent | None = {} if len(matching) > 1 else None
        audiences: list[Audience] = []
        for subscription in matching:
            place = subscription.id, subscription.match
            delivery = drafts.delivery_of(event, *place, carried, position, sealed=sealed)
            audiences.append(_readers_of(subscription))
            self._deliver(delivery, audiences[-1], session if skip else None, sent)
        self._written += event.size
        if self._written >= RELIEF:
            self._written = 0
            for outbox in {outbox for audience in audiences for _, outbox, _ in audience.groups}:
                outbox.relieve()

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
            for outlet in outbox.share(frame, delivery, receivers, skipped):
                outlet.link.tell_of_dropped(delivery, len(frame))
        # They come last, since one of them may end the sessions of others.
        for component in audience.components:
            if component is not skip and component._transport is not None:
                component._transport.send(to_message(delivery))

    def _frame_for(
        self, fmt: Format, delivery: Delivery, outlets: Sequence[Outlet], sent: Sent | None
    ) -> tuple[bytes, Sequence[Outlet]]:
        """The frame, and who still needs it: bytes that name no subscription go to each connection once."""
        if sent is None or fmt.per_subscription:
            return frame_of(fmt, delivery), outlets
        known = sent.get(fmt)
        if known is None:
            known = sent[fmt] = (frame_of(fmt, delivery), set())
        frame, reached = known
        receivers = [outlet for outlet in outlets if outlet not in reached]
        reached.update(receivers)
        return frame, receivers

    # ---- retained events ------------------------------------------------------------------------------------------

    def _retain(
        self,
        session: NodeSession,
        publication: int,
        publish: message.Publish,
        carried: Carried,
        disclosed: NodeSession | None,
    ) -> bool:
        """:returns: whether it could be kept; its publisher has been told if not."""
        size = len(publish.payload) if publish.payload is not None else 0
        if publish.payload is None:
            try:
                args, kwargs = (part.copy() for part in carried.encoded(MSGPACK))  # else they hold the whole message
            except Exception:  # CBOR has numbers, and JSON texts, that nothing else has
                refusal = Invalid("this value has parts that cannot be kept", where=publish.topic, path="")
                self._router.refuse(session, publish, refusal)
                return False
            carried, size = Carried(MSGPACK, args, kwargs), len(args) + len(kwargs)
        event = _delivery(None, publication, publish, carried, disclosed)
        self._retained.keep(Kept(without_payload(publish), weight_of(publish, size), event))
        return True

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
