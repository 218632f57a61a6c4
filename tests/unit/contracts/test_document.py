"""YAML as JSON with lines."""

from __future__ import annotations

import pytest

from hopsack.contracts.document import parse

TEXT = """\
summary: words
list:
  - one
  - two:
      deep: 1
flow: {a: [1, 2.5, -3, 1e3], b: ~}
"""


def test_values_are_json() -> None:
    document, problems = parse(TEXT, "f.yaml")

    assert problems == []
    assert document is not None
    assert document.value == {
        "summary": "words",
        "list": ["one", {"two": {"deep": 1}}],
        "flow": {"a": [1, 2.5, -3, 1000.0], "b": None},
    }


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("summary",), 1),
        (("list",), 2),
        (("list", 1), 4),
        (("list", 1, "two", "deep"), 5),
        (("flow", "a", 2), 6),
        (("list", 1, "two", "not there"), 4),
        (("not", "there"), 1),
    ],
)
def test_every_key_knows_its_line(path: tuple[str | int, ...], line: int) -> None:
    document, _ = parse(TEXT, "f.yaml")

    assert document is not None
    assert document.line(path) == line


@pytest.mark.parametrize("word", ["yes", "on", "no", "2026-11-23", "12:30:00", "0x10", "1_000", ".inf", ".nan", "<<"])
def test_what_yaml_1_1_would_turn_into_something_else_stays_text(word: str) -> None:
    document, problems = parse(f"key: {word}", "f.yaml")

    assert problems == []
    assert document is not None
    assert document.value == {"key": word}


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "/a", "twice, first in line 1"),
        ("a: &x 1\nb: *x\n", 2, "/b", "alias"),
        ("a: !!python/name:os.system x\n", 1, "/a", "tag"),
        ("a: !mine {}\n", 1, "/a", "tag"),
        ("a:\n  1: x\n", 2, "/a", "not text"),
        ("a:\n  ? [x]\n  : y\n", 2, "/a", "not text"),
        ("a: !!int x\n", 1, "/a", "cannot be read as `int`"),
        ("a: 1\n  b: 2\n", 2, "", "not YAML"),
        ("a: [1\n", 2, "", "not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "", "not YAML"),
        ("", 1, "", "empty"),
        ("# only words\n", 1, "", "empty"),
        ("a: \x00", 1, "", "not YAML"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_line(text: str, line: int, key: str, message: str) -> None:
    _, problems = parse(text, "f.yaml")

    assert len(problems) == 1
    assert (problems[0].file, problems[0].line, problems[0].key) == ("f.yaml", line, key)
    assert message in problems[0].message


def test_a_few_anchors_cannot_unfold_into_gigabytes() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    document, problems = parse("\n".join(lines), "f.yaml")

    assert document is not None
    assert len(problems) == 290


def test_endless_nesting_is_refused() -> None:
    document, problems = parse("[" * 100_000, "f.yaml")

    assert document is None
    assert len(problems) == 1
