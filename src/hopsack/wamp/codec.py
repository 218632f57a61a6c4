"""Bytes ↔ WAMP messages, without I/O, and with payloads passed through.

    decode(bytes) -> Message      one pass over the envelope; args and kwargs stay Raw
    encode(Message) -> bytes      Raw is copied as it stands: encode a payload once, send it in many messages
    write(head, value) -> bytes   a message and its one payload value in one pass: who sends it only once
    pack(value) -> Raw            one payload value
    unpack(Raw) -> value          and back, into plain JSON values
    unpack_as(Raw, type) -> value and back, straight into the type that its reader wants

A router that moves a payload between two connections of the same codec never looks into it; between two codecs it
writes ``theirs.pack(ours.unpack(raw))``.

What stands in a payload is one JSON value (design.md). ``pack`` therefore writes the other types that msgspec knows the
way JSON has to: bytes as base64, dates and UUIDs as text, structs as objects. Both codecs give the same value back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import astuple, replace

from hopsack.errors import LocalError
from hopsack.wamp.messages import Carrier, Message

__all__ = ["CODECS", "JSON", "MSGPACK", "Codec", "Malformed"]


class Malformed(LocalError):
    """The peer sent bytes that are not a WAMP message: the connection cannot go on (WAMP, "Protocol Violations")."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One serialization of WAMP.

    :ivar name: as it stands in URLs and logs.
    :ivar subprotocol: the WebSocket subprotocol that asks for it.
    :ivar rawsocket_id: its number in the RawSocket handshake (advanced profile, "RawSocket Transport").
    :ivar is_binary: whether its messages are WebSocket binary frames.
    """

    name: str
    subprotocol: str
    rawsocket_id: int
    is_binary: bool
    _encode: Callable[[Any], bytes]
    _decode_message: Callable[[bytes], Message]
    _decode_value: Callable[[Raw], Any]
    _decoder_of: Callable[[Any], Callable[[Raw], tuple[Any]]]

    def decode(self, data: bytes) -> Message:
        """:raises Malformed: ``data`` is not exactly one known message."""
        try:
            return self._decode_message(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"not a WAMP message in {self.name}: {error}") from error

    def encode(self, message: Message) -> bytes:
        if not message.carries_payload:
            return self._encode(message)
        carrier: Carrier = message  # type: ignore[assignment]
        if len(carrier.kwargs):
            return self._encode(carrier if len(carrier.args) else replace(carrier, args=self.pack([])))
        # Raw of no bytes must not be written as an element: the array ends where the payload does.
        values = (carrier.number(), *astuple(carrier))
        return self._encode(values[:-1] if len(carrier.args) else values[:-2])

    def envelope(self, head: tuple[Any, ...], args: Raw, kwargs: Raw) -> bytes:
        """A message from the fields before its payload, number first: :meth:`encode` with no message to take apart."""
        if len(kwargs):
            return self._encode((*head, args if len(args) else self.pack([]), kwargs))
        return self._encode((*head, args) if len(args) else head)

    def write(self, head: tuple[Any, ...], value: Any) -> bytes:
        """A message from the fields before its payload, number first, and its payload; ``None`` is none.

        :raises TypeError: the value has no JSON form; the message names the type.
        """
        if value is None:
            return self._encode(head)
        return self._encode((*head, (msgspec.to_builtins(value, str_keys=True),)))

    def pack(self, value: Any) -> Raw:
        """:raises TypeError: the value has no JSON form; the message names the type."""
        return Raw(self._encode(msgspec.to_builtins(value, str_keys=True)))

    def unpack(self, raw: Raw) -> Any:
        """:raises Malformed: the payload is cut short or nested beyond reason; the envelope did not look inside."""
        if not len(raw):
            return None
        try:
            return self._decode_value(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"not a payload in {self.name}: {error}") from error

    def unpack_as(self, args: Raw, type_: Any) -> Any:
        """The only one of the positional arguments, without plain JSON values on the way.

        :raises msgspec.MsgspecError: there is not exactly one, or it has another shape.
        :raises TypeError: msgspec knows no such type.
        """
        return self._decoder_of(type_)(args)[0]


TYPES = 1024
"""Types whose decoders are kept. A program has as many as its handlers and calls name."""


@lru_cache(TYPES)
def _msgpack_decoder(type_: Any) -> Callable[[Raw], tuple[Any]]:
    return msgspec.msgpack.Decoder(tuple[type_]).decode


@lru_cache(TYPES)
def _json_decoder(type_: Any) -> Callable[[Raw], tuple[Any]]:
    return msgspec.json.Decoder(tuple[type_]).decode


MSGPACK = Codec(
    name="msgpack",
    subprotocol="wamp.2.msgpack",
    rawsocket_id=2,
    is_binary=True,
    _encode=msgspec.msgpack.Encoder().encode,
    _decode_message=msgspec.msgpack.Decoder(Message).decode,
    _decode_value=msgspec.msgpack.Decoder().decode,
    _decoder_of=_msgpack_decoder,
)

JSON = Codec(
    name="json",
    subprotocol="wamp.2.json",
    rawsocket_id=1,
    is_binary=False,
    _encode=msgspec.json.Encoder().encode,
    _decode_message=msgspec.json.Decoder(Message).decode,
    _decode_value=msgspec.json.Decoder().decode,
    _decoder_of=_json_decoder,
)

CODECS = {codec.name: codec for codec in (MSGPACK, JSON)}
