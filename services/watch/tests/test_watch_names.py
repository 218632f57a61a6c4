from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watch.names import matcher, shown


def test_a_byte_that_is_no_text_is_shown_with_its_digits() -> None:
    assert shown(("caf\udce9", "x")) == "caf\ufffde9/x"


def test_everything_else_stays() -> None:
    path = ("a b", "line\nbreak", "<b>", "☃", '"')

    assert shown(path) == "/".join(path)
    assert shown(()) == ""


@given(st.binary(min_size=1))
def test_what_is_shown_is_always_text_that_utf_8_can_carry(name: bytes) -> None:
    shown((name.decode("utf-8", "surrogateescape"),)).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "ignored"),
    [(".git", True), ("node_modules", True), ("a.pyc", True), ("git", False), ("node_modules2", False), ("\n", False)],
)
def test_ignored_names(name: str, ignored: bool) -> None:
    assert matcher([".*", "node_modules", "*.pyc"])(name) is ignored


def test_no_pattern_ignores_nothing() -> None:
    assert not matcher([""])("anything")
