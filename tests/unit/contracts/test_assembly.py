"""What is wrong with a folder of contracts: file, line, key, what is wrong, what would be right."""

# ruff: noqa: E501 (one row, one fault)
from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from hopsack.contracts import Catalogue, ContractsInvalid, Problem, Source, build, load
from hopsack.contracts.catalogue import Stream

SCHEMAS = Path(__file__).parents[3] / "schemas"

GOOD = """\
summary: Things.
topics:
  thing.changed:
    summary: A thing changed.
    payload: {$ref: '#/types/Thing'}
    stream: {keep: 10, for: 1h}
    latest: id
    publish: [service]
    subscribe: [guest, 'user:ann']
  thing.{id}.log:
    summary: What a thing logs.
    payload: {type: string}
    publish: [service]
    subscribe: [guest]
procedures:
  thing.get:
    summary: One thing.
    input: {type: string}
    output: {$ref: '#/types/Thing'}
    errors: [thing.unknown]
    idempotent: true
    timeout: 500ms
    register: [service]
    call: [guest]
errors:
  thing.unknown: {summary: No such thing.}
types:
  Thing:
    type: object
    required: [id]
    properties:
      id: {type: string}
      size: {type: number}
"""


def _build(**files: str) -> Catalogue:
    """Keyword ``acme__orders`` is the file ``acme/orders.yaml``."""
    named = {key.replace("__", "/") + ".yaml": text for key, text in files.items()}
    return build([Source(file, file, dedent(text)) for file, text in named.items()])


def _problems(**files: str) -> list[Problem]:
    with pytest.raises(ContractsInvalid) as caught:
        _build(**files)
    return caught.value.problems


def _edited(old: str, new: str) -> Problem:
    """The one problem that a small change makes."""
    assert old in GOOD
    problems = _problems(thing=GOOD.replace(old, new, 1))
    assert len(problems) == 1, problems
    return problems[0]


