"""Certificates for development: an authority that signs one certificate and is then forgotten.

Its key is never written: whoever trusts it trusts this one certificate, and no other can ever be signed by it. It is
also limited to the names in the certificate (RFC 5280, section 4.2.1.10). Needs ``cryptography``, which a node has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["LIFE", "Made", "make"]

LIFE = timedelta(days=397)
"""As long as browsers accept."""


@dataclass(frozen=True, slots=True)
class Made:
    """PEM.

    :ivar cert: the node's certificate. :ivar key: its private key. :ivar authority: what clients have to trust.
    """

    cert: bytes
    key: bytes
    authority: bytes


def make(names: Sequence[str], now: datetime) -> Made:
    """A certificate for a node.

    :param names: host names and addresses; the first is the certificate's own.
    :param now: the time, with its zone.
    :raises ValueError: one of them can be no name.
    """
    _check(names)
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _named(f"Hopsack development, {names[0]}, {now:%Y-%m-%d %H:%M:%S}")
    begun = _begun(issuer, issuer, signer.public_key(), signer.public_key(), now)
    limits = x509.NameConstraints([_limit(name) for name in names], None)
    begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    begun = begun.add_extension(_usage(signs=True), critical=True).add_extension(limits, critical=True)
    authority = begun.sign(signer, hashes.SHA256())
    begun = _begun(_named(names[0]), issuer, key.public_key(), signer.public_key(), now)
    begun = begun.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    begun = begun.add_extension(_usage(signs=False), critical=True)
    begun = begun.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    begun = begun.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    cert = begun.sign(signer, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Made(cert.public_bytes(Encoding.PEM), private, authority.public_bytes(Encoding.PEM))


def _check(names: Sequence[str]) -> None:
    """RFC 1123, section 2.1. Such names are also given to people, who mistype them."""
    for name in names:
        if "*" in name:
            raise ValueError(f"{name}: this authority signs for whole names only, without *")
        if not (_is_address(name) or (len(name) <= MOST_OF_NAME and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name))):
            raise ValueError(f"{name[:80]!r} is no name of a host and no address")


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
MOST_OF_NAME = 253


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.CertificateBuilder:
    begun = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    begun = begun.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + LIFE)
    begun = begun.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return begun.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _limit(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_network(name))
    except ValueError:
        return x509.DNSName(name)
