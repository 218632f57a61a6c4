"""Whatever bytes come from strangers: a message, or the refusal that is declared for it. Nothing else, on any door."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

Edit = tuple[int, int, bytes]
IN_MEMORY = {"raw_door", "websocket_door", "http_door", *(name for name in TARGETS if name.startswith("wamp_"))}
"""Targets whose every input is a connection to a whole node."""


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Any bytes; and the seeds with some of their bytes replaced, left out or added."""
    pieces: Any = st.binary(max_size=12)
    if target.words:
        pieces |= st.sampled_from(target.words)
    edits = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 40), pieces), max_size=6)
    return st.one_of(st.binary(max_size=300), st.builds(edited, st.sampled_from(target.seeds), edits))


def edited(seed: bytes, edits: list[Edit]) -> bytes:
    data = bytearray(seed)
    for place, length, piece in edits:
        at = place % (len(data) + 1)
        data[at : at + length] = piece
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_what_is_declared(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=60 if name in IN_MEMORY else 300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=inputs(target))
    def fuzzed(data: bytes) -> None:
        target.run(data)

    fuzzed()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


FOUND = {
    "a header that is not UTF-8": ("http_door", b"\xffGET /raw HTTP/1.1\r\nHost: localhost\r\nUpgrade: \x80\r\n\r\n"),
    "what Autobahn asserts": ("wamp_json", b'[16, 1, {"enc_algo": "cryptobox"}, "demo.news", "text"]'),
    "a type of a form that is none": (
        "http_door",
        b"\xffPOST /call/demo.add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Type: a\x1ea\r\n\r\n{}",
    ),
    "an origin that is not UTF-8": (
        "http_door",
        b"\xffGET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\r\n\r\n",
    ),
    "arguments that are no array": ("wamp_values", b'[48, 1, {}, "demo.add", 5]'),
    "half of a pair in a topic": ("wamp_json", b'[32, 1, {"match": "prefix"}, "demo.\\ud800"]'),
    "half of a pair in a realm": ("wamp_batched", b'[1, "\\uDC00", {"roles": {}}]\x18'),
    "an event without a list": (
        "wamp_client",
        b'[33, 2, 7]\n[36, 7, 1, {}, 5]\n[36, 7, 1, {}, [], 5]\n[36, 7, 1, {}, "x"]',
    ),
}
"""What the fuzzers have found; it is mended."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found(name: str) -> None:
    target, data = FOUND[name]
    TARGETS[target].run(data)
