"""The examples of ``docs/reference/library.md`` do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hopsack.options import Options

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_a_service_and_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    service, _, _, test = EXAMPLES
    names: dict[str, Any] = {"__name__": "example"}

    exec(compile(service, "library.md", "exec"), names)
    exec(compile(test, "library.md", "exec"), names)


@pytest.mark.parametrize("number", [1, 2])
def test_the_connection_s_examples_are_python(number: int) -> None:
    compile(EXAMPLES[number], "library.md", "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_the_numbers_are_the_defaults() -> None:
    options = Options()

    assert (options.timeout, options.ping_interval + options.ping_timeout) == (10.0, 10.0)
    assert (options.in_flight, options.at_once, options.buffer) == (10_000, 10_000, 16 << 20)