def test_the_good_file_is_good() -> None:
    catalogue = _build(thing=GOOD)

    assert "thing.changed" in catalogue.topics


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message", "advice"),
    [
        # keys
        ("summary: Things.", "sumary: Things.", 1, "/sumary", "`sumary` is not a key here", "`summary`"),
        ("    idempotent: true", "    idempotant: true", 21, "/procedures/thing.get/idempotant", "not a key", "`idempotent`"),
        ("    idempotent: true", "    idempotent: maybe", 21, "/procedures/thing.get/idempotent", "`true` or `false`", ""),
        ("{keep: 10, for: 1h}", "{keep: 10, fro: 1h}", 6, "/topics/thing.changed/stream/fro", "not a key", "`for`"),
        ("{keep: 10, for: 1h}", "{keep: 0}", 6, "/topics/thing.changed/stream/keep", "at least 1", ""),
        ("{keep: 10, for: 1h}", "{for: 1h}", 6, "/topics/thing.changed/stream", "`keep`", "bound"),
        ("{keep: 10, for: 1h}", "10", 6, "/topics/thing.changed/stream", "must be an object", "`keep`"),
        ("{keep: 10, for: 1h}", "{keep: 10, bytes: 64 MB}", 6, "/topics/thing.changed/stream/bytes", "bytes", "`64 KiB`"),
        ("{keep: 10, for: 1h}", "{keep: 10, bytes: 4095}", 6, "/topics/thing.changed/stream/bytes", "4,096", "`65536`"),
        ("{keep: 10, for: 1h}", "{keep: 10, bytes: true}", 6, "/topics/thing.changed/stream/bytes", "4,096", "`65536`"),
        ("{keep: 10, for: 1h}", "{keep: 10, for: 1w}", 6, "/topics/thing.changed/stream/for", "duration", "`7d`"),
        ("timeout: 500ms", "timeout: 2", 22, "/procedures/thing.get/timeout", "duration", "`2s`"),
        ("timeout: 500ms", "timeout: 0s", 22, "/procedures/thing.get/timeout", "above 0", ""),
        ("    summary: A thing changed.\n", "", 3, "/topics/thing.changed", "`summary` is missing", "one sentence"),
        ("summary: A thing changed.", "summary: ''", 4, "/topics/thing.changed/summary", "must be text", ""),
        ("    payload: {type: string}\n", "", 10, "/topics/thing.{id}.log", "`payload` is missing", "schema"),
        # roles
        ("publish: [service]", "publish: [sevice]", 8, "/topics/thing.changed/publish/0", "`sevice` is not a role", "`service`"),
        ("publish: [service]", "publish: service", 8, "/topics/thing.changed/publish", "list of roles", ""),
        ("publish: [service]", "publish: [service, service]", 8, "/topics/thing.changed/publish/1", "twice", ""),
        ("    register: [service]\n", "", 16, "/procedures/thing.get", "`register` is missing", "`[]` is nobody"),
        ("user:ann", "user:{}", 9, "/topics/thing.changed/subscribe/1", "names nobody", "`user:name`"),
        ("'user:ann'", "'user:'", 9, "/topics/thing.changed/subscribe/1", "names nobody", "`user:name`"),
        ("user:ann", "team:red", 9, "/topics/thing.changed/subscribe/1", "not a role, a group or a tenant", "`group:…`"),
        ("user:ann", "trusted:me", 9, "/topics/thing.changed/subscribe/1", "not a role, a group", ""),
        ("user:ann", "trusted", 9, "/topics/thing.changed/subscribe/1", "`trusted` is not a role", "known here"),
        ("user:ann", "user:{sub}", 9, "/topics/thing.changed/subscribe/1", "no parameter `{sub}`", "write a name"),
        ("[guest]\nprocedures", "['group:{team}']\nprocedures", 14, "/topics/thing.{id}.log/subscribe/0", "no parameter `{team}`", "`group:{id}`"),
        # URIs
        ("thing.changed:", "things.changed:", 3, "/topics/things.changed", "not below this file's prefix", "`thing.…`"),
        ("thing.{id}.log:", "thing.{Id}.log:", 10, "/topics/thing.{Id}.log", "has the parameter `{Id}`", "lower-case"),
        ("thing.changed:", "thing:", 3, "/topics/thing", "not below", ""),
        ("  thing.get:", "  thing.Get:", 16, "/procedures/thing.Get", "component `Get`", "lower-case"),
        # latest
        ("latest: id", "latest: idd", 7, "/topics/thing.changed/latest", "no field `idd`", "`id`"),
        ("latest: id", "latest: size", 7, "/topics/thing.changed/latest", "may be missing", "`required`"),
        ("latest: id", "latest: {a: 1}", 7, "/topics/thing.changed/latest", "a field of the payload", ""),
        ("      id: {type: string}", "      id: {type: object}", 7, "/topics/thing.changed/latest", "tell events apart", ""),
        # errors
        ("errors: [thing.unknown]", "errors: [thing.unknwon]", 20, "/procedures/thing.get/errors/0", "not declared", "`thing.unknown`"),
        ("errors: [thing.unknown]", "errors: [hopsack.denied]", 20, "/procedures/thing.get/errors/0", "not declared", "common table"),
        ("errors: [thing.unknown]", "errors: thing.unknown", 20, "/procedures/thing.get/errors", "list of codes", ""),
        ("{summary: No such thing.}", "{}", 26, "/errors/thing.unknown", "`summary` is missing", ""),
        # references
        ("'#/types/Thing'", "'#/types/Thingy'", 5, "/topics/thing.changed/payload/$ref", "no type `Thingy`", "`Thing`"),
        ("'#/types/Thing'", "'#/$defs/Thing'", 5, "/topics/thing.changed/payload/$ref", "not a reference to a type", "`#/types/Name`"),
        ("'#/types/Thing'", "'https://example.org/x'", 5, "/topics/thing.changed/payload/$ref", "not a reference", "fetched"),
        ("'#/types/Thing'", "'other.yaml#/types/Thing'", 5, "/topics/thing.changed/payload/$ref", "no file `other.yaml`", ""),
        ("{$ref: '#/types/Thing'}", "{$ref: '#/types/Thing', minLength: 1}", 5, "/topics/thing.changed/payload", "beside `$ref`", "draft-07"),
        # schemas
        ("id: {type: string}", "id: {type: strin}", 32, "/types/Thing/properties/id/type", "`type` must be one of", ""),
        ("id: {type: string}", "id: {typ: string}", 32, "/types/Thing/properties/id/typ", "not a keyword", "`type`"),
        ("id: {type: string}", "id: string", 32, "/types/Thing/properties/id", "must be a schema", "{type: string}"),
        ("id: {type: string}", "id: {type: string, nullable: true}", 32, "/types/Thing/properties/id/nullable", "not in both", "[string, 'null']"),
        ("id: {type: string}", "id: {type: string, minLength: -1}", 32, "/types/Thing/properties/id/minLength", "at least 0", ""),
        ("id: {type: string}", "id: {type: string, pattern: '('}", 32, "/types/Thing/properties/id/pattern", "regular expression", ""),
        ("id: {type: string}", "id: {type: string, pattern: '(?=a)a'}", 32, "/types/Thing/properties/id/pattern", "look-around", ""),
        ("id: {type: string}", "id: {type: string, format: datetime}", 32, "/types/Thing/properties/id/format", "`date-time`", ""),
        ("id: {type: string}", "id: {type: string, enum: []}", 32, "/types/Thing/properties/id/enum", "different values", ""),
        ("required: [id]", "required: [ids]", 30, "/types/Thing/required/0", "requires `ids`", "`id`"),
        ("required: [id]", "required: id", 30, "/types/Thing/required", "list of different names", ""),
        ("size: {type: number}", "size: {prefixItems: [{}]}", 33, "/types/Thing/properties/size/prefixItems", "not in both", "`items`"),
        ("size: {type: number}", "size: {items: [{}]}", 33, "/types/Thing/properties/size/items", "must be a schema", "draft-07"),
        ("size: {type: number}", "size: {allOf: []}", 33, "/types/Thing/properties/size/allOf", "list of schemas", ""),
        ("size: {type: number}", "size: {patternProperties: {'(': {}}}", 33, "/types/Thing/properties/size/patternProperties/(", "regular", ""),
    ],
)  # fmt: skip
def test_one_fault_is_one_problem_in_its_place(
    old: str, new: str, line: int, key: str, message: str, advice: str
) -> None:
    problem = _edited(old, new)

    assert (problem.file, problem.line, problem.key) == ("thing.yaml", line, key)
    assert message in problem.message
    assert advice in problem.advice


