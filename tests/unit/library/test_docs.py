"""The examples of ``docs/reference/library.md`` do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hopsack.options import Options
from hopsack.testing import Fabric

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_a_service_and_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    service, *_, test = EXAMPLES
    names: dict[str, Any] = {"__name__": "example"}

    exec(compile(service, "library.md", "exec"), names)
    exec(compile(test, "library.md", "exec"), names)


def test_what_a_service_that_lives_long_needs() -> None:
    [example] = [one for one in EXAMPLES if "@debounced" in one]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "library.md", "exec"), names)

    with Fabric() as fabric:
        shelf = fabric.start(names["Shelf"]())
        guest = fabric.connect()
        assert [fabric.run(guest.call("shop.price", "tea")) for _ in range(2)] == [1.5, 1.5]
        for article in ("tea", "cake"):
            fabric.run(guest.publish("shop.changed", article))
        fabric.advance(2)
        assert shelf.saved == ["cake"]
        fabric.run(guest.publish("shop.changed", "jam"))

    assert shelf.saved == ["cake", "jam"]


@pytest.mark.parametrize("number", range(1, len(EXAMPLES) - 1))
def test_the_other_examples_are_python(number: int) -> None:
    compile(EXAMPLES[number], "library.md", "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_the_numbers_are_the_defaults() -> None:
    options = Options()

    assert (options.timeout, options.ping_interval + options.ping_timeout) == (10.0, 10.0)
    assert (options.in_flight, options.at_once, options.buffer) == (10_000, 10_000, 16 << 20)
