"""Generated types: what they say, what they refuse, and that real payloads go through them unchanged."""

# ruff: noqa: E501 (one row, one fault)
from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hopsack.contracts import Catalogue, ContractsInvalid, Problem, Source, build, generate, load
from hopsack.contracts.verdict import Verdict
from hopsack.errors import ERRORS, DeclaredError

ROOT = Path(__file__).parents[3]

ODD = """\
topics:
  odd.{which}.thing:
    summary: 'An odd "thing".'
    payload: {$ref: '#/types/Odd'}
    latest: [str, class]
    publish: []
    subscribe: []
  odd.inline:
    summary: Written in place. */ "\""
    payload:
      type: object
      required: [rows]
      properties:
        rows: {type: array, items: {type: object, required: [x], properties: {x: {type: [integer, 'null']}}}}
    publish: []
    subscribe: []
procedures:
  odd.do:
    summary: Do.
    input: {anyOf: [{$ref: '#/types/Tree'}, {type: string}, {type: 'null'}]}
    output: {type: object, additionalProperties: {type: array, items: {}}}
    errors: [odd.busy]
    register: []
    call: []
errors:
  odd.busy:
    summary: Busy.
    data: {type: object, required: [until], properties: {until: {type: number}}}
types:
  Odd:
    type: object
    description: 'Ends in a backslash \\ and says QQQhiQQQ'
    additionalProperties: false
    required: [class, str, nullable, Tree]
    properties:
      class: {type: string}
      str: {type: string}
      int: {type: integer}
      float: {type: number}
      Tree: {$ref: '#/types/Tree'}
      content-type: {type: string}
      content_type: {type: string}
      9lives: {type: boolean}
      _private: {type: string}
      nullable: {type: [string, 'null']}
      both: {type: [string, 'null']}
      optional: {type: string}
      nothing: {type: 'null'}
      anything: {}
      any_or_not: {anyOf: [{type: string}, {}]}
      mixed: {enum: [a, 1, null]}
      only: {const: x}
      pair: {type: array, items: {$ref: '#/types/Level'}, minItems: 2, maxItems: 2}
      levels: {type: array, items: {$ref: '#/types/Level'}}
      nested: {type: array, items: {type: array, items: {type: [number, integer]}}}
      either: {anyOf: [{type: string}, {type: integer}, {type: boolean}]}
      limits: {type: object, additionalProperties: {type: [number, 'null']}}
      open: {type: object}
      closed: {type: object, additionalProperties: false}
      maybe: {$ref: '#/types/Maybe'}
  Maybe: {anyOf: [{$ref: '#/types/Level'}, {type: 'null'}]}
  Level: {type: string, enum: [low, high], description: How much.}
  Levels: {type: array, items: {$ref: '#/types/Level'}}
  Aaa: {$ref: '#/types/Levels'}
  Tree:
    type: object
    required: [name]
    additionalProperties: false
    properties:
      name: {type: string}
      below: {type: array, items: {$ref: '#/types/Tree'}}
""".replace("QQQ", '"""')


def _catalogue(text: str) -> Catalogue:
    return build([Source("odd.yaml", "odd.yaml", text)])


