"""Who may do what, for each user: over all the ways in which events and what is known of them can be had."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from hopsack.contracts import Catalogue, Source, build
from hopsack.contracts.permission import Somebody
from hopsack.errors import Denied
from hopsack_router.embed import EmbeddedNode
from hopsack_router.routing.admission import Admission
from hopsack_router.routing.deciding import Deciding, Guests
from hopsack_router.routing.session import MOST_TESTAMENTS

from .conftest import Client, Realm
from .test_calls import CALL, REGISTER, REGISTERED, RESULT
from .test_events import ERROR, EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, details

CONTRACTS = """
topics:
  box.{owner}.{kind}:
    summary: What somebody gets.
    payload: {type: string}
    stream: {keep: 100}
    latest: true
    presence: true
    publish: [service, 'user:{owner}']
    subscribe: [service, 'user:{owner}', 'group:support']
  box.{owner}.public:
    summary: What everybody may read.
    payload: {type: string}
    publish: ['user:{owner}']
    subscribe: [guest, user]
  box.team.{team}.news:
    summary: News of a team.
    payload: {type: string}
    publish: ['group:{team}']
    subscribe: ['group:{team}', 'tenant:acme']
procedures:
  box.{owner}.count:
    summary: How much there is.
    output: {type: integer}
    idempotent: true
    register: ['service:{owner}']
    call: [guest, 'user:{owner}']
  box.empty:
    summary: Throw all of it away.
    register: [service]
    call: [guest, 'tenant:acme']
