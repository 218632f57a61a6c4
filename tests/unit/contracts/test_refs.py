"""Typed names of topics and procedures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hopsack.contracts import Procedure, Topic
from hopsack.errors import UsageError

CHANGED: Topic[dict[str, int]] = Topic("watch.{root}.changed", dict)


def test_a_topic_is_filled_in() -> None:
    filled = CHANGED.at(root="src")

    assert filled == Topic("watch.src.changed", dict)
    assert (CHANGED.params, filled.params, str(filled)) == (("root",), (), "watch.src.changed")


def test_a_procedure_keeps_what_it_knows() -> None:
    ask: Procedure[str, int] = Procedure("operator.{name}.ask", str, int)

    assert ask.at(name="ana") == Procedure("operator.ana.ask", str, int)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "takes root=…; given: none"),
        ({"rot": "x"}, "takes root=…; given: rot"),
        ({"root": "a.b"}, "not one component"),
        ({"root": ""}, "not one component"),
        ({"root": "a b"}, "not one component"),
        ({"root": "{root}"}, "not one component"),
    ],
)
def test_what_cannot_be_filled_in_says_why(params: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CHANGED.at(**params)


def test_a_topic_without_parameters_takes_none() -> None:
    with pytest.raises(UsageError, match="takes no parameters; given: x"):
        Topic[int]("host.metrics", int).at(x="y")


def test_a_service_pays_for_no_yaml_and_no_validator() -> None:
    program = (
        "import sys, hopsack.contracts.refs, hopsack.contracts as c; c.payload_of;"
        "print(sorted({'yaml', 'jsonschema_rs'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
