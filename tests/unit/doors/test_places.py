"""Where readers without a protocol stand: what they give back, and what an ``id:`` names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.errors import BadRequest
from hopsack_router.doors.patterns import Pattern, after_of, pattern_of
from hopsack_router.doors.places import MAX_LENGTH, MAX_NAMED, After, Places, check, facts, read, read_id
from hopsack_router.routing.asked import Granted

TICKER, NEWS = Pattern("demo.ticker", "exact"), Pattern("demo.news", "exact")
ROOMS, ALL = Pattern("demo..told", "wildcard"), Pattern("demo.", "prefix")


# ---- what is given back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "patterns", "places", "is_forgetful"),
    [
        ("", (TICKER,), {}, False),
        ("abcdefgh:41", (TICKER,), {TICKER: "abcdefgh:41"}, False),
        ("demo.ticker=abcdefgh:41", (TICKER,), {TICKER: "abcdefgh:41"}, False),
        ("demo.ticker=a:1,demo.news=b:2", (TICKER, NEWS), {TICKER: "a:1", NEWS: "b:2"}, False),
        ("demo.a.told=a:1,demo.b.told=b:2", (ROOMS,), {ROOMS: {"demo.a.told": "a:1", "demo.b.told": "b:2"}}, False),
        ("*,demo.a.told=a:1", (ROOMS,), {ROOMS: {"*": "", "demo.a.told": "a:1"}}, True),
        ("demo.a%2Cb%3D%C3%BC.told=a:1", (ROOMS,), {ROOMS: {"demo.a,b=ü.told": "a:1"}}, False),
        ("demo.a.told=a:1", (ROOMS, ALL), {ROOMS: {"demo.a.told": "a:1"}}, False),
        ("demo.a.told=a:1,demo.x=b:2", (ROOMS, ALL), {ROOMS: {"demo.a.told": "a:1"}, ALL: {"demo.x": "b:2"}}, False),
    ],
)
def test_what_is_given_back(text: str, patterns: tuple[Pattern, ...], places: object, is_forgetful: bool) -> None:
    assert read(text, patterns) == After(places, is_forgetful)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("41", (TICKER,)),
        ("abcdefgh:41", (ROOMS,)),
        ("abcdefgh:41", (TICKER, NEWS)),
        ("demo.other=abcdefgh:41", (TICKER,)),
        ("demo.ticker=", (TICKER,)),
        ("demo.ticker=ABC:1", (TICKER,)),
        (",".join(f"demo.{n}.told=a:1" for n in range(1001)), (ROOMS,)),
    ],
)
def test_what_cannot_be_given_back(text: str, patterns: tuple[Pattern, ...]) -> None:
    with pytest.raises(BadRequest):
        read(text, patterns)


def test_an_id_of_another_server_is_a_place_in_no_journal() -> None:
    assert read_id("17", (TICKER, NEWS)) == After({TICKER: "unknown:0", NEWS: "unknown:0"})
    assert read_id("17", (TICKER, ROOMS)) == After({TICKER: "unknown:0", ROOMS: {"*": ""}})
    assert read_id("abcdefgh:41", (TICKER,)) == After({TICKER: "abcdefgh:41"})


def test_after_in_a_query() -> None:
    assert after_of("topic=a&topic=b&after=a=e:1&after=b%3Df:2") == "a=e:1,b=f:2"
    assert after_of("topic=a") == ""
    with pytest.raises(BadRequest):
        after_of("after=%ff")


def test_a_subscription_resumes_from_what_its_kind_has() -> None:
    topic, pattern = check("41", "exact", "demo.ticker"), check({"demo.a.told": "x"}, "wildcard", "demo..told")
    mixed = [check("a:1", "prefix", "demo."), check({"demo.ticker": "a:1"}, "exact", "demo.ticker")]

    assert [check(None, "prefix", "demo."), check("a:1", "exact", "d"), check({"d.x": "a:1"}, "prefix", "d.")] == [
        None
    ] * 3
    assert topic is not None
    assert (topic.code, topic.path, topic.where) == ("hopsack.invalid", "/after", "demo.ticker")
    assert pattern is not None
    assert pattern.path == "/after/demo.a.told"
    assert [one is not None and one.path for one in mixed] == ["/after", "/after"]


def test_what_has_no_value_is_not_told() -> None:
    assert facts(Granted()) == {"recovered": False}
    assert facts(Granted("a:1", snapshot=0)) == {"position": "a:1", "recovered": False, "snapshot": 0}


# ---- what an id names ------------------------------------------------------------------------------------------------


def test_every_id_names_the_newest_of_each_topic() -> None:
    places = Places()
    places.granted(TICKER, Granted("abcdefgh:41"))
    places.granted(ROOMS, Granted(positions={"demo.a,b.told": "qrstuvwx:7"}))

    begins = places.line
    places.given("demo.ticker", "abcdefgh:42")

    assert begins == "demo.ticker=abcdefgh:41,demo.a%2Cb.told=qrstuvwx:7"
    assert places.line == "demo.a%2Cb.told=qrstuvwx:7,demo.ticker=abcdefgh:42"


def test_until_the_snapshot_is_there_its_streams_are_read_from_their_beginning() -> None:
    places = Places()
    places.granted(ALL, Granted(positions={"demo.weather": "a:12", "demo.ticker": "b:41"}, snapshot=2))

    lines = [places.line]
    for topic, position in (("demo.weather", "a:3"), ("demo.ticker", "b:42"), ("demo.weather", "a:9")):
        places.given(topic, position)
        lines.append(places.line)

    assert lines == [
        "demo.weather=a:0,demo.ticker=b:0",
        "demo.ticker=b:0,demo.weather=a:3",
        "demo.weather=a:3,demo.ticker=b:42",
        "demo.ticker=b:42,demo.weather=a:12",
    ]


def test_more_topics_than_an_id_names() -> None:
    places = Places()
    places.granted(ROOMS, Granted(positions={}))
    for number in range(MAX_NAMED + 1):
        places.given(f"demo.{number}.told", "a:1")

    given_back = read(places.line, (ROOMS,))

    assert given_back.is_forgetful
    assert set(given_back.places[ROOMS]) == {"*", *(f"demo.{number}.told" for number in range(1, MAX_NAMED + 1))}


def test_topics_with_long_names() -> None:
    places = Places()
    places.granted(ROOMS, Granted(positions={}))
    for number in range(10):
        places.given(f"demo.{number}{'x' * 1000}.told", "a:1")

    given_back = read(places.line, (ROOMS,))

    assert len(places.line) <= MAX_LENGTH
    assert given_back.is_forgetful
    assert set(given_back.places[ROOMS]) == {"*", *(f"demo.{number}{'x' * 1000}.told" for number in (6, 7, 8, 9))}


def test_more_streams_than_anybody_names() -> None:
    places = Places()
    places.granted(ROOMS, Granted(positions=None))
    places.given("demo.a.told", "a:1")

    assert places.line == "*,demo.a.told=a:1"


TOPICS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=".#"), min_size=1, max_size=30
).filter(lambda text: not any(character.isspace() for character in text))


@given(st.dictionaries(TOPICS, st.integers(1, 10**9), max_size=10))
def test_what_an_id_names_can_be_given_back(newest: dict[str, int]) -> None:
    places, pattern = Places(), pattern_of("demo.")
    wanted = {f"demo.{name}": f"abcdefgh:{offset}" for name, offset in newest.items()}

    for topic, position in wanted.items():
        places.given(topic, position)

    assert places.line.isascii()
    assert read(places.line, (pattern,)).places.get(pattern, {}) == wanted
