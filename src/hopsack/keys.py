"""Ed25519 keys that programs log in with: the private half in a file of the program's, the public half at the node.

A private key stands in a PEM file as others write it too (PKCS #8, RFC 8410): `openssl genpkey -algorithm ed25519`
makes one, `openssl pkey -pubout` reads ours. A public key is written as base64url of its 32 bytes; it is read as that,
or as the hex that WAMP-cryptosign has. A fingerprint is for people and logs.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from hopsack.errors import UsageError
from hopsack.settings import ConfigError

__all__ = ["KeyFile", "PrivateKey", "fingerprint", "public_from", "public_text"]

SIZE = 32
"""Bytes of a seed, of a public key, and of a challenge (RFC 8032; WAMP-cryptosign)."""

_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the seed in the DER of an Ed25519 key (RFC 8410, section 7)."""

_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END PRIVATE KEY-----")

KeyFile = Callable[[], "PrivateKey | None"]
"""Gives a program's key, asked at every attempt to log in: the file may be another one by then."""


class PrivateKey:
    """A key that signs.

    :ivar public: the other half, 32 bytes.
    :ivar seed: all that the private half is, 32 bytes; whoever has them is whoever the key is.
    """

    __slots__ = ("_signing", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        from nacl.signing import SigningKey

        self.seed = seed
        self._signing = SigningKey(seed)
        self.public = bytes(self._signing.verify_key)

    @classmethod
    def new(cls) -> PrivateKey:
        return cls(secrets.token_bytes(SIZE))

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """:raises ValueError: it is not the PEM form of an Ed25519 key; says what it looks like."""
        found = _PEM.search(text)
        if found is None:
            raise ValueError(_looks_like(text))
        try:
            der = base64.b64decode("".join(found[1].split()), validate=True)
        except binascii.Error as error:
            raise ValueError("its base64 is damaged") from error
        # Other writers may put the public key behind the seed (RFC 5958, version 2): it follows from the seed.
        at = der.find(_PKCS8[5:])
        if at < 0 or len(der) < at + len(_PKCS8) - 5 + SIZE:
            raise ValueError("it holds a key, and not an Ed25519 one")
        begin = at + len(_PKCS8) - 5
        return cls(der[begin : begin + SIZE])

    @classmethod
    def read(cls, path: Path) -> PrivateKey:
        """:raises ConfigError: there is no such file, or no key in it."""
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise ConfigError(f"there is no key file {path}", "`hopsack keygen` makes one") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is not a text file"
            raise ConfigError(f"cannot read the key file {path}: {reason}") from error
        try:
            return cls.parse(text)
        except ValueError as error:
            raise ConfigError(
                f"{path} is not a private key of ours: {error}",
                "`hopsack keygen` or `openssl genpkey -algorithm ed25519` makes one",
            ) from error

    def text(self) -> str:
        """The PEM form. Whoever has it is whoever the key is."""
        coded = base64.b64encode(_PKCS8 + self.seed).decode("ascii")
        return f"-----BEGIN PRIVATE KEY-----\n{coded}\n-----END PRIVATE KEY-----\n"

    def write(self, path: Path) -> None:
        """Put it into a new file that only its owner may read, whole or not at all.

        :raises UsageError: there is something already. :raises ConfigError: the file cannot be written.
        """
        draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(self.text())
                os.link(draft, path)  # unlike a rename, it takes nobody's key away
            finally:
                with contextlib.suppress(FileNotFoundError):
                    draft.unlink()
        except FileExistsError as error:
            raise UsageError(f"{path} is there already: name another file, or move that one away") from error
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032, section 5.1.6)."""
        return bytes(self._signing.sign(message).signature)

    def __repr__(self) -> str:
        return f"<private key {fingerprint(self.public)}>"


def _looks_like(text: str) -> str:
    kind = re.search(r"-----BEGIN ([A-Z0-9 ]+)-----", text)
    return f"its first line says {kind[1]}" if kind else "it is not in PEM form"


def public_text(public: bytes) -> str:
    """base64url without padding: 43 characters."""
    return base64.urlsafe_b64encode(public).rstrip(b"=").decode("ascii")


def public_from(text: str) -> bytes:
    """A public key as somebody wrote it: base64url, base64 or hex of 32 bytes.

    :raises ValueError: it is none of these, or no point of the curve that a signature can be verified with.
    """
    text = text.strip()
    try:
        if len(text) == 2 * SIZE:
            public = bytes.fromhex(text)
        else:
            standard = text.rstrip("=").translate(str.maketrans("-_", "+/"))
            public = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("a public key is base64url or hex of 32 bytes") from error
    if len(public) != SIZE:
        raise ValueError(f"a public key is base64url or hex of 32 bytes, and these are {len(public)}")
    from nacl.bindings import crypto_core_ed25519_is_valid_point

    if not crypto_core_ed25519_is_valid_point(public):
        raise ValueError("these 32 bytes are no Ed25519 key")
    return public


def fingerprint(public: bytes) -> str:
    """32 hex digits, of SHA-256: short enough to compare, and nobody makes a second key that has the same."""
    return hashlib.sha256(public).hexdigest()[:32]