def _module(catalogue: Catalogue, name: str) -> types.ModuleType:
    """The generated module, imported: msgspec resolves annotations through ``sys.modules``."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(generate.python_types(catalogue), name, "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def odd() -> Iterator[types.ModuleType]:
    yield _module(_catalogue(ODD), "odd_contracts")
    del sys.modules["odd_contracts"]


# What the committed files say


def test_the_committed_files_are_what_would_be_written() -> None:
    planned = generate.plan(load(ROOT / "schemas"), ROOT)

    assert [str(path.relative_to(ROOT)) for path in generate.stale(planned)] == [], "run `hopsack generate`"
    assert {path.relative_to(ROOT) for path, _ in planned} == {
        generate.PYTHON,
        generate.TYPESCRIPT,
        generate.ERROR_TABLE,
        generate.ERROR_PAGE,
    }


def test_the_same_contracts_give_the_same_bytes_in_any_process() -> None:
    program = (
        "import hashlib, pathlib; from hopsack.contracts import load, generate;"
        f"files = generate.plan(load(pathlib.Path({str(ROOT / 'schemas')!r})), pathlib.Path({str(ROOT)!r}));"
        "print(hashlib.sha256(repr(files).encode()).hexdigest())"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    files = generate.outputs(_catalogue(ODD), tmp_path / "a" / "contracts.py", tmp_path / "contracts.ts")

    assert generate.write(files) == [tmp_path / "a" / "contracts.py", tmp_path / "contracts.ts"]
    assert generate.stale(files) == []
    (tmp_path / "contracts.ts").write_text("old")
    assert generate.stale(files) == [tmp_path / "contracts.ts"]
    assert generate.write(files) == [tmp_path / "contracts.ts"]


def test_a_project_without_our_folders_gets_only_what_it_asks_for(tmp_path: Path) -> None:
    catalogue = _catalogue(ODD)

    assert generate.plan(catalogue, tmp_path) == []
    assert [file.path for file in generate.plan(catalogue, tmp_path, python=tmp_path / "x.py")] == [tmp_path / "x.py"]


def test_the_error_table_is_whole() -> None:
    typescript = generate.tables.typescript()
    page = generate.tables.markdown()

    assert [code for code in ERRORS if f'"{code}": {{' not in typescript or f"| `{code}` |" not in page] == []


# Python


def test_a_field_that_may_be_missing_is_none(odd: types.ModuleType) -> None:
    value = odd.Odd(class_="c", str_="s", nullable=None, Tree_=odd.Tree(name="t"))

    assert (value.optional, value.both, value.nothing, value.anything, value.maybe) == (
        None,
        msgspec.UNSET,
        msgspec.UNSET,
        msgspec.UNSET,
        msgspec.UNSET,
    )
    assert msgspec.to_builtins(value) == {"class": "c", "str": "s", "nullable": None, "Tree": {"name": "t"}}


def test_values_are_frozen(odd: types.ModuleType) -> None:
    tree = odd.Tree(name="t")

    with pytest.raises(AttributeError):
        tree.name = "other"


def test_fields_of_newer_contracts_are_ignored(odd: types.ModuleType) -> None:
    assert msgspec.json.decode(b'{"name": "t", "new": 1}', type=odd.Tree) == odd.Tree(name="t")


def test_errors_are_exceptions_with_their_facts(odd: types.ModuleType) -> None:
    error = odd.OddBusy("later", data={"until": 3})

    assert issubclass(odd.OddBusy, DeclaredError)
    assert (error.code, error.facts()) == ("odd.busy", odd.OddBusyData(until=3.0))
    assert dict(odd.ERRORS) == {"odd.busy": odd.OddBusy}


def test_names_know_their_types(odd: types.ModuleType) -> None:
    assert odd.ODD_WHICH_THING.at(which="x").uri == "odd.x.thing"
    assert odd.ODD_WHICH_THING.payload is odd.Odd
    assert odd.ODD_INLINE.payload is odd.OddInline
    assert (odd.ODD_DO.output, odd.ODD_DO.errors) == (odd.Mapping[str, tuple[Any, ...]], (odd.OddBusy,))


def test_everything_public_is_exported(odd: types.ModuleType) -> None:
    nodes_own = set(_module(build([]), "no_contracts").__all__)
    del sys.modules["no_contracts"]

    assert set(odd.__all__) - nodes_own == {
        *("Aaa", "Level", "Levels", "Maybe", "ODD_DO", "ODD_INLINE", "ODD_WHICH_THING", "Odd", "OddBusy"),
        *("OddBusyData", "OddClosed", "OddInline", "OddInlineRowsItem", "Tree"),
    }
    assert {"ERRORS", "PRESENCE_LIST", "Door", "StreamPage"} <= nodes_own <= set(odd.__all__)


# Real payloads go through the types unchanged


def _payloads(schema: Any, root: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Payloads of the schemas in these tests and in ``schemas/``; bounds are left to a filter."""
    if not isinstance(schema, dict):
        return st.none()
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return st.deferred(lambda: _payloads(root["$defs"][name], root, depth))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return st.one_of([_payloads(item, root, depth) for item in schema["anyOf"]])
    kinds = schema.get("type", ["string", "number", "null"])
    return st.one_of([_typed(kind, schema, root, depth) for kind in (kinds if isinstance(kinds, list) else [kinds])])


