"""Positions are opaque to readers, and what they bring back is checked."""

from __future__ import annotations

import os

import pytest

from hopsack_router.streams.position import Position, new_epoch, parse


def test_a_position_is_read_as_it_was_written() -> None:
    position = Position(new_epoch(os.urandom), 42)

    assert parse(str(position)) == position
    assert len(position.epoch) == 8


@pytest.mark.parametrize(
    "text", ["", "abc", "abc:", ":1", "abc:-1", "abc:01", "ABC:1", "abc:1 ", "abc:1\n", "a1c:1", "abc:" + "9" * 17]
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert parse(text) is None
