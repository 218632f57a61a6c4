"""A payload that only its readers can open, as one JSON value: what the node checks on a topic that is ``encrypted``.

    {"enc_algo": "cryptobox", "enc_serializer": "json", "payload": base64 of the sealed bytes}

The names are those of WAMP's payload passthrough mode as Autobahn writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hopsack.contracts.schema import Schema

ALGORITHMS = ("cryptobox",)
"""``cryptobox``: X25519, XSalsa20 and Poly1305 (NaCl's ``crypto_box``), the nonce in front; what is sealed is JSON."""

_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def schema_of(algorithm: str) -> Schema:
    """What a sealed payload looks like from outside."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["enc_algo", "enc_serializer", "payload"],
        "properties": {
            "enc_algo": {"const": algorithm},
            "enc_serializer": {"enum": ["json"]},
            "payload": {"type": "string", "minLength": 4, "pattern": _BASE64},
        },
    }


def is_sealed(value: Any) -> bool:
    """Whether a payload looks like one."""
    return type(value) is dict and value.keys() == {"enc_algo", "enc_serializer", "payload"}
