"""Why there is no connection, in words for a person: what the system, asyncio and OpenSSL say of it is for nobody.

A core without I/O.
"""

from __future__ import annotations

import os
import re
import ssl

from hopsack.address import Address

__all__ = ["NOT_TLS", "TLS_ALERT", "in_words", "other_scheme"]

TLS_ALERT = b"\x15\x03"
"""What a TLS node that was spoken to in clear may answer with (RFC 8446, section 5.1)."""

NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"))
"""OpenSSL's names for a peer that answers in clear."""

_UNSIGNED = frozenset((18, 19, 20, 21))
"""X509_V_ERR_*: of OpenSSL's reasons those that mean that the authority is not known here (x509_vfy.h)."""
_EARLY, _LATE = 9, 10
_OTHER_NAME = frozenset((62, 64))


def in_words(error: OSError) -> str:
    """Why there is no connection, as the system says it: ``connection refused``.

    asyncio puts the address in place of the system's words, or several errors into the text of one. Those of TLS have
    numbers of OpenSSL, which mean something else to the system.
    """
    if isinstance(error, ssl.SSLError):
        return _of_certificate(error) if isinstance(error, ssl.SSLCertVerificationError) else _of_tls(error)
    found = re.search(r"\[Errno (\d+)\]", str(error))
    number = error.errno if error.errno is not None and error.errno > 0 else int(found[1]) if found else None
    if number is not None:
        return os.strerror(number).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".").lower()
    match error.verify_code:
        case code if code in _UNSIGNED:
            return (
                "nobody who is trusted here has signed the node's certificate;"
                " HOPSACK_TLS_CA is to name the PEM file of the authority that has"
            )
        case code if code in _OTHER_NAME:
            return f"the node's certificate is for another name ({said})"
        case code if code == _LATE:
            return "the node's certificate has expired"
        case code if code == _EARLY:
            return "the node's certificate is not valid yet; one of the two clocks may be wrong"
    return f"the node's certificate is not trusted ({said})"


def _of_tls(error: ssl.SSLError) -> str:
    if error.reason in NOT_TLS:
        return "it answers in clear"
    return "TLS fails: " + (error.reason.replace("_", " ").lower() if error.reason else error.strerror or str(error))


def other_scheme(address: Address) -> str:
    """What to try where a node closes the connection before it has said a word. Empty: there is nothing else."""
    match address.carrier, address.is_tls:
        case "tcp", False:
            return "if it speaks TLS, write tls:// in place of tcp://"
        case "tcp", True:
            return "if it does not speak TLS, write tcp:// in place of tls://"
        case "websocket", False:
            return "if it speaks TLS, write wss:// or https://"
        case "websocket", True:
            return "if it does not speak TLS, write ws:// or http://"
    return ""
