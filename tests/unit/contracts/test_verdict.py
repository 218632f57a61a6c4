"""What a person is told about a payload that breaks its contract."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from hopsack.contracts.verdict import Verdict, Violation

SCHEMA: dict[str, Any] = {
    "$ref": "#/$defs/Thing",
    "$defs": {
        "Thing": {
            "type": "object",
            "additionalProperties": False,
            "required": ["host"],
            "properties": {
                "host": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[a-z]"},
                "count": {"type": "integer", "minimum": 0, "maximum": 10, "multipleOf": 2},
                "rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "kind": {"type": "string", "enum": ["created", "deleted"]},
                "many": {"enum": [f"option number {n}" for n in range(40)]},
                "fixed": {"const": 1},
                "when": {"type": "string", "format": "date-time"},
                "list": {"type": "array", "items": {"type": ["integer", "null"]}, "minItems": 1, "maxItems": 2},
                "set": {"type": "array", "uniqueItems": True},
                "map": {"type": "object", "propertyNames": {"pattern": "^[a-z]$"}, "minProperties": 1},
                "never": False,
                "not_text": {"not": {"type": "string"}},
                "has_text": {"type": "array", "contains": {"type": "string"}},
                "choice": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Inner"}]},
                "one": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]},
                "a/b~c": {"type": "null"},
                "inner": {"$ref": "#/$defs/Inner"},
                "open": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
        "Inner": {
            "type": "object",
            "additionalProperties": False,
            "required": ["size"],
            "properties": {"size": {"type": "integer"}, "name": {"type": "string"}},
        },
    },
}
VERDICT = Verdict(SCHEMA)


@pytest.mark.parametrize(
    ("payload", "path", "message"),
    [
        (3, "", "must be an object, got 3"),
        (None, "", "must be an object, got null"),
        ([], "", "must be an object, got an array"),
        ({}, "/host", "is required, and missing"),
        ({"host": 3}, "/host", "must be a string, got 3"),
        ({"host": True}, "/host", "must be a string, got true"),
        ({"host": {"a": 1}}, "/host", "must be a string, got an object"),
        ({"host": ""}, "/host", "must have at least 1 character, has 0"),
        ({"host": "x" * 9}, "/host", "must have at most 8 characters, has 9"),
        ({"host": "X"}, "/host", 'must match the pattern ^[a-z], got "X"'),
        ({"host": "h", "hots": 1}, "/hots", 'is not a field here; did you mean "host"?'),
        ({"host": "h", "count": "x"}, "/count", 'must be a whole number, got "x"'),
        ({"host": "h", "count": 1.5}, "/count", "must be a whole number, got 1.5"),
        ({"host": "h", "count": -2}, "/count", "must be at least 0, got -2"),
        ({"host": "h", "count": 12}, "/count", "must be at most 10, got 12"),
        ({"host": "h", "count": 3}, "/count", "must be a multiple of 2, got 3"),
        ({"host": "h", "rate": 0}, "/rate", "must be more than 0, got 0"),
        ({"host": "h", "rate": 1}, "/rate", "must be less than 1, got 1"),
        ({"host": "h", "kind": "x"}, "/kind", 'must be one of "created", "deleted", got "x"'),
        ({"host": "h", "fixed": 2}, "/fixed", "must be 1, got 2"),
        ({"host": "h", "when": "noon"}, "/when", 'must be a date-time, got "noon"'),
        ({"host": "h", "list": []}, "/list", "must have at least 1 item, has 0"),
        ({"host": "h", "list": [1, 2, 3]}, "/list", "must have at most 2 items, has 3"),
        ({"host": "h", "list": [1, "x"]}, "/list/1", 'must be a whole number or null, got "x"'),
        ({"host": "h", "set": [1, 1]}, "/set", "must not hold the same item twice"),
        ({"host": "h", "map": {}}, "/map", "must have at least 1 field, has 0"),
        ({"host": "h", "map": {"AA": 1}}, "/map/AA", 'has a name that must match the pattern ^[a-z]$, got "AA"'),
        ({"host": "h", "never": 1}, "/never", "must be left out"),
        ({"host": "h", "not_text": "x"}, "/not_text", 'is one of the values that the contract rules out, got "x"'),
        ({"host": "h", "has_text": [1]}, "/has_text", "lacks an item of the kind that the contract asks for"),
        ({"host": "h", "choice": 1}, "/choice", "must be an object or a string, got 1"),
        ({"host": "h", "choice": {"size": "x"}}, "/choice/size", 'must be a whole number, got "x"'),
        ({"host": "h", "choice": {"szie": 1, "size": 1}}, "/choice/szie", 'is not a field here; did you mean "size"?'),
        ({"host": "h", "one": 7}, "/one", "fits several of the forms of which it must be exactly one"),
        ({"host": "h", "a/b~c": 1}, "/a~1b~0c", "must be null, got 1"),
        ({"host": "h", "inner": {"size": 1, "x": 1}}, "/inner/x", 'is not a field here; the fields are "size", "name"'),
        ({"host": "h", "open": {"x": 1}}, "/open/x", "is not a field here"),
        (b"bytes", "", "must be JSON: Unsupported type: 'bytes'"),
        ({1: 2}, "", "must be JSON: Dict key must be str or str enum. Got 'int'"),
        ({"host": float("nan")}, "/host", "must be a string, got null"),
    ],
)
def test_the_first_fault_is_named_with_what_would_be_right(payload: Any, path: str, message: str) -> None:
    assert VERDICT.of(payload) == Violation(path, message)


@pytest.mark.parametrize(
    "payload", [{"host": "h"}, {"host": "h", "count": 2.0}, {"host": "h", "list": (1, None)}, {"host": "h", "one": 1}]
)
def test_a_payload_that_keeps_its_contract_has_no_verdict(payload: Any) -> None:
    assert VERDICT.of(payload) is None


def test_lone_surrogates_are_not_json() -> None:
    violation = VERDICT.of({"host": "\ud800"})

    assert violation is not None
    assert violation.message.startswith("must be JSON")


@pytest.mark.parametrize(
    "payload",
    [
        {"host": "h", "kind": "x" * 1_000_000},
        {"host": "h", "many": "x" * 1_000_000},
        {"host": "h", "x" * 1_000_000: 1},
        {"host": "h", "list": [{"deep": "x" * 1_000_000}] * 2},
        {"host": "h", "count": 10**4000},
    ],
)
def test_a_huge_payload_is_not_sent_back(payload: Any) -> None:
    violation = VERDICT.of(payload)

    assert violation is not None
    assert len(violation.message) <= 120


def test_a_million_faults_buy_one_explanation() -> None:
    verdict = Verdict({"type": "array", "items": {"type": "integer"}})

    assert verdict.of(["x"] * 1_000_000) == Violation("/0", 'must be a whole number, got "x"')


def test_patterns_run_in_linear_time() -> None:
    verdict = Verdict({"type": "string", "pattern": "^(a+)+$"})

    assert verdict.of("a" * 100_000 + "!") is not None


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"at": Decimal("1.5")}, "/at"),
        ({"at": 1 << 64}, "/at"),
        ({"at": -(1 << 63) - 1}, "/at"),
        ({"at": float("nan")}, "/at"),
        ({"at": float("-inf")}, "/at"),
        ({"at": 1, "open": [0, {"a/b": b"bytes"}]}, "/open/1/a~1b"),
        ({"at": 1, "open": datetime.date(2026, 1, 1)}, "/open"),
    ],
)
def test_what_some_reader_could_not_take_is_refused_even_where_the_schema_is_open(payload: Any, path: str) -> None:
    verdict = Verdict({"type": "object", "properties": {"at": {"type": "number"}, "open": {}}, "required": ["at"]})

    violation = verdict.of(payload)

    assert violation is not None
    assert violation.path in (path, "")


@pytest.mark.parametrize("value", [(1 << 64) - 1, -(1 << 63), 1e300, 0, 1.5])
def test_every_number_that_every_reader_can_take_passes(value: Any) -> None:
    assert Verdict({"type": "number"}).of(value) is None