def _typed(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum", 0), schema.get("maximum", 10**6)
    match kind:
        case "object":
            properties, required = schema.get("properties", {}), schema.get("required", [])
            must = {name: _payloads(properties[name], root, depth + 1) for name in required}
            may = {name: _payloads(item, root, depth + 1) for name, item in properties.items() if name not in required}
            others = schema.get("additionalProperties", {} if not properties else False)
            if not properties and others is not False:
                return st.dictionaries(st.text(max_size=3), _payloads(others, root, depth + 1), max_size=2)
            return st.fixed_dictionaries(must, optional=may if depth < 4 else {})
        case "array":
            most = (
                min(schema.get("maxItems", 3), max(schema.get("minItems", 0), 3))
                if depth < 4
                else schema.get("minItems", 0)
            )
            return st.lists(
                _payloads(schema.get("items", {}), root, depth + 1), min_size=schema.get("minItems", 0), max_size=most
            )
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True)
        case "string":
            return st.text(
                st.characters(codec="utf-8"),
                min_size=schema.get("minLength", 0),
                max_size=min(schema.get("maxLength", 6), 6),
            )
        case "integer":
            return st.integers(max(low, 1), high)
        case "number":
            return st.floats(low + 0.5 if "exclusiveMinimum" in schema else low, min(high, 100)) | st.integers(
                low + 1, 90
            )
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


def _all_payloads(catalogue: Catalogue) -> list[tuple[str, dict[str, Any]]]:
    found = [
        (f"{generate.shapes.constant(topic.uri)}.payload", topic.payload_schema) for topic in catalogue.topics.values()
    ]
    for procedure in catalogue.procedures.values():
        name = generate.shapes.constant(procedure.uri)
        if procedure.takes_input:
            found.append((f"{name}.input", procedure.input_schema))
        if procedure.gives_output:
            found.append((f"{name}.output", procedure.output_schema))
    return found


OURS = load(ROOT / "schemas")


@pytest.mark.parametrize("text", [None, ODD], ids=["schemas", "odd"])
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_what_a_contract_allows_a_type_takes_and_gives_back(text: str | None, data: st.DataObject) -> None:
    catalogue, name = (OURS, "our_contracts") if text is None else (_catalogue(ODD), "odd_round_trip")
    module = sys.modules.get(name) or _module(catalogue, name)
    where, schema = data.draw(st.sampled_from(_all_payloads(catalogue)))
    payload = data.draw(_payloads(schema, schema))
    verdict = Verdict(schema)
    assert verdict.of(payload) is None, "the strategy makes only what the contract allows"
    constant, part = where.split(".")
    kind = getattr(getattr(module, constant), part)

    decoded = msgspec.json.decode(json.dumps(payload), type=kind)
    again = msgspec.json.decode(msgspec.json.encode(decoded))

    assert again == payload
    assert verdict.of(again) is None
    assert msgspec.convert(payload, kind) == decoded


# What cannot be typed

TOPIC = """\
topics:
  odd.x:
    summary: s
    payload: {payload}
    publish: []
    subscribe: []
"""


def _refused(text: str) -> list[Problem]:
    catalogue = _catalogue(text)
    with pytest.raises(ContractsInvalid) as caught:
        generate.outputs(catalogue, Path("x.py"), Path("x.ts"))
    assert generate.check(catalogue) == caught.value.problems
    return caught.value.problems


