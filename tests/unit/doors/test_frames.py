"""Frames come out whole, however the bytes come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack_router.doors.frames import PING, REGULAR, Frame, Frames, Unacceptable, pong


def wire(frames: list[Frame]) -> bytes:
    return b"".join(bytes([kind]) + len(payload).to_bytes(3, "big") + payload for kind, payload in frames)


FRAMES = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_gives_the_same_frames(frames: list[Frame], cuts: list[int]) -> None:
    stream = wire(frames)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = Frames(1 << 24)

    out = [one for a, b in pairwise(places) for one in reader.received(stream[a:b])]

    assert out == frames


def test_a_long_frame_is_kept_in_pieces_until_it_is_whole() -> None:
    payload = bytes(range(256)) * 4096
    stream = wire([(REGULAR, payload), (PING, b"still there?")])
    reader = Frames(1 << 24)

    out = [reader.received(stream[n : n + 65536]) for n in range(0, len(stream), 65536)]

    assert [len(one) for one in out] == [0] * 16 + [2]
    assert out[-1] == [(REGULAR, payload), (PING, b"still there?")]


@pytest.mark.parametrize("head", [b"\x00\x00\x02\x01", b"\x01\x00\x02\x01", b"\x03\x00\x00\x01", b"\xff\x00\x00\x00"])
def test_too_long_or_of_no_type_is_known_by_its_head(head: bytes) -> None:
    with pytest.raises(Unacceptable):
        Frames(512).received(head)


def test_a_ping_is_answered_with_its_payload() -> None:
    assert pong(b"abc") == b"\x02\x00\x00\x03abc"
