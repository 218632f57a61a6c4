from __future__ import annotations

import socket

import pytest

from hopsack.keeper import in_words


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
