"""An event that is to be kept, made of what was published: its payload as JSON, its key, who it is from; and back to
what is delivered, when it was read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from autobahn.wamp import message
from msgspec import Raw

from hopsack.contracts import TopicContract, payload_of
from hopsack.errors import BadRequest, RemoteError
from hopsack.wamp.codec import JSON
from hopsack.wamp.messages import ABSENT
from hopsack_router.routing import sealing
from hopsack_router.routing.fanout import Delivery
from hopsack_router.routing.retained import is_addressed
from hopsack_router.routing.unread import Carried
from hopsack_router.streams import Draft, Stored

if TYPE_CHECKING:
    from hopsack_router.routing.backlog import Channel
    from hopsack_router.routing.session import NodeSession

_ENCODER = msgspec.json.Encoder()


def check(contract: TopicContract, publish: message.Publish) -> RemoteError | None:
    """What makes an event one that cannot be kept.

    :param publish: WAMP's, or :class:`~hopsack_router.routing.asked.Publish`.
    """
    if is_addressed(publish):
        return BadRequest(
            "who reads an event of this topic cannot be chosen: it is kept for everybody who may read the topic",
            where=publish.topic,
            advice="leave out eligible and exclude, or publish to a topic with neither stream nor latest",
        )
    key = getattr(publish, "key", None)
    if key is not None and not isinstance(key, str):
        return BadRequest("an idempotency key is a string", where=publish.topic, advice="1 to 64 characters")
    return None


def draft_of(
    contract: TopicContract,
    publication: int,
    publish: message.Publish,
    carried: Carried,
    publisher: NodeSession | None,
) -> Draft:
    """:param publisher: where it is disclosed."""
    if publish.payload is not None:
        payload: Any = sealing.value_of(publish.payload, publish.enc_algo, publish.enc_serializer)
    else:
        payload = payload_of(*carried.values(), array=False)
    deleted = bool(getattr(publish, "delete", False))
    if deleted:
        payload = key_fields(contract, payload)
    return Draft(
        data=_ENCODER.encode(payload),
        publication=publication,
        session=publisher and publisher._session_id,
        authid=publisher and publisher._authid,
        role=publisher and publisher._authrole,
        key=getattr(publish, "key", None) if contract.stream else None,
        latest=latest_key(contract, payload),
        deleted=deleted,
    )


def latest_key(contract: TopicContract, payload: Any) -> str | None:
    """Under which key a topic keeps an event as its newest; ``None``: under none."""
    if not contract.keeps_latest:
        return None
    return _ENCODER.encode([payload[field] for field in contract.latest]).decode() if contract.latest else ""


def key_fields(contract: TopicContract, payload: Any) -> Any:
    """What a tombstone carries: the fields of its key alone, and nothing where the topic keeps one value."""
    return {field: payload[field] for field in contract.latest} if contract.latest else None


def recalled(event: Stored, channel: Channel, newest: bool = False, sealed: bool = False) -> Delivery:
    """An event of the journal under one subscription.

    :param newest: it is shown to a late subscriber as the newest of its key.
    :param sealed: its topic is encrypted.
    """
    position = None if event.position is None else str(event.position)
    carried = carried_in(event.data)
    return delivery_of(event, channel.subscription, channel.match, carried, position, newest, sealed)


def delivery_of(
    event: Stored,
    subscription: int,
    match: str,
    carried: Carried,
    position: str | None,
    newest: bool = False,
    sealed: bool = False,
) -> Delivery:
    """The same, where payload and position are at hand as events carry them."""
    opaque = sealing.passthrough(msgspec.json.decode(event.data)) if sealed and not event.deleted else {}
    return Delivery(
        topic=event.topic,
        subscription=subscription,
        match=match,
        publication=event.publication,
        carried=carried,
        publisher=event.session,
        publisher_authid=event.authid,
        publisher_authrole=event.role,
        retained=newest,
        position=position,
        deleted=event.deleted,
        stored=event,
        **opaque,
    )


def carried_in(data: bytes) -> Carried:
    """A payload as an event carries it."""
    return Carried(JSON, Raw(b"[" + data + b"]"), ABSENT)