def test_all_faults_are_told_at_once_in_the_order_of_lines() -> None:
    text = GOOD.replace("summary: Things.", "sumary: x").replace("publish: [service]", "publish: [x]")

    problems = _problems(thing=text.replace("type: number", "type: numer"), other="nothing: 1")

    assert [(problem.file, problem.line) for problem in problems] == [
        ("other.yaml", 1),
        ("thing.yaml", 1),
        ("thing.yaml", 8),
        ("thing.yaml", 13),
        ("thing.yaml", 33),
    ]


def test_a_problem_reads_like_a_compiler_s() -> None:
    problem = Problem("schemas/host.yaml", 12, "/topics/x", "is wrong", "do that")

    assert str(problem) == "schemas/host.yaml:12: /topics/x: is wrong (do that)"


def test_types_of_other_files_are_referred_to_by_path() -> None:
    user = """
        topics:
          acme.orders.placed:
            summary: An order.
            payload: {$ref: '../thing.yaml#/types/Thing'}
            publish: []
            subscribe: [guest]
        types:
          Seen: {$ref: '../presence.yaml#/types/Door'}
    """

    catalogue = _build(thing=GOOD, acme__orders=user)

    assert catalogue.topics["acme.orders.placed"].payload_schema == {
        "$ref": "#/$defs/Thing",
        "$defs": {"Thing": catalogue.types["Thing"].schema},
    }
    assert catalogue.types["Seen"].schema == {"$ref": "#/$defs/Door"}


def test_a_type_has_one_name_in_all_files() -> None:
    problems = _problems(thing=GOOD, other="types: {Thing: {type: string}}")

    assert [(problem.file, problem.line) for problem in problems] == [("other.yaml", 1)]
    assert "declared twice" in problems[0].message
    assert "thing.yaml:28" in problems[0].advice


def test_nested_files_cannot_declare_the_same_uri() -> None:
    topic = "{summary: s, payload: {}, publish: [], subscribe: []}"

    problems = _problems(acme=f"topics: {{acme.orders.x: {topic}}}", acme__orders=f"topics: {{acme.orders.x: {topic}}}")

    assert len(problems) == 1
    assert "`acme.orders.x` is declared twice" in problems[0].message


