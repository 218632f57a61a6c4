"""Asking a catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from hopsack.contracts import PERMISSIVE, Catalogue, Source, Stream, Violation, build, load

SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(SCHEMAS)


def test_a_topic_s_facts(catalogue: Catalogue) -> None:
    topic = catalogue.topics["host.metrics"]

    assert (topic.uri, topic.params, topic.family) == ("host.metrics", (), "host")
    assert (topic.publish.entries, topic.subscribe.entries) == (("service",), ("guest", "user", "service"))
    assert (topic.stream, topic.keeps_latest, topic.latest) == (Stream(3600, 3600.0), True, ("host",))
    assert topic.summary == "One sample of a host's load."


def test_a_procedure_s_facts(catalogue: Catalogue) -> None:
    procedure = catalogue.procedures["host.describe"]

    assert (procedure.errors, procedure.idempotent, procedure.timeout) == (("host.unknown",), True, 2.0)
    assert (procedure.register.entries, procedure.call.entries) == (("service",), ("guest", "user", "service"))
    assert (procedure.takes_input, procedure.gives_output, procedure.input_is_array) == (True, True, False)
    assert catalogue.procedures["demo.add"].input_is_array


def test_latest_may_be_one_event_for_each_uri(catalogue: Catalogue) -> None:
    assert (catalogue.topics["presence.count"].keeps_latest, catalogue.topics["presence.count"].latest) == (True, ())
    assert not catalogue.topics["demo.text"].keeps_latest


def test_a_concrete_uri_finds_its_contract_and_its_parameters(catalogue: Catalogue) -> None:
    topic = catalogue.topic("watch.src.changed")

    assert topic is catalogue.topics["watch.{root}.changed"]
    assert topic.bind("watch.src.changed") == {"root": "src"}
    assert catalogue.procedure("operator.ana.ask") is catalogue.procedures["operator.{name}.ask"]


@pytest.mark.parametrize("uri", ["host.metric", "host", "host.metrics.x", "host.describe", "watch.changed", ""])
def test_what_is_not_declared_is_not_found(catalogue: Catalogue, uri: str) -> None:
    assert catalogue.topic(uri) is None
    assert not catalogue.is_open(uri)


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("hots.metrics", "host.metrics"),
        ("metrics", "host.metrics"),
        ("watch.src.chnaged", "watch.{root}.changed"),
        ("chat.rooms.kitchen", "chat.room.{room}"),
        ("completely.different.thing", None),
        ("x" * 100_000, None),
    ],
)
def test_the_nearest_name_is_offered(catalogue: Catalogue, uri: str, found: str | None) -> None:
    assert catalogue.nearest(uri, "topic") == found


def test_topics_and_procedures_are_two_spaces_of_names(catalogue: Catalogue) -> None:
    assert catalogue.nearest("host.describ", "procedure") == "host.describe"
    assert catalogue.nearest("host.describ", "topic") != "host.describe"


@pytest.mark.parametrize(
    ("pattern", "match", "found"),
    [
        ("alerts.", "prefix", ["alerts.cleared", "alerts.raised"]),
        ("ale", "prefix", ["alerts.cleared", "alerts.raised"]),
        ("watch.src.ch", "prefix", ["watch.{root}.changed"]),
        ("watch.sr", "prefix", ["watch.{root}.changed"]),
        ("watch.", "prefix", ["watch.{root}.changed"]),
        ("watch.src.x", "prefix", []),
        ("watch..changed", "wildcard", ["watch.{root}.changed"]),
        ("watch.src.", "wildcard", ["watch.{root}.changed"]),
        (".metrics", "wildcard", ["host.metrics"]),
        ("host.describe", "wildcard", []),
    ],
)
def test_a_pattern_s_topics(catalogue: Catalogue, pattern: str, match: str, found: list[str]) -> None:
    matching = catalogue.topics_matching(pattern, match)  # type: ignore[arg-type]

    assert [topic.uri for topic in matching] == found


def test_a_pattern_s_procedures(catalogue: Catalogue) -> None:
    assert [one.uri for one in catalogue.procedures_matching("operator.", "prefix")] == ["operator.{name}.ask"]
    assert [one.uri for one in catalogue.procedures_matching("operator..ask", "wildcard")] == ["operator.{name}.ask"]


def test_payloads_are_checked_each_with_its_own_schema(catalogue: Catalogue) -> None:
    describe = catalogue.procedures["host.describe"]

    assert describe.check_input({"host": "h"}) is None
    assert describe.check_input({"hsot": "h"}) is not None
    assert describe.check_output({"host": "h"}) == Violation("/system", "is required, and missing")
    assert catalogue.topics["demo.text"].check(3) == Violation("", "must be a string, got 3")


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_procedure_without_input_takes_nothing_in_both_forms(catalogue: Catalogue, nothing: object) -> None:
    procedure = catalogue.procedures["presence.list"]

    assert procedure.check_input(nothing) is None
    assert procedure.check_input({"a": 1}) is not None
    assert not procedure.takes_input


def test_errors_must_be_declared_and_carry_what_they_say() -> None:
    text = """
        procedures:
          a.do: {summary: s, errors: [a.busy, a.gone], register: [], call: []}
        errors:
          a.busy:
            summary: Busy.
            data: {type: object, required: [until], properties: {until: {type: number}}}
          a.gone: {summary: Gone.}
    """
    procedure = build([Source("a.yaml", "a.yaml", text)]).procedures["a.do"]

    assert procedure.check_error("a.gone", None) is None
    assert procedure.check_error("a.gone", {"anything": 1}) is None
    assert procedure.check_error("a.busy", {"until": 1}) is None
    assert procedure.check_error("a.busy", None) == Violation("/until", "is required, and missing")
    assert procedure.check_error("a.bsuy", None) == Violation(
        "", "`a.bsuy` is not an error that a.do declares; declared: a.busy, a.gone"
    )


def test_an_open_prefix_is_everything_below_it() -> None:
    catalogue = build([Source("legacy.yaml", "legacy.yaml", "undeclared: allow")])

    assert [catalogue.is_open(uri) for uri in ("legacy.x", "legacy.x.y", "legacy", "legacyx", "other.x")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_permissive_has_everything_open_and_nothing_declared() -> None:
    assert PERMISSIVE.is_open("any.thing")
    assert PERMISSIVE.topic("any.thing") is None
    assert PERMISSIVE.nearest("any.thing", "topic") is None
    assert PERMISSIVE.topics_matching("", "prefix") == []


def test_the_schemas_given_out_stand_by_themselves(catalogue: Catalogue) -> None:
    schema = catalogue.topics["alerts.raised"].payload_schema

    assert schema["$ref"] == "#/$defs/Alert"
    assert sorted(schema["$defs"]) == ["Alert", "AlertMetric", "AlertThreshold"]
