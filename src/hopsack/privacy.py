"""Payloads that the node cannot read: sealed by the publisher, opened by its readers (``encrypted: cryptobox``).

    ring = KeyRing({"chat.secret": shared})          # everything below chat.secret, with one key
    async with connect(url, keyring=ring) as fabric:
        await fabric.publish("chat.secret.kitchen", "hello")

NaCl's ``crypto_box``: X25519, XSalsa20 and Poly1305. What is sealed is the JSON text of ``{uri, args, kwargs}``, as
Autobahn's ``KeyRing`` seals it, so stock clients with the same keys read and write the same topics. The topic is in it:
what was sealed for one topic is refused on another.

What this keeps from the node: the payload. The node knows who publishes what where, when, and of which size. It can
leave events out, or give them again: positions of streams show that, where their reader looks. A shared key says that
its holder wrote an event, not which of its holders.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hopsack.contracts.sealed import is_sealed
from hopsack.errors import Invalid, UsageError
from hopsack.session import Payload

if TYPE_CHECKING:
    from nacl.public import Box

__all__ = ["Key", "KeyPair", "KeyRing"]

ALGORITHM, SERIALIZER = "cryptobox", "json"


class KeyPair(NamedTuple):
    """A private key and its public one, each 32 bytes in base64."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        from nacl.public import PrivateKey

        key = PrivateKey.generate()
        return cls(_text(bytes(key)), _text(bytes(key.public_key)))


class Key:
    """What one program knows of the keys of a topic. Autobahn's originator is the publisher, its responder the reader.

    Who publishes needs a private key of its own and the readers' public one; who reads, the other two. With one
    private key for both sides, everybody who has it does both: :meth:`shared`.

    :raises UsageError: a key is none, or there are too few of them for either side.
    """

    __slots__ = ("_opens", "_seals")

    def __init__(
        self,
        *,
        publisher: str | None = None,
        publisher_public: str | None = None,
        reader: str | None = None,
        reader_public: str | None = None,
    ) -> None:
        self._seals = _box(publisher, reader_public, reader)
        self._opens = _box(reader, publisher_public, publisher)
        if self._seals is None and self._opens is None:
            raise UsageError("a key needs one side's private key and the other's public one")

    @classmethod
    def shared(cls, private: str) -> Key:
        return cls(publisher=private, reader=private)

    def __repr__(self) -> str:
        return "<a key>"


class KeyRing:
    """The keys of topics.

    :param keys: by topic; a key counts for the topic and for everything below it, the longest name wins. Text is a
        private key that all share. ``""`` is every topic.
    """

    def __init__(self, keys: Mapping[str, str | Key]) -> None:
        self._keys = {name: Key.shared(key) if isinstance(key, str) else key for name, key in keys.items()}

    def __repr__(self) -> str:
        return f"<keys of {', '.join(sorted(self._keys))}>"

    def key_of(self, topic: str) -> Key | None:
        name = topic
        while True:
            found = self._keys.get(name)
            if found is not None or not name:
                return found
            name = name.rpartition(".")[0]

    def seal(self, topic: str, value: Any) -> Any:
        """A payload as it leaves: sealed, if there is a key for its topic; else as it is.

        :raises UsageError: the key is for reading only.
        """
        key = self.key_of(topic)
        if key is None:
            return value
        if key._seals is None:
            raise UsageError(f"{topic}: this key ring opens it, but has no private key of a publisher")
        inside = msgspec.json.encode(
            {"uri": topic, "args": [msgspec.to_builtins(value, str_keys=True)], "kwargs": None}
        )
        return {
            "enc_algo": ALGORITHM,
            "enc_serializer": SERIALIZER,
            "payload": _text(bytes(key._seals.encrypt(inside))),
        }

    def open(self, topic: str, value: Any) -> Any:
        """A payload as it came: opened, if it is sealed and there is a key for its topic; else as it is.

        :raises Invalid: it was sealed with another key, for another topic, or changed on its way.
        """
        key = self.key_of(topic) if is_sealed(value) else None
        if key is None:
            return value
        if key._opens is None:
            raise UsageError(f"{topic}: this key ring seals it, but has no private key of a reader")
        from nacl.exceptions import CryptoError

        if (value["enc_algo"], value["enc_serializer"]) != (ALGORITHM, SERIALIZER):
            raise Invalid(f"it is sealed with {value['enc_algo']} of {value['enc_serializer']}", where=topic, path="")
        try:
            inside = msgspec.json.decode(key._opens.decrypt(base64.b64decode(value["payload"], validate=True)))
        except (CryptoError, binascii.Error, msgspec.MsgspecError, ValueError, TypeError) as error:
            message = "it cannot be opened: sealed with another key, or changed on its way"
            raise Invalid(message, where=topic, path="") from error
        return _only(topic, inside)

    def opened(self, topic: str, payload: Payload) -> Payload:
        """The same, when it is read."""
        return payload if self.key_of(topic) is None else _Sealed(self, topic, payload)


class _Sealed(msgspec.Struct, frozen=True):
    """A payload that is opened by whoever reads it."""

    ring: KeyRing
    topic: str
    payload: Payload

    def read(self, array: bool = False) -> Any:
        return self.ring.open(self.topic, self.payload.read())

    def read_as(self, type_: Any) -> Any:
        return msgspec.convert(self.read(), type_)


def _only(topic: str, inside: Any) -> Any:
    """The one value in what was sealed."""
    if not isinstance(inside, dict) or inside.get("uri") != topic:
        raise Invalid("it was sealed for another topic", where=topic, path="")
    args, kwargs = inside.get("args") or [], inside.get("kwargs")
    if kwargs:
        return kwargs
    return args[0] if len(args) == 1 else args or None


def _box(private: str | None, public: str | None, other: str | None) -> Box | None:
    """:param other: the other side's private key, where it is known: then its public one is."""
    if private is None or (public is None and other is None):
        return None
    from nacl.public import Box, PrivateKey, PublicKey

    theirs = PublicKey(_bytes(public)) if public is not None else PrivateKey(_bytes(other or "")).public_key
    return Box(PrivateKey(_bytes(private)), theirs)


def _bytes(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("a key of a key ring is 32 bytes in base64") from error
    if len(key) != 32:
        raise UsageError(f"a key of a key ring is 32 bytes in base64, this one {len(key)}")
    return key


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
