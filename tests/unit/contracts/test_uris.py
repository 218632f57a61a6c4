"""Which declaration does a URI belong to? Against brute force over a small alphabet."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.contracts import uris

WORDS = ["a", "b", "c"]
component = st.sampled_from([*WORDS, "{p}", "{q}", "{r}"])


def _distinct(parts: list[str]) -> list[str]:
    """Parameters named by place, so that none is there twice."""
    return [f"{{p{index}}}" if part.startswith("{") else part for index, part in enumerate(parts)]


pattern = st.lists(component, min_size=1, max_size=4).map(_distinct).map(".".join)
concrete = st.lists(st.sampled_from([*WORDS, "x", ""]), min_size=1, max_size=4).map(".".join)


def _regex(uri: str) -> re.Pattern[str]:
    parts = (r"[^\s.#]+" if part.startswith("{") else re.escape(part) for part in uri.split("."))
    return re.compile(r"\.".join(parts) + r"\Z")


def _matching(declared: set[str], uri: str) -> list[str]:
    return [one for one in declared if _regex(one).match(uri)]


def _literals(uri: str) -> int:
    return sum(not part.startswith("{") for part in uri.split("."))


@given(st.sets(pattern, max_size=8), concrete)
def test_the_most_literal_match_wins(declared: set[str], uri: str) -> None:
    table = uris.Table(declared)
    matches = _matching(declared, uri)

    found = [table.find(uri), table.find(uri)]  # the second answer is remembered

    assert found[0] == found[1]
    if not matches:
        assert found[0] is None
    else:
        assert found[0] in matches
        assert _literals(str(found[0])) == max(map(_literals, matches))


@given(st.sets(pattern, max_size=6))
def test_ambiguous_is_exactly_what_has_two_best_matches(declared: set[str]) -> None:
    """A URI of fresh words, and of every literal, in each place: if two are equally good anywhere, they are here."""
    reported = {frozenset(pair) for pair in uris.ambiguities(declared)}

    seen: set[frozenset[str]] = set()
    for length in range(1, 5):
        for parts in itertools.product([*WORDS, "x"], repeat=length):
            matches = _matching(declared, ".".join(parts))
            best = [one for one in matches if _literals(one) == max(map(_literals, matches))]
            seen |= {frozenset(pair) for pair in itertools.combinations(best, 2)}

    assert reported == seen


@given(pattern, st.lists(st.sampled_from([*WORDS, "x", ""]), min_size=1, max_size=4).map(".".join))
def test_wildcards_meet_what_some_uri_matches_both(declared: str, wanted: str) -> None:
    """WAMP wildcard: empty components match any."""
    length = len(wanted.split("."))
    matches = any(
        _regex(declared).match(".".join(parts))
        and all(not want or want == part for want, part in zip(wanted.split("."), parts, strict=True))
        for parts in itertools.product([*WORDS, "x"], repeat=length)
    )

    assert uris.meets(uris.split(declared), wanted, "wildcard") == matches


@given(pattern, st.text(alphabet="abcx.", max_size=6))
def test_prefixes_meet_what_some_uri_begins_with(declared: str, wanted: str) -> None:
    words = ["".join(letters) for size in (1, 2, 3, 4, 5, 6) for letters in itertools.product("abcx", repeat=size)]
    begun = wanted.split(".")
    fitting = [
        [part]
        if not part.startswith("{")
        else [word for word in words if word.startswith(begun[index])][:1]
        if index < len(begun)
        else ["x"]
        for index, part in enumerate(declared.split("."))
    ]
    matches = any(
        ".".join(parts).startswith(wanted) and _regex(declared).match(".".join(parts))
        for parts in itertools.product(*fitting)
    )

    assert uris.meets(uris.split(declared), wanted, "prefix") == matches


@pytest.mark.parametrize(
    "uri", ["host", "host.metrics", "a_1.b2", "watch.{root}.changed", "{a}.{b}", "a.{long_name_2}"]
)
def test_good_uris(uri: str) -> None:
    assert uris.fault(uri) is None


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "empty component"),
        ("a..b", "empty component"),
        (".a", "empty component"),
        ("a.", "empty component"),
        ("Host.metrics", "component `Host`"),
        ("host-metrics", "component `host-metrics`"),
        ("host metrics", "component `host metrics`"),
        ("watch.{Root}.changed", "parameter `{Root}`"),
        ("watch.x{root}.changed", "parameter `x{root}`"),
        ("watch.{}.changed", "parameter `{}`"),
        ("watch.{a}.{a}", "parameter `a` twice"),
        ("é", "component `é`"),
    ],
)
def test_bad_uris_say_what_is_wrong(uri: str, message: str) -> None:
    wrong = uris.fault(uri)

    assert wrong is not None
    assert message in wrong[0]


@pytest.mark.parametrize(
    "uri", ["watch..changed", "watch.a b.changed", "watch.a#.changed", "watch.changed", "watch.a.b.changed"]
)
def test_a_parameter_is_one_component(uri: str) -> None:
    assert uris.Table(["watch.{root}.changed"]).find(uri) is None


def test_parameters_take_what_people_call_things() -> None:
    table = uris.Table(["chat.room.{room}"])

    assert table.find("chat.room.Käse-Ecke_7") == "chat.room.{room}"


def test_memory_stays_bounded_whatever_is_asked() -> None:
    table = uris.Table(["chat.room.{room}"])

    for number in range(20_000):
        table.find(f"chat.room.{number}")
        table.find(f"nothing.{number}")
    table.find("x" * 100_000)

    assert len(table._remembered) <= 8192
    assert max(map(len, table._remembered)) <= 256
