"""Binary values in payloads that cross from one serializer to another.

msgpack and CBOR have bytes. JSON has strings that start with U+0000 and go on in base64 (WAMP basic profile, "Binary
conversion of JSON Strings"). Between two connections of one codec nobody looks; in Python values bytes are bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from msgspec import Raw

from hopsack.wamp.codec import Codec

_MARKS = {True: re.compile(rb"[\xc4-\xc6]"), False: re.compile(rb"\\u0000")}
"""What an encoded payload with a binary value has somewhere, by whether its codec is binary: a type of msgpack's "bin"
family, or how JSON has to write U+0000. Others may have it too."""


def may_be_in(raw: Raw, codec: Codec) -> bool:
    """Whether an encoded payload may hold a binary value: a look at the bytes, which may err towards yes."""
    return _MARKS[codec.is_binary].search(raw) is not None


def pack(value: Any, codec: Codec) -> Raw:
    """Encode a payload; ``Codec.pack`` is for values that are JSON's on every codec."""
    return Raw(msgspec.msgpack.encode(value)) if codec.is_binary else codec.pack(to_text(value))


def to_text(value: Any) -> Any:
    """The value with its bytes as JSON has them."""
    match value:
        case bytes():
            return "\0" + base64.b64encode(value).decode()
        case list():
            return [to_text(one) for one in value]
        case dict():
            return {key: to_text(one) for key, one in value.items()}
    return value


def from_text(value: Any) -> Any:
    """The value that :func:`to_text` made this of; a string that only starts like bytes stays one."""
    match value:
        case str() if value.startswith("\0"):
            try:
                return base64.b64decode(value[1:], validate=True)
            except (binascii.Error, ValueError):
                return value
        case list():
            return [from_text(one) for one in value]
        case dict():
            return {key: from_text(one) for key, one in value.items()}
    return value
