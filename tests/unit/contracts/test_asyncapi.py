"""The AsyncAPI 3.0 document, judged by the official schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hopsack.contracts import Source, build, load

ROOT = Path(__file__).parents[3]
OFFICIAL = ROOT / "web_client/node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return load(ROOT / "schemas").asyncapi()


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Draft7Validator:
    if not OFFICIAL.is_file():
        pytest.skip("needs the official AsyncAPI schema: run `npm ci` in web_client/ (package @asyncapi/specs)")
    return jsonschema_rs.Draft7Validator(json.loads(OFFICIAL.read_text()), offline=True)


def test_it_is_valid(document: dict[str, Any], official: jsonschema_rs.Draft7Validator) -> None:
    assert [error.message for error in official.iter_errors(document)] == []


def test_the_official_schema_does_refuse(document: dict[str, Any], official: jsonschema_rs.Draft7Validator) -> None:
    broken = copy.deepcopy(document)
    broken["operations"]["host.metrics.publish"]["action"] = "shout"

    assert not official.is_valid(broken)


def test_the_node_receives_what_clients_publish(document: dict[str, Any]) -> None:
    operations = document["operations"]

    assert operations["host.metrics.publish"]["action"] == "receive"
    assert operations["host.metrics.subscribe"]["action"] == "send"
    assert operations["host.metrics.publish"]["x-hopsack-roles"] == ["service"]
    assert operations["host.describe.call"]["reply"]["channel"] == {"$ref": "#/channels/host.describe.reply"}


def test_it_may_leave_out_who_may_do_what() -> None:
    operations = load(ROOT / "schemas").asyncapi(roles=False)["operations"]

    assert operations["host.describe.call"]["x-hopsack-idempotent"] is True
    assert not any("roles" in name for operation in operations.values() for name in operation)


def test_delivery_words_are_extensions(document: dict[str, Any]) -> None:
    channel = document["channels"]["host.metrics"]

    assert channel["x-hopsack-stream"] == {"keep": 3600, "seconds": 3600.0}
    assert channel["x-hopsack-latest"] == ["host"]


def test_parameters_stand_in_the_address(document: dict[str, Any]) -> None:
    channel = document["channels"]["watch.-root-.changed"]

    assert channel["address"] == "watch.{root}.changed"
    assert list(channel["parameters"]) == ["root"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    for reference in references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_a_field_called_ref_is_only_a_field() -> None:
    text = """
        topics:
          a.b:
            summary: s
            payload: {type: object, properties: {$ref: {type: string}}}
            publish: []
            subscribe: []
    """
    document = build([Source("a.yaml", "a.yaml", text)]).asyncapi()

    payload = document["channels"]["a.b"]["messages"]["event"]["payload"]
    assert payload["properties"] == {"$ref": {"type": "string"}}


def test_it_is_the_same_every_time(document: dict[str, Any]) -> None:
    assert json.dumps(load(ROOT / "schemas").asyncapi()) == json.dumps(document)
