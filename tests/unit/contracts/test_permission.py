"""Who a contract's list lets through, of exact URIs and of patterns; and that nothing is left of an answer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopsack.contracts import Catalogue, Source, TopicContract, build, uris
from hopsack.contracts.catalogue import ROLES
from hopsack.contracts.permission import Permission, Somebody, fault


def contract_of(uri: str, entries: Iterable[str]) -> tuple[Catalogue, TopicContract]:
    listed = ", ".join(f"'{entry}'" for entry in entries)
    text = f"topics:\n  {uri}:\n    summary: A box.\n    payload: {{}}\n    publish: []\n    subscribe: [{listed}]\n"
    catalogue = build([Source("box.yaml", "schemas/box.yaml", text)])
    return catalogue, catalogue.topics[uri]


def reading(uri: str, *entries: str) -> Permission:
    """The permission to subscribe to a topic ``box.…``."""
    return contract_of(uri, entries)[1].subscribe


def who(role: str = "user", subject: str = "ann", groups: Iterable[str] = (), tenant: str | None = None) -> Somebody:
    return Somebody(subject, role, frozenset(groups), tenant)


@pytest.mark.parametrize(
    ("entry", "one", "uri", "may"),
    [
        ("user", who(), "box.ann", True),
        ("user", who("guest"), "box.ann", False),
        ("user:ann", who(), "box.bob", True),
        ("user:ann", who("service"), "box.bob", False),
        ("user:ann", who(subject="anna"), "box.bob", False),
        ("user:{name}", who(), "box.ann", True),
        ("user:{name}", who(), "box.bob", False),
        ("user:{name}", who("service"), "box.ann", False),
        ("user:{name}", who(subject="{name}"), "box.ann", False),
        ("guest:{name}", who("guest"), "box.ann", True),
        ("group:ops", who(groups=["ops", "all"]), "box.ann", True),
        ("group:ops", who("guest", groups=["ops"]), "box.ann", True),
        ("group:ops", who(groups=["opsx"]), "box.ann", False),
        ("group:{name}", who(groups=["red"]), "box.red", True),
        ("group:{name}", who(groups=["red"]), "box.blue", False),
        ("group:{name}", who(subject="red"), "box.red", False),
        ("tenant:acme", who(tenant="acme"), "box.ann", True),
        ("tenant:acme", who(tenant=None), "box.ann", False),
        ("tenant:{name}", who(tenant="acme"), "box.acme", True),
        ("tenant:{name}", who(tenant="acme"), "box.other", False),
        ("tenant:{name}", who(tenant="", groups=["acme"]), "box.acme", False),
        ("user:{name}", who("operator", "me"), "box.ann", True),
        ("service", who("trusted", "node"), "box.ann", True),
    ],
)
def test_an_entry_lets_those_through_whom_it_names(entry: str, one: Somebody, uri: str, may: bool) -> None:
    assert (reading("box.{name}", entry).rule_for(one, uri) is not None) is may


def test_an_empty_list_is_for_nobody_but_the_node() -> None:
    nobody = reading("box.{name}")

    assert [nobody.rule_for(who(role), "box.ann") for role in (*ROLES, "trusted")] == [None] * 4 + ["trusted"]


def test_the_rule_is_the_entry_that_decides() -> None:
    several = reading("box.{name}", "service", "user:eve", "group:ops", "user:{name}")

    rules = [
        several.rule_for(one, "box.ann")
        for one in (who("service"), who(), who(subject="eve"), who(subject="bob", groups=["ops"]), who("operator"))
    ]

    assert rules == ["service", "user:{name}", "user:eve", "group:ops", "operator"]
    assert (several.place, str(several)) == (
        "schemas/box.yaml:6",
        "subscribe: [service, user:eve, group:ops, user:{name}]",
    )


@pytest.mark.parametrize(
    ("pattern", "match", "may"),
    [
        ("box.ann.", "prefix", True),
        ("box.ann.n", "prefix", True),
        ("box.ann", "prefix", False),  # anna's too
        ("box.", "prefix", False),
        ("box", "prefix", False),
        ("", "prefix", False),
        ("box.bob.", "prefix", False),
        ("box.ann.", "wildcard", True),
        (".ann.", "wildcard", True),
        ("box..news", "wildcard", False),
        ("..", "wildcard", False),
        ("box.bob.", "wildcard", False),
    ],
)
def test_a_pattern_must_hold_the_name_itself(pattern: str, match: str, may: bool) -> None:
    permission = reading("box.{name}.{kind}", "user:{name}")

    assert (permission.rule_for_pattern(who(), pattern, match) is not None) is may  # type: ignore[arg-type]


def test_who_is_named_may_use_any_pattern() -> None:
    permission = reading("box.{name}", "user:eve", "group:ops", "tenant:acme")

    for one in (who(subject="eve"), who(groups=["ops"]), who(tenant="acme"), who("operator")):
        assert permission.rule_for_pattern(one, "box.", "prefix") is not None
    assert permission.rule_for_pattern(who(), "box.", "prefix") is None


def test_a_role_can_be_kept_away_whatever_the_list_says() -> None:
    permission = reading("box.{name}", "guest", "group:ops", "user").without("guest", "HOPSACK_GUESTS=read")

    assert permission.rule_for(who("guest", groups=["ops"]), "box.ann") is None
    assert permission.rule_for(who(), "box.ann") == "user"
    assert permission.barred == {"guest": "HOPSACK_GUESTS=read"}


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("user", None),
        ("user:{name}", None),
        ("group:{name}", None),
        ("group:a:b", None),
        ("tenant:{org}", "has no parameter"),
        ("user:{Name}", "names nobody"),
        ("user:", "names nobody"),
        ("user:a b", "names nobody"),
        ("team:a", "not a role, a group or a tenant"),
        ("trusted:a", "not a role, a group or a tenant"),
        ("trusted", "not a role"),
        ("group", "not a role"),
    ],
)
def test_entries_that_mean_nothing_are_refused(entry: str, wrong: str | None) -> None:
    found = fault(entry, "box.{name}", ROLES)

    assert found is None if wrong is None else found is not None and wrong in found[0]


# ---- all of it at once ----------------------------------------------------------------------------------------------

NAMES = ("ann", "bob", "red")
ENTRIES = [
    *ROLES,
    *(f"{kind}:{whom}" for kind in ("guest", "user", "service", "group", "tenant") for whom in (*NAMES, "{a}", "{b}")),
]
somebody = st.builds(
    who,
    st.sampled_from(ROLES),
    st.sampled_from(NAMES),
    st.sets(st.sampled_from(NAMES)),
    st.none() | st.sampled_from(NAMES),
)
lists = st.lists(st.sampled_from(ENTRIES), unique=True, max_size=4)


def says_the_book(entry: str, one: Somebody, bound: dict[str, str]) -> bool:
    """What an entry means, without any of the ways to find out quickly."""
    kind, _, whom = entry.partition(":")
    name = bound[whom[1:-1]] if whom.startswith("{") else whom
    if kind == "group":
        return name in one.groups
    if kind == "tenant":
        return one.tenant == name
    return one._authrole == kind and (not whom or one._authid == name)


@given(lists, st.lists(st.tuples(somebody, st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20))
def test_an_answer_depends_on_who_asks_about_what_and_on_nothing_before(
    entries: list[str], asked: list[tuple[Somebody, str, str]]
) -> None:
    _, contract = contract_of("box.{a}.{b}", entries)

    for one, a, b in asked:
        book = any(says_the_book(entry, one, {"a": a, "b": b}) for entry in entries)
        may_all = bool(entries) and one._authrole == "operator"
        rule = contract.subscribe.rule_for(one, f"box.{a}.{b}")

        assert (rule is not None) is (book or may_all)
        assert rule is None or rule in ENTRIES


components = st.sampled_from(("box", "", "a", "an", *NAMES))


@given(lists, somebody, st.lists(components, min_size=1, max_size=4), st.sampled_from(("prefix", "wildcard")))
def test_a_pattern_never_reaches_what_its_reader_may_not_read(
    entries: list[str], one: Somebody, parts: list[str], match: str
) -> None:
    catalogue, contract = contract_of("box.{a}.{b}", entries)
    pattern = ".".join(parts)
    names = (*NAMES, "a", "an", "anna", "zoe")

    if contract.subscribe.rule_for_pattern(one, pattern, match) is None:  # type: ignore[arg-type]
        return
    for uri in (f"box.{a}.{b}" for a in names for b in names):
        if uris.meets(uris.split(uri), pattern, match):
            assert contract.subscribe.rule_for(one, uri) is not None
    assert catalogue.topic("box.a.b") is contract
