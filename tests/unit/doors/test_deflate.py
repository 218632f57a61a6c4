"""What is agreed on about compression (RFC 7692), and that what was compressed can be read."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.doors.deflate import WORTH, compress, inflate, negotiate

PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", PLAIN),
        ("permessage-deflate; client_max_window_bits", PLAIN),
        ("permessage-deflate; client_max_window_bits=10", PLAIN),
        ("Permessage-Deflate; server_no_context_takeover; client_no_context_takeover", PLAIN),
        ("permessage-deflate; server_max_window_bits=10", f"{PLAIN}; server_max_window_bits=10"),
        ('permessage-deflate; server_max_window_bits="15"', f"{PLAIN}; server_max_window_bits=15"),
        ("x-unknown, permessage-deflate; surprise, permessage-deflate", PLAIN),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", PLAIN),
    ],
)
def test_an_offer_that_is_taken(offers: str, answer: str) -> None:
    agreed = negotiate(offers)

    assert agreed is not None
    assert agreed.answer == answer


@pytest.mark.parametrize(
    "offers",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; surprise",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ],
)
def test_an_offer_that_is_declined(offers: str) -> None:
    assert negotiate(offers) is None


@given(payload=st.binary(min_size=1, max_size=50), times=st.integers(WORTH, 2000), bits=st.integers(9, 15))
def test_what_was_compressed_can_be_read(payload: bytes, times: int, bits: int) -> None:
    whole = payload * times

    squeezed = compress(whole, bits)

    assert squeezed is not None
    assert len(squeezed) < len(whole)
    assert inflate(squeezed, len(whole)) == whole
    assert zlib.decompressobj(-bits).decompress(squeezed + b"\x00\x00\xff\xff") == whole  # by a client's own window


@pytest.mark.parametrize("payload", [b"x" * (WORTH - 1), bytes(range(256))])
def test_what_would_not_get_shorter_is_left_alone(payload: bytes) -> None:
    assert compress(payload, 15) is None


def test_inflating_stops_at_the_limit() -> None:
    bomb = compress(b"\0" * (1 << 24), 15)

    assert bomb is not None
    assert len(bomb) < 20_000
    assert len(inflate(bomb, 1000)) == 1001
