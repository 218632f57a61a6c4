"""The reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from hopsack.cli.exits import Exit
from hopsack.cli.main import VERBS, cli
from hopsack.settings import VARIABLES

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
CLI = (REFERENCE / "cli.md").read_text()
EVERYWHERE = {"--help", "--json", "--debug", "--data", "--url", "--token"}


def test_every_variable_is_in_the_table_as_it_is() -> None:
    rows = re.findall(r"^\| `(HOPSACK_\w+)` \| (.+?) \|(.*)\|$", (REFERENCE / "configuration.md").read_text(), re.M)

    assert [(name, meaning) for name, meaning, _ in rows] == [(row.name, row.meaning) for row in VARIABLES.values()]
    assert [default.strip().strip("`") for _, _, default in rows] == [row.default for row in VARIABLES.values()]


def test_every_exit_code_is_in_the_table() -> None:
    assert re.findall(r"^\| (\d) \|", CLI, re.M) == [str(code.value) for code in Exit]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_and_option_is_described(name: str) -> None:
    assert f"`hopsack {name}" in CLI
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    section = re.split(r"^##", CLI[CLI.index(f"`hopsack {name}") :], maxsplit=1, flags=re.M)[0]
    options = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in parameter.opts
        if option.startswith("--")
    }
    missing = [option for option in sorted(options - EVERYWHERE) if option not in section]
    assert missing == []
