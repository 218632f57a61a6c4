from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from hopsack.address import Address
from hopsack.outages import in_words, other_scheme


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call"),
            "connection refused",
        ),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        (FileNotFoundError(2, "No such file or directory"), "no such file or directory"),
        (OSError(), "oserror"),
    ],
)
def test_why_there_is_no_connection_is_told_in_words(error: OSError, words: str) -> None:
    assert in_words(error) == words


def refused_certificate(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
    error.verify_code, error.verify_message = code, message
    return error


def failed(reason: Any) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] of interest to nobody (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused_certificate(20, "unable to get local issuer certificate"), "HOPSACK_TLS_CA is to name the PEM file"),
        (refused_certificate(18, "self-signed certificate"), "HOPSACK_TLS_CA"),
        (refused_certificate(62, "Hostname mismatch, not valid for 'vm'."), "(hostname mismatch, not valid for 'vm')"),
        (refused_certificate(10, "certificate has expired"), "has expired"),
        (refused_certificate(9, "certificate is not yet valid"), "clocks"),
        (refused_certificate(23, "certificate revoked"), "not trusted (certificate revoked)"),
        (failed("WRONG_VERSION_NUMBER"), "it answers in clear"),
        (failed("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "TLS fails: tlsv13 alert certificate required"),
    ],
)
def test_of_openssl_s_text_nothing_is_left(error: ssl.SSLError, words: str) -> None:
    said = in_words(error)

    assert words in said
    assert "_ssl.c" not in said
    assert "[" not in said


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("tcp://h:1", "tls://"),
        ("tls://h:1", "tcp://"),
        ("ws://h/ws", "wss://"),
        ("https://h/raw", "http://"),
        ("unix:///a", ""),
    ],
)
def test_the_other_scheme_is_named(url: str, other: str) -> None:
    assert other in other_scheme(Address.parse(url))
    assert bool(other_scheme(Address.parse(url))) == bool(other)
