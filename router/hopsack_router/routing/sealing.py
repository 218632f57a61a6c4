"""Payloads that the node cannot open: between the JSON value that most doors speak of them and WAMP's opaque bytes.

Inside the node an event of an encrypted topic is always opaque (WAMP payload passthrough mode), whatever door it came
through; the journal keeps it as the JSON value. So WAMP readers get what stock clients can open, all others the value
of :mod:`hopsack.contracts.sealed`.
"""

from __future__ import annotations

import base64
from typing import Any

from autobahn.wamp import message

from hopsack_router.routing.asked import Publish
from hopsack_router.routing.unread import carried_by

_LISTS = ("exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole")


def opaque(publish: message.Publish) -> Publish:
    """A PUBLISH whose one argument is a sealed payload, which has been checked, as an opaque one."""
    args, _ = carried_by(publish).values()
    assert args is not None
    sealed = args[0]
    return Publish(
        publish.request,
        publish.topic,
        acknowledge=publish.acknowledge,
        exclude_me=publish.exclude_me,
        key=getattr(publish, "key", None),
        payload=base64.b64decode(sealed["payload"]),
        enc_algo=sealed["enc_algo"],
        enc_serializer=sealed["enc_serializer"],
        retain=publish.retain,
        **{name: getattr(publish, name) for name in _LISTS},
    )


def value_of(payload: bytes, enc_algo: str | None, enc_serializer: str | None) -> dict[str, Any]:
    """Opaque bytes as one JSON value."""
    told = {"enc_algo": enc_algo, "enc_serializer": enc_serializer}
    return {name: value for name, value in told.items() if value is not None} | {
        "payload": base64.b64encode(payload).decode()
    }


def passthrough(sealed: dict[str, Any]) -> dict[str, Any]:
    """The fields of a delivery whose payload the journal has kept as one JSON value."""
    return {**sealed, "payload": base64.b64decode(sealed["payload"])}