@pytest.mark.parametrize(
    ("payload", "key", "message"),
    [
        ("{allOf: [{type: string}]}", "/allOf", "`allOf` cannot be typed"),
        ("{type: string, not: {const: x}}", "/not", "`not` cannot be typed"),
        ("{type: object, if: {}, then: {}}", "/if", "`if` cannot be typed"),
        ("{type: array, contains: {}}", "/contains", "`contains` cannot be typed"),
        ("{type: object, patternProperties: {a: {}}}", "/patternProperties", "`patternProperties` cannot be typed"),
        ("{minLength: 1}", "", "has `minLength` and no `type`"),
        ("{properties: {a: {}}}", "", "has `properties` and no `type`"),
        ("{type: object, anyOf: [{type: object}]}", "", "has `type` beside `anyOf`"),
        ("{enum: [1.5]}", "/enum", "what no literal type can"),
        ("{const: true}", "/const", "what no literal type can"),
        ("{enum: [[]]}", "/enum", "what no literal type can"),
        ("{type: string, enum: [1]}", "/enum", "which `type` forbids"),
        ("{type: object, properties: {a: {}}, additionalProperties: {type: string}}", "/additionalProperties", "beside named ones"),
        ("{anyOf: [{type: object}, {type: object, properties: {a: {}}}]}", "", "two kinds of object"),
        ("{anyOf: [{type: array, items: {type: string}}, {type: array}]}", "", "two kinds of array"),
        ("{type: array, items: {anyOf: [{type: object}, {type: object, properties: {a: {}}}]}}", "", "two kinds of object"),
        ("{anyOf: [{type: string}, {enum: [a]}]}", "", "two kinds of string"),
    ],
)  # fmt: skip
def test_what_cannot_be_typed_is_refused_in_its_place(payload: str, key: str, message: str) -> None:
    problems = _refused(TOPIC.replace("{payload}", payload))

    first = problems[0]
    assert (first.file, first.line) == ("odd.yaml", 4)
    assert first.key == f"/topics/odd.x/payload{key}"
    assert message in first.message
    assert first.advice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("types:\n  Any: {type: string}\n", "`Any` means something else in Python"),
        ("types:\n  ValueError: {type: string}\n", "`ValueError` means something else in Python"),
        ("types:\n  Topics: {type: string}\n", "`Topics` means something else in TypeScript"),
        ("types:\n  A: {type: array, items: {$ref: '#/types/A'}}\n", "contains itself without an end"),
        ("types:\n  OddBusy: {type: string}\nerrors:\n  odd.busy: {summary: s}\n", "`OddBusy`, is taken by odd.yaml:2"),
        (TOPIC.replace("{payload}", "{}") + "procedures:\n  odd.x: {summary: s, register: [], call: []}\n", "`ODD_X`, is taken by odd.yaml:2"),
        ("types:\n  A: {type: object, properties: {b: {type: object, properties: {c: {}}}}}\n  AB: {type: object, properties: {d: {}}}\n", "already a type `AB`"),
        (
            "topics:\n  odd.{x}.c: {summary: s, payload: {type: string}, publish: [], subscribe: []}\n"
            "  odd.a.b.c: {summary: s, payload: {type: number}, publish: [], subscribe: []}\n",
            "to TypeScript `odd.{x}.c` and `odd.a.b.c` can be the same name",
        ),
    ],
)  # fmt: skip
def test_names_that_would_collide_are_refused(text: str, message: str) -> None:
    problems = _refused(text)

    assert message in problems[0].message


def test_patterns_that_reach_over_dots_may_agree() -> None:
    text = (
        "topics:\n  odd.{x}.c: {summary: s, payload: {type: string}, publish: [], subscribe: []}\n"
        "  odd.a.b.c: {summary: s, payload: {type: string}, publish: [], subscribe: []}\n"
    )

    assert generate.check(_catalogue(text)) == []


def test_the_reference_s_example_is_good() -> None:
    page = (ROOT / "docs/reference/contracts.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]

    catalogue = build([Source("stock.yaml", "stock.yaml", example)])

    assert generate.check(catalogue) == []
    assert "STOCK_SHELF_CHANGED: Topic[StockCount]" in generate.python_types(catalogue)


# TypeScript

USES = """\
import { type DeclaredErrors, LATEST, type Odd, type Procedures, type Topics, type Tree } from "./contracts";
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
export const same: [
  Equal<Topics["odd.left.thing"], Odd>,
  Equal<Topics["odd.inline"]["rows"][number]["x"], number | null>,
  Equal<Odd["both"], string | null | undefined>,
  Equal<Odd["mixed"], "a" | 1 | null | undefined>,
  Equal<Procedures["odd.do"]["input"], Tree | string | null>,
  Equal<Procedures["odd.do"]["errors"], "odd.busy">,
  Equal<DeclaredErrors["odd.busy"]["until"], number>,
  Equal<"odd.left.thing" extends keyof Topics ? true : false, true>,
  Equal<"odd.left.thingy" extends keyof Topics ? true : false, false>,
  Equal<(typeof LATEST)["odd.{which}.thing"], readonly ["str", "class"]>,
  Equal<(typeof LATEST)["presence.count"], readonly []>,
  Equal<"odd.inline" extends keyof typeof LATEST ? true : false, false>,
] = [true, true, true, true, true, true, true, true, true, true, true, true];
export const tree: Tree = { name: "t", below: [{ name: "u" }] };
// @ts-expect-error: values are frozen
tree.name = "x";
"""


def test_typescript_means_the_same(tmp_path: Path) -> None:
    compiler = ROOT / "web_client/node_modules/.bin/tsc"
    if not compiler.exists() or shutil.which("node") is None:
        pytest.skip("needs the TypeScript compiler: run `npm ci` in web_client/")
    generate.write(generate.outputs(_catalogue(ODD), None, tmp_path / "contracts.ts"))
    (tmp_path / "uses.ts").write_text(USES)
    options = ["--strict", "--noEmit", "--target", "ES2022", "--module", "ESNext", "--moduleResolution", "bundler"]

    done = subprocess.run(
        [compiler, *options, "--types", "", "--ignoreConfig", "uses.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("", 0)