"""
OPEN = "undeclared: allow\ntopics: {}\n"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build([Source("box.yaml", "schemas/box.yaml", CONTRACTS), Source("free.yaml", "schemas/free.yaml", OPEN)])


@pytest.fixture
def realm(catalogue: Catalogue) -> Realm:
    return Realm.ours(catalogue)


@pytest.fixture
def filled(realm: Realm) -> Realm:
    """Ann and bob have got something."""
    service = realm.join("service", "post")
    for number, name in enumerate(("ann", "bob", "anna"), 1):
        ((kind, *_),) = service.send(PUBLISH, number, {"acknowledge": True}, f"box.{name}.mail", [f"for {name}"])
        assert kind == PUBLISHED
    return realm


def code(answer: list[Any]) -> str | None:
    """Of a refusal; ``None``: it was none."""
    return details(answer)["code"] if answer[0] == ERROR else None


def call(client: Client, procedure: str, payload: Any) -> Any:
    """What a call brought, or the code of its error."""
    (answer,) = client.send(CALL, 9, {}, procedure, [payload])
    return answer[3][0] if answer[0] == RESULT else code(answer)


# ----- events of others are not to be had


@pytest.mark.parametrize("claims", [{}, {"groups": ["box", "bob", "team"]}, {"tenant": "bob"}])
def test_nobody_hears_what_others_get(filled: Realm, claims: dict[str, Any]) -> None:
    ann = filled.join("user", "ann", **claims)
    refused = [
        ann.send(SUBSCRIBE, number, {"match": match, "get_retained": True}, topic)[0]
        for number, (topic, match) in enumerate(
            [
                ("box.bob.mail", "exact"),
                ("box.bob.", "prefix"),
                ("box.ann", "prefix"),
                ("box.", "prefix"),
                ("", "prefix"),
                ("box..mail", "wildcard"),
                (".bob.", "wildcard"),
                ("..", "wildcard"),
            ],
            1,
        )
    ]

    assert [code(answer) for answer in refused] == ["hopsack.denied"] * len(refused)
    assert ann.take() == []


@pytest.mark.parametrize(
    ("topic", "match"), [("box.ann.", "prefix"), ("box.ann.", "wildcard"), (".ann.mail", "wildcard")]
)
def test_a_pattern_of_one_s_own_is_granted_with_what_is_kept(filled: Realm, topic: str, match: str) -> None:
    ann = filled.join("user", "ann")

    first, *shown = ann.send(SUBSCRIBE, 1, {"match": match, "get_retained": True}, topic)
    filled.join("service", "post").send(PUBLISH, 1, {}, "box.bob.mail", ["more"])
    filled.join("service", "post").send(PUBLISH, 1, {}, "box.ann.mail", ["more"])

    assert first[0] == SUBSCRIBED
    assert [event[4] for event in shown if event[0] == EVENT] == [["for ann"]]
    assert [event[4] for event in ann.take()] == [["more"]]


def test_a_group_may_read_all_it_is_named_for(filled: Realm) -> None:
    support = filled.join("user", "sue", groups=["support"])

    first, *shown = support.send(SUBSCRIBE, 1, {"match": "prefix", "get_retained": True}, "box.bob.")

    assert (first[0], [event[4] for event in shown]) == (SUBSCRIBED, [["for bob"]])
    assert code(filled.join("user", "sue").send(SUBSCRIBE, 1, {"match": "prefix"}, "box.bob.")[0]) == "hopsack.denied"


@pytest.mark.parametrize(
    ("claims", "team", "may_read", "may_write"),
    [
        ({"groups": ["red"]}, "red", True, True),
        ({"groups": ["red"]}, "blue", False, False),
        ({"tenant": "acme"}, "blue", True, False),
        ({"tenant": "other"}, "blue", False, False),
        ({}, "red", False, False),
    ],
)
def test_groups_and_tenants_stand_in_the_uri_or_in_the_list(
    realm: Realm, claims: dict[str, Any], team: str, may_read: bool, may_write: bool
) -> None:
    client = realm.join("user", "ann", **claims)

    (read,) = client.send(SUBSCRIBE, 1, {}, f"box.team.{team}.news")
    (wrote,) = client.send(PUBLISH, 2, {"acknowledge": True}, f"box.team.{team}.news", ["hello"])

    assert (read[0] == SUBSCRIBED, wrote[0] == PUBLISHED) == (may_read, may_write)


def test_nobody_reads_back_what_others_got(filled: Realm) -> None:
    ann = filled.join("user", "ann")

    mine = call(ann, "hopsack.stream.read", {"topic": "box.ann.mail"})

    assert [event["data"] for event in mine["events"]] == ["for ann"]
    for request in (
        {"topic": "box.bob.mail"},
        {"topic": "box.anna.mail", "last": 5},
        {"topic": "box.bob.mail", "since": 0},
    ):
        assert call(ann, "hopsack.stream.read", request) == "hopsack.denied"


@pytest.mark.parametrize(
    "request_",
    [
        {"positions": {"box.bob.mail": "e:0"}},
        {"positions": {"box.ann.mail": "e:0", "box.bob.mail": "e:0"}},
        {"positions": {}, "patterns": [{"topic": "box.ann", "match": "prefix"}]},
        {"positions": {}, "patterns": [{"topic": "box.ann.", "match": "prefix"}, {"topic": "box.", "match": "prefix"}]},
        {"positions": {}, "patterns": [{"topic": "box..mail", "match": "wildcard"}]},
        {"positions": {}, "patterns": [{"topic": "box.bob.mail", "match": "exact"}]},
    ],
)
def test_nobody_learns_how_far_others_streams_are(filled: Realm, request_: dict[str, Any]) -> None:
    assert call(filled.join("user", "ann"), "hopsack.stream.behind", request_) == "hopsack.denied"


def test_one_s_own_streams_may_be_asked_about(filled: Realm) -> None:
    told = call(
        filled.join("user", "ann"),
        "hopsack.stream.behind",
        {"positions": {}, "patterns": [{"topic": "box.ann.", "match": "prefix"}]},
    )

    assert list(told) == ["box.ann.mail"]


def test_nobody_learns_who_reads_what_others_get(filled: Realm) -> None:
    bob, ann = filled.join("user", "bob"), filled.join("user", "ann")
    bob.send(SUBSCRIBE, 1, {}, "box.bob.mail")

    (refused,) = ann.send(SUBSCRIBE, 1, {"get_retained": True}, "box.bob.mail.members")
    (pattern,) = ann.send(SUBSCRIBE, 2, {"match": "wildcard", "get_retained": True}, "box...members")
    granted, *members = bob.send(SUBSCRIBE, 2, {"get_retained": True}, "box.bob.mail.members")

    assert (code(refused), code(pattern)) == ("hopsack.denied", "hopsack.denied")
    assert granted[0] == SUBSCRIBED
    assert [event[4][0]["authid"] for event in members] == ["bob"]
    assert ann.take() == []


def test_nobody_leaves_a_testament_that_says_what_it_may_not_say(filled: Realm) -> None:
    eve, bob = filled.join("user", "eve"), filled.join("user", "bob")
    bob.send(SUBSCRIBE, 1, {}, "box.bob.mail")

    [answer] = eve.send(CALL, 1, {}, "wamp.session.add_testament", ["box.bob.mail", ["I was here"], {}])
    eve.leave()

    assert code(answer) == "hopsack.denied"
    assert bob.take() == []


def test_nobody_fills_the_node_with_testaments(filled: Realm) -> None:
    eve = filled.join("user", "eve")

    def leave() -> Any:
        return eve.send(CALL, 1, {}, "wamp.session.add_testament", ["box.eve.mail", ["x"], {}])[0]

    answers = [leave() for _ in range(MOST_TESTAMENTS + 1)]
    eve.send(CALL, 1, {}, "wamp.session.flush_testaments")
    answers += [leave() for _ in range(MOST_TESTAMENTS + 1)]

    for last in (answers[MOST_TESTAMENTS], answers[-1]):
        assert code(last) == "hopsack.too_many"
    assert [one[0] for one in answers].count(RESULT) == 2 * MOST_TESTAMENTS


@pytest.mark.parametrize(
    "last",
    [
        ["box.eve.mail", ["x" * 16_000], {}],
        ["box.eve.mail", [[[]] * 300], {}],
        ["box.eve.mail", [], {"x" * 16_000: 1}],
        ["box.eve.mail", [], {}, {"exclude_authid": ["x" * 16_000]}],
    ],
    ids=["a text", "many small values", "a key", "a list of readers"],
)
def test_nobody_fills_the_node_with_large_testaments(filled: Realm, last: list[Any]) -> None:
    eve = filled.join("user", "eve")

    answers = [eve.send(CALL, 1, {}, "wamp.session.add_testament", last)[0] for _ in range(5)]
    eve.send(CALL, 1, {}, "wamp.session.flush_testaments")
    again = eve.send(CALL, 1, {}, "wamp.session.add_testament", last)[0]

    assert answers[0][0] == again[0] == RESULT
    assert code(answers[-1]) == "hopsack.too_large"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (["x", {}], []),
        ([["x"], {}, {"forward_for": [{"session": 1, "authid": "op", "authrole": "trusted"}]}], [["x"]]),
    ],
)
def test_a_testament_is_an_event_like_any_other(filled: Realm, left: list[Any], said: list[Any]) -> None:
    bob, phone = filled.join("user", "bob"), filled.join("user", "bob")
    phone.send(SUBSCRIBE, 1, {}, "box.bob.mail")

    bob.send(CALL, 1, {}, "wamp.session.add_testament", ["box.bob.mail", *left])
    bob.leave()

    events = phone.take()
    assert [event[4] for event in events] == said
    assert not any("forward_for" in event[3] for event in events)


# ----- procedures


def test_a_service_serves_what_is_its_own(realm: Realm) -> None:
    post = realm.join("service", "post")
    kinds = [
        post.send(REGISTER, number, {"match": match}, procedure)[0][0]
        for number, (procedure, match) in enumerate(
            [
                ("box.post.count", "exact"),
                ("box.post.", "prefix"),
                ("box.other.count", "exact"),
                ("box.", "prefix"),
                ("", "prefix"),
                ("box..count", "wildcard"),
            ],
            1,
        )
    ]

    assert kinds == [REGISTERED] * 2 + [ERROR] * 4


def test_a_call_is_for_whom_the_uri_names(realm: Realm) -> None:
    post, ann = realm.join("service", "ann"), realm.join("user", "ann")
    post.send(REGISTER, 1, {}, "box.ann.count")

    ann.send(CALL, 1, {}, "box.ann.count")
    invoked = post.take()
    (refused,) = ann.send(CALL, 2, {}, "box.bob.count")

    assert len(invoked) == 1
    assert code(refused) == "hopsack.denied"


# ----- what a refusal tells


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ((SUBSCRIBE, 1, {}, "box.bob.mail"), "schemas/box.yaml:10 subscribe: [service, user:{owner}, group:support]"),
        (
            (SUBSCRIBE, 1, {"match": "prefix"}, "box.bob."),
            "schemas/box.yaml:10 subscribe: [service, user:{owner}, group:support]",
        ),
        (
            (PUBLISH, 1, {"acknowledge": True}, "box.bob.mail", ["x"]),
            "schemas/box.yaml:9 publish: [service, user:{owner}]",
        ),
        ((REGISTER, 1, {}, "box.empty"), "schemas/box.yaml:30 register: [service]"),
        ((CALL, 1, {}, "box.empty"), "schemas/box.yaml:31 call: [guest, tenant:acme]"),
        ((CALL, 1, {}, "wamp.session.kill", [1]), "WAMP's meta API is for operator"),
    ],
)
def test_a_refusal_names_its_rule_to_developers_and_to_nobody_else(
    catalogue: Catalogue, message: tuple[Any, ...], rule: str
) -> None:
    told = []
    for explains in (True, False):
        realm = Realm.ours(catalogue)
        realm.node.router.admission = Admission(catalogue, explains)
        (error,) = realm.join("user", "ann").send(*message)
        told.append(details(error))

    developers, strangers = told
    assert (developers["code"], developers["data"]["rule"]) == ("hopsack.denied", rule)
    assert developers["message"].startswith("role user may not ")
    assert "allowed: " in developers["advice"]
    assert (strangers["code"], strangers["message"]) == ("hopsack.denied", developers["message"])
    assert not {"data", "advice"} & strangers.keys() or not (strangers.get("data") or strangers.get("advice"))


OPAQUE = {"ppt_scheme": "x_mine", "enc_algo": "x_mine", "enc_serializer": "cbor"}


@pytest.mark.parametrize("role", ["guest", "user", "service"])
@pytest.mark.parametrize(
    ("message", "declared", "undeclared"),
    [
        ((SUBSCRIBE, 1, {}), "box.team.red.news", "box.team.red.olds"),
        ((SUBSCRIBE, 1, {"match": "prefix"}), "box.team.", "box.crew."),
        ((SUBSCRIBE, 1, {"match": "wildcard"}), "box.team..news", "box.team..olds"),
        ((PUBLISH, 1, {"acknowledge": True}), "box.team.red.news", "box.team.red.olds"),
        ((PUBLISH, 1, {"acknowledge": True} | OPAQUE), "box.team.red.news", "box.team.red.olds"),
        ((PUBLISH, 1, {"acknowledge": True, "x_hopsack_delete": True}), "box.team.red.news", "box.team.red.olds"),
        ((REGISTER, 1, {}), "box.bob.count", "box.bob.cuont"),
        ((REGISTER, 1, {"match": "prefix"}), "box.bob.", "pox.bob."),
        ((CALL, 1, {}), "hopsack.access.why", "hopsack.access.yhw"),
        ((CALL, 1, OPAQUE), "hopsack.access.why", "hopsack.access.yhw"),
    ],
)
def test_strangers_do_not_learn_what_is_declared_by_asking_for_it(
    catalogue: Catalogue, role: str, message: tuple[Any, ...], declared: str, undeclared: str
) -> None:
    realm = Realm.ours(catalogue)
    realm.node.router.admission = Admission(catalogue, explains=False)
    client = realm.join(role, "ann")
    last = [b"opaque"] if "ppt_scheme" in message[2] else [["x"]] if message[0] in (PUBLISH, CALL) else []

    ((there,), (not_there,)) = (client.send(*message, uri, *last) for uri in (declared, undeclared))

    assert code(there) == "hopsack.denied"
    assert repr(not_there).replace(undeclared, declared) == repr(there)


def test_developers_and_operators_learn_what_is_not_declared(catalogue: Catalogue) -> None:
    user, operator = Somebody("ann", "user"), Somebody("root", "operator")

    for who, explains in ((user, True), (operator, True), (operator, False)):
        told = Deciding(catalogue, explains).decide(who, "call", "box.emty")
        assert told.refusal is not None
        assert told.refusal.code == "hopsack.undeclared"
        assert told.refusal.data == {"nearest": "box.empty"}
        assert told.is_undeclared


def test_the_audit_log_has_why_in_production(catalogue: Catalogue) -> None:
    refusal = Deciding(catalogue, explains=False).decide(Somebody("ann", "user"), "call", "box.emty").refusal

    assert isinstance(refusal, Denied)
    assert refusal.rule == "no contract declares the procedure box.emty"


def test_why_tells_operators_what_is_not_declared_in_production(catalogue: Catalogue) -> None:
    realm = Realm.ours(catalogue)
    realm.node.router.admission = Admission(catalogue, explains=False)

    told = why(realm, subject="ann", action="call", uri="box.emty")

    assert (told["code"], told["nearest"]) == ("hopsack.denied", "box.empty")
    assert told["why"] == "no contract declares the procedure box.emty"


# ----- guests as the node's settings have it


@pytest.mark.parametrize(
    ("action", "uri", "match", "allowed"),
    [
        ("subscribe", "box.ann.public", "exact", ("all", "read")),
        ("subscribe", "free.all", "exact", ("all", "read")),
        ("call", "box.ann.count", "exact", ("all", "read")),
        ("call", "box.empty", "exact", ("all",)),
        ("call", "free.what", "exact", ("all",)),
        ("publish", "free.all", "exact", ("all",)),
        ("register", "free.what", "exact", ("all",)),
        ("register", "free.", "prefix", ("all",)),
        ("publish", "box.ann.mail", "exact", ()),
    ],
)
def test_what_is_left_to_guests(
    catalogue: Catalogue, action: Any, uri: str, match: Any, allowed: tuple[Guests, ...]
) -> None:
    settings: tuple[Guests, ...] = ("all", "read", "none")
    guest, claims = Somebody("guest-1", "guest"), Somebody("guest-1", "guest", frozenset(("support",)), "acme")

    for one in (guest, claims):
        may = [
            guests
            for guests in settings
            if Deciding(catalogue, guests=guests).decide(one, action, uri, match).refusal is None
        ]
        assert tuple(may) == allowed


def test_a_guest_is_told_the_setting_and_others_notice_nothing(catalogue: Catalogue) -> None:
    deciding = Deciding(catalogue, guests="read")

    refused = deciding.decide(Somebody("guest-1", "guest"), "call", "box.empty").refusal

    assert refused is not None
    assert refused.data == {"rule": "HOPSACK_GUESTS=read"}
    assert deciding.decide(Somebody("ann", "user", tenant="acme"), "call", "box.empty").refusal is None


# ----- why


def why(realm: Realm, **question: Any) -> Any:
    return call(realm.join("operator", "root"), "hopsack.access.why", question)


def test_an_operator_is_told_the_deciding_rule(realm: Realm) -> None:
    mine = why(realm, subject="ann", action="subscribe", uri="box.ann.mail")
    theirs = why(realm, subject="ann", action="subscribe", uri="box.bob.mail")

    assert mine == {
        "allowed": True,
        "who": {"subject": "ann", "role": "user", "groups": [], "tenant": None},
        "rule": "user:{owner}",
        "contract": "box.{owner}.{kind}",
        "place": "schemas/box.yaml:10",
        "why": "schemas/box.yaml:10 subscribe: [service, user:{owner}, group:support]",
    }
    assert (theirs["allowed"], theirs["rule"], theirs["code"]) == (False, None, "hopsack.denied")
    assert theirs["why"] == "schemas/box.yaml:10 subscribe: [service, user:{owner}, group:support] does not allow it"


def test_who_is_connected_is_taken_for_what_it_is(realm: Realm) -> None:
    realm.join("user", "sue", groups=["support"], tenant="acme")

    there = why(realm, subject="sue", action="subscribe", uri="box.bob.", match="prefix")
    made_up = why(realm, subject="sue", action="subscribe", uri="box.bob.", match="prefix", role="user")
    grouped = why(realm, subject="zoe", action="subscribe", uri="box.bob.mail", groups=["support"])

    assert (there["allowed"], there["rule"]) == (True, "user, group:support")  # box.{owner}.public, too
    assert there["who"] == {"subject": "sue", "role": "user", "groups": ["support"], "tenant": "acme"}
    assert (made_up["allowed"], made_up["who"]["groups"]) == (False, [])
    assert (grouped["allowed"], grouped["rule"]) == (True, "group:support")


@pytest.mark.parametrize(
    ("question", "allowed", "code_", "words"),
    [
        ({"action": "call", "uri": "box.nothing"}, False, "hopsack.undeclared", "no contract declares"),
        ({"action": "call", "uri": "free.what"}, True, None, "undeclared: allow"),
        ({"action": "publish", "uri": "free.w hat"}, False, "hopsack.invalid_uri", "not a valid topic"),
        ({"action": "subscribe", "uri": "wamp.session.on_join"}, False, "hopsack.denied", "meta API"),
        ({"action": "subscribe", "uri": "wamp.session.on_join", "role": "service"}, True, None, "meta API"),
        ({"action": "register", "uri": "box.empty", "role": "operator"}, True, None, "an operator may do whatever"),
        ({"action": "register", "uri": "hopsack.access.why", "role": "operator"}, False, "hopsack.denied", "[]"),
        (
            {"action": "subscribe", "uri": "box.", "match": "prefix", "role": "service"},
            False,
            "hopsack.denied",
            "the pattern also matches",
        ),
        (
            {"action": "subscribe", "uri": "box.a.", "match": "prefix", "role": "operator"},
            True,
            None,
            "contracts that the pattern matches",
        ),
    ],
)
def test_every_answer_has_a_reason(
    realm: Realm, question: dict[str, Any], allowed: bool, code_: str | None, words: str
) -> None:
    answer = why(realm, subject="nobody", **question)

    assert (answer["allowed"], answer.get("code")) == (allowed, code_)
    assert words in answer["why"]


def test_what_nobody_declares_comes_with_the_nearest_that_somebody_does(realm: Realm) -> None:
    call_ = why(realm, subject="ann", action="call", uri="box.emty")
    topic = why(realm, subject="ann", action="publish", uri="box.ann.public.x", role="service")
    far = why(realm, subject="ann", action="call", uri="zzzz.qqqqqq")

    assert (call_["code"], call_["nearest"]) == ("hopsack.undeclared", "box.empty")
    assert (topic["code"], topic["nearest"]) == ("hopsack.undeclared", "box.{owner}.public")
    assert "nearest" not in far
    assert "nearest" not in why(realm, subject="ann", action="subscribe", uri="box.bob.mail")


def test_only_operators_may_ask(realm: Realm) -> None:
    question = {"subject": "bob", "action": "call", "uri": "box.empty"}

    for role in ("guest", "user", "service"):
        assert call(realm.join(role, "ann"), "hopsack.access.why", question) == "hopsack.denied"


def test_an_operator_is_told_the_rule_in_production_too(catalogue: Catalogue) -> None:
    clock = Clock()
    node = EmbeddedNode(catalogue, clock)
    node.router.admission = Admission(catalogue, explains=False)
    realm = Realm(clock, node)

    (error,) = realm.join("operator", "root").send(REGISTER, 1, {}, "hopsack.access.why")

    assert "register: []" in details(error)["data"]["rule"]


def test_no_client_says_for_whom_it_forwards(filled: Realm) -> None:
    eve, bob = filled.join("service", "eve"), filled.join("user", "bob")
    bob.send(SUBSCRIBE, 1, {}, "box.bob.mail")
    trail = [{"session": 1, "authid": "a", "authrole": "trusted"}]

    eve.send(PUBLISH, 1, {"forward_for": trail}, "box.bob.mail", ["x"])

    [event] = bob.take()
    assert event[4] == ["x"]
    assert "forward_for" not in event[3]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [5, 5, 5],
        ["box.eve.mail", ["x"], 5],
        ["box.eve.mail", ["x"], {}, 5],
        ["box.eve.mail", ["x"], {}, {"nonsense": 1}],
        ["box.eve.mail", ["x"], {}, {"eligible": [["x"]]}],
        ["box.eve.mail", ["x"], {}, None, "destroyed", 6, 7, 8],
    ],
)
def test_malformed_arguments_of_a_meta_procedure_are_its_callers_fault(filled: Realm, arguments: list[Any]) -> None:
    """Two thousand of them were two thousand tracebacks."""
    eve = filled.join("user", "eve")

    with capturedLogs() as logs:
        answers = [eve.send(CALL, n, {}, "wamp.session.add_testament", arguments)[0] for n in range(1, 21)]

    assert {code(answer) for answer in answers} == {"hopsack.invalid"}
    assert "argument " not in str(answers[0])
    loud = [one for one in logs if one["log_level"] >= LogLevel.warn]
    assert len(loud) <= 1
    assert "Traceback" not in "".join(map(formatEvent, loud))
    eve.leave()


def test_what_fails_in_a_meta_procedure_is_said_with_its_traceback(filled: Realm) -> None:
    eve = filled.join("user", "eve")
    session: Any = filled.node.router._session_id_to_session[eve.session]

    def broken(_: str) -> None:
        raise OSError("password=1234")

    session._may_say = broken
    with capturedLogs() as logs:
        [answer] = eve.send(CALL, 1, {}, "wamp.session.add_testament", ["box.eve.mail", ["x"], {}])

    assert code(answer) == "hopsack.internal"
    assert "1234" not in str(answer)
    assert len(answer[6]["data"]["incident"]) == 8
    assert "Traceback" in "".join(map(formatEvent, logs))


@pytest.mark.parametrize("by", ["wamp.session.kill", "hopsack.sessions.end", "nobody"])
def test_who_is_ended_by_the_node_leaves_no_testament(filled: Realm, by: str) -> None:
    bob, phone, operator = filled.join("user", "bob"), filled.join("user", "bob"), filled.join("operator", "op")
    phone.send(SUBSCRIBE, 1, {}, "box.bob.mail")
    bob.send(CALL, 1, {}, "wamp.session.add_testament", ["box.bob.mail", ["last words"], {}])

    given = {"wamp.session.kill": bob.session, "hopsack.sessions.end": {"session": bob.session}}
    if by in given:
        assert operator.send(CALL, 1, {}, by, [given[by]])[0][0] == RESULT
    bob.leave()

    assert [event[4] for event in phone.take()] == ([["last words"]] if by == "nobody" else [])


def test_what_fails_below_an_open_prefix_tells_no_text_either(filled: Realm) -> None:
    service, eve = filled.join("service", "s"), filled.join("user", "eve")
    service.send(REGISTER, 1, {}, "free.work")

    eve.send_only(CALL, 1, {}, "free.work")
    [invocation] = service.take()
    service.send_only(ERROR, 68, invocation[1], {}, "wamp.error.runtime_error", ["password=1234"])

    [answer] = eve.take()
    assert code(answer) == "hopsack.internal"
    assert "1234" not in str(answer)
