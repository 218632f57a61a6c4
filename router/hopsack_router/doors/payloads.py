"""Events as one JSON value, for the doors that carry nothing else."""

from __future__ import annotations

from typing import Any

from hopsack.contracts import payload_of
from hopsack.errors import Invalid
from hopsack_router.routing import sealing
from hopsack_router.routing.fanout import Delivery


def value_of(delivery: Delivery) -> Any:
    """The payload of an event.

    Below a prefix that contracts leave open, stock WAMP publishers may send what is not one value: several arguments
    arrive as ``{"args": […], "kwargs": {…}}``. Opaque bytes arrive, here and of encrypted topics, as
    ``{"enc_algo": …, "enc_serializer": …, "payload": base64}``.
    """
    if delivery.payload is not None:
        return sealing.value_of(delivery.payload, delivery.enc_algo, delivery.enc_serializer)
    args, kwargs = delivery.carried.values()
    try:
        return payload_of(args, kwargs, array=False)
    except Invalid:
        return {"args": args or [], "kwargs": kwargs or {}}