def test_ambiguous_uris_are_refused_with_the_way_out() -> None:
    topic = "{summary: s, payload: {}, publish: [], subscribe: []}"
    two = f"topics:\n  a.{{x}}.c: {topic}\n  a.b.{{y}}: {topic}\n"

    problems = _problems(a=two)
    settled = _build(a=two + f"  a.b.c: {topic}\n")

    assert [(problem.line, problem.message) for problem in problems] == [
        (2, "`a.{x}.c` and `a.b.{y}` (in a.yaml:3) both match `a.b.c`")
    ]
    assert "declare `a.b.c` as well" in problems[0].advice
    assert {"a.{x}.c", "a.b.{y}", "a.b.c"} <= settled.topics.keys()


def test_the_same_pattern_under_two_names_is_refused() -> None:
    topic = "{summary: s, payload: {}, publish: [], subscribe: []}"

    problems = _problems(a=f"topics:\n  a.{{x}}: {topic}\n  a.{{y}}: {topic}\n")

    assert len(problems) == 1
    assert "match the same URIs" in problems[0].message


@pytest.mark.parametrize(
    "types",
    [
        "{A: {$ref: '#/types/A'}}",
        "{A: {$ref: '#/types/B'}, B: {$ref: '#/types/A'}}",
        "{A: {anyOf: [{type: string}, {$ref: '#/types/A'}]}}",
    ],
)
def test_a_type_that_is_only_itself_is_refused(types: str) -> None:
    problems = _problems(a=f"types: {types}")

    assert {problem.message for problem in problems} <= {"`A` is defined by itself", "`B` is defined by itself"}


def test_a_type_may_contain_itself() -> None:
    catalogue = _build(a="types: {A: {type: object, properties: {below: {type: array, items: {$ref: '#/types/A'}}}}}")

    assert "A" in catalogue.types


def test_errors_need_no_description_where_a_file_describes_none() -> None:
    catalogue = _build(thing=GOOD[: GOOD.index("errors:\n")] + GOOD[GOOD.index("types:\n") :])

    assert catalogue.errors["thing.unknown"].summary == ""


def test_procedures_may_name_the_errors_of_other_families() -> None:
    other = """
        procedures:
          other.get: {summary: s, errors: [thing.unknown], register: [], call: []}
    """

    assert _build(thing=GOOD, other=other).procedures["other.get"].errors == ("thing.unknown",)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("hopsack.yaml", "belongs to the node"),
        ("presence.yaml", "belongs to the node"),
        ("wamp/x.yaml", "belongs to the node"),
        ("host.yml", "ends in `.yml`"),
        ("Host.yaml", "is not a prefix"),
        ("acme-2/host.yaml", "is not a prefix"),
        ("{x}.yaml", "is not a prefix"),
    ],
)
def test_a_file_s_path_must_be_a_prefix(file: str, message: str) -> None:
    with pytest.raises(ContractsInvalid) as caught:
        build([Source(file, file, GOOD)])

    assert [message in problem.message for problem in caught.value.problems] == [True]


def test_a_prefix_may_be_opened() -> None:
    catalogue = _build(legacy="undeclared: allow", acme__orders="undeclared: refuse")

    assert catalogue.open_prefixes == ("legacy.",)
    assert [problem.key for problem in _problems(legacy="undeclared: alow")] == ["/undeclared"]


def test_the_repository_s_own_contracts_are_good() -> None:
    catalogue = load(SCHEMAS)

    assert {"host.metrics", "presence.count", "watch.{root}.changed"} <= catalogue.topics.keys()
    assert {"host.describe", "hopsack.sessions.list", "operator.{name}.ask"} <= catalogue.procedures.keys()


def test_a_folder_is_read_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "things.yaml").write_text(GOOD.replace("thing.", "acme.things."))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.yaml").write_text("nonsense")
    (tmp_path / "README.md").write_text("words")

    assert "acme.things.changed" in load(tmp_path).topics


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractsInvalid, match=r"no such folder.*HOPSACK_SCHEMAS"):
        load(tmp_path / "nothing")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "host.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ContractsInvalid, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("written", "size"), [("65536", 65536), ("64 KiB", 65536), ("1.5MiB", 3 << 19), ("'1 GiB'", 1 << 30)]
)
def test_a_stream_may_be_bound_by_bytes(written: str, size: int) -> None:
    catalogue = _build(thing=GOOD.replace("for: 1h", f"bytes: {written}"))

    topic = catalogue.topics["thing.changed"]
    assert topic.stream == Stream(10, None, size)
    assert catalogue.asyncapi()["channels"]["thing.changed"]["x-hopsack-stream"]["bytes"] == size
