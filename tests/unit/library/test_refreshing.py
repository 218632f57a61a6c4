"""A token as a function: asked before every connection, and before what it gave expires, on a clock turned by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopsack import session as on
from hopsack.connection import Connection
from hopsack.errors import Denied, Expired, LocalError, LoginRequired, RateLimited, RemoteError, Revoked
from hopsack.keeper import Closed, Waiting
from hopsack.link import Carrier
from hopsack.login import REFUSALS, Login, Token, early, later
from hopsack.options import Options
from hopsack.raw import RawSession
from hopsack.refreshing import REFRESH, WHOAMI
from hopsack.run import token_of
from hopsack.settings import ConfigError, Settings
from hopsack.testing.loop import HandTurnedLoop
from hopsack.wire import _refusal

from .conftest import QUIET, RawPeer

# ---- when and what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0.0, 1.0, 8.0, 40.0, 60.0, 600.0, 3600.0])
@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_a_newer_token_is_asked_for_in_time(left: float, chance: float) -> None:
    wait = early(left, chance)

    assert wait >= 1.0
    if left > 4:
        assert left * 0.45 <= wait <= left * 0.8
    if left >= 60:
        assert left - wait >= 30


def test_a_token_for_years_is_asked_for_twice_a_day() -> None:
    assert early(1e12, 0.5) == 12 * 3600


def test_tries_get_rarer_and_heed_the_node() -> None:
    assert [later(n, 0.0) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert later(0, 0.0, 60.0) == 60
    assert later(10_000, 1.0) == 36


def run(loop: HandTurnedLoop, work: Any) -> Any:
    return loop.run(work)


def test_the_token_that_was_refused_is_not_shown_twice(loop: HandTurnedLoop) -> None:
    given = ["old", "old"]
    login = Login(lambda: given.pop(0))
    refusal = LoginRequired("the token has expired")

    assert run(loop, login.next()) == "old"
    assert login.tries_another(refusal)
    with pytest.raises(LoginRequired):
        run(loop, login.next())


def test_so_many_refused_ones_are_enough(loop: HandTurnedLoop) -> None:
    tokens = iter("abcdefgh")
    login = Login(lambda: next(tokens))

    tries = 0
    while True:
        run(loop, login.next())
        tries += 1
        if not login.tries_another(Revoked("revoked")):
            break

    assert tries == REFUSALS


@pytest.mark.parametrize("error", [Denied("no"), RateLimited("slow down")])
def test_what_has_nothing_to_do_with_the_token_is_as_before(error: RemoteError) -> None:
    assert not Login(lambda: "t").tries_another(error)
    assert not Login("t").tries_another(LoginRequired("no"))


def test_a_function_may_fail_and_may_be_a_coroutine(loop: HandTurnedLoop) -> None:
    async def broken() -> str:
        raise KeyError("session cookie")

    async def good() -> str:
        return "t"

    assert run(loop, Login(good).next()) == "t"
    with pytest.raises(LocalError, match="there is no token: 'session cookie'"):
        run(loop, Login(broken).next())


def test_the_reason_of_a_close_is_the_error_that_it_names() -> None:
    assert isinstance(_refusal(4401, "hopsack.expired: the token has expired"), Expired)
    assert isinstance(_refusal(4401, "The token is not one this node accepts."), LoginRequired)
    assert isinstance(_refusal(4401, "hopsack.nonsense: x"), LoginRequired)
    assert isinstance(_refusal(4403, "An operator ended this session."), Denied)


# ---- a connection ----------------------------------------------------------------------------------------------------


class Node(RawPeer):
    """A node whose tokens live 100 s by a clock of its own."""

    def __init__(self, loop: HandTurnedLoop, token: Token) -> None:
        super().__init__(loop)
        self.login = Login(token)
        self.ticket: str | None = None
        self.lives: float | None = 100.0

    def connect(self, **options: Any) -> Connection:
        async def make() -> Connection:
            return Connection(self.dial, Options(**{**QUIET, **options}), login=self.login)

        self.connection = self.loop.run(make())
        self.connection.start()
        self.loop.settle()
        return self.connection

    async def dial(self, obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Carrier:
        self.ticket = await self.login.next()
        return await super().dial(obey, lost)

    def session(self) -> on.Session:
        return RawSession(token=self.ticket)

    @property
    def now(self) -> float:
        return 9_000_000.0 + self.loop.time()

    def welcome(self, hello: Any, session: int) -> Any:
        who = {"session": session, "authid": "ann", "role": "user", "realm": "hopsack", "groups": ["ops"]}
        if self.lives is not None:
            who |= {"expires": self.now + self.lives, "expires_in": self.lives}
        return {"jsonrpc": "2.0", "id": hello["id"], "result": who}

    def refuses(self, request: int, code: str, **data: Any) -> None:
        error = {"code": 1, "message": "no", "data": {"code": code, "message": "no", "data": data}}
        self.says({"jsonrpc": "2.0", "id": request, "error": error})


@pytest.fixture
def node(loop: HandTurnedLoop) -> Node:
    tokens = iter(("first", "second", "third", "fourth", "fifth"))
    return Node(loop, lambda: next(tokens))


def test_the_connection_that_stands_gets_a_newer_token(node: Node, loop: HandTurnedLoop) -> None:
    connection = node.connect()
    loop.advance(60)
    before = node.asked()

    loop.advance(5)
    ((request, method, given),) = node.asked()
    node.answers(request, expires=node.now + 1000, kept=0, ended=[])
    ((look, what, _),) = node.asked()
    node.answers(look, role="service", groups=["dev"], tenant="acme", expires=1.0)

    assert before == []
    assert (node.ticket, method, given, what) == ("first", REFRESH, {"token": "second"}, WHOAMI)
    assert connection.identity is not None
    assert (connection.identity.role, connection.identity.groups, connection.identity.tenant) == (
        "service",
        ("dev",),
        "acme",
    )
    assert len(node.wires) == 1
    loop.advance(700)
    assert node.asked() == []
    loop.advance(45)
    assert [one[2] for one in node.asked()] == [{"token": "third"}]


def test_a_token_that_is_not_taken_is_tried_again(
    node: Node, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    node.connect()
    loop.advance(65)
    ((first, *_),) = node.asked()
    with caplog.at_level(logging.WARNING, "hopsack"):
        node.refuses(first, "hopsack.rate_limited", retry_after=5)
    loop.advance(5)
    early_ones = node.asked()
    loop.advance(1)

    assert early_ones == []
    assert [one[2] for one in node.asked()] == [{"token": "third"}]
    assert "no newer token yet" in caplog.text
    assert "second" not in caplog.text


def test_a_function_that_never_answers_is_asked_again(loop: HandTurnedLoop) -> None:
    asked: list[float] = []

    async def token() -> str:
        import asyncio

        asked.append(loop.time())
        if len(asked) == 2:
            await asyncio.Event().wait()
        return f"t{len(asked)}"

    node = Node(loop, token)
    node.connect()

    loop.advance(80)

    assert len(asked) == 3
    assert [one[2] for one in node.asked()] == [{"token": "t3"}]


def test_a_token_that_is_given_or_lives_for_ever_is_left_alone(loop: HandTurnedLoop, node: Node) -> None:
    fixed = Node(loop, "only")
    fixed.connect()
    node.lives = None
    node.connect()

    loop.advance(1000)

    assert (fixed.asked(), node.asked()) == ([], [])


def test_a_lost_link_takes_its_refresh_with_it(node: Node, loop: HandTurnedLoop) -> None:
    node.connect()
    loop.advance(60)
    node.vanishes()
    loop.advance(4)
    assert node.ticket == "second"

    loop.advance(50)
    assert node.asked() == []
    loop.advance(15)
    assert [one[2] for one in node.asked()] == [{"token": "third"}]


@pytest.mark.parametrize("refusal", [Expired("the token has expired"), LoginRequired("no")])
def test_who_was_ended_comes_back_with_another_token(node: Node, loop: HandTurnedLoop, refusal: RemoteError) -> None:
    connection = node.connect()

    node.wires[-1].refusal = refusal
    node.vanishes("closed with 4401")
    waits = connection.state
    loop.advance(4)

    assert isinstance(waits, Waiting)
    assert (node.ticket, len(node.wires)) == ("second", 2)


def test_who_has_no_other_token_is_out(loop: HandTurnedLoop) -> None:
    node = Node(loop, lambda: "same")
    connection = node.connect()

    node.wires[-1].refusal = Expired("the token has expired")
    node.vanishes("closed with 4401")
    loop.advance(4)

    assert isinstance(connection.state, Closed)
    assert isinstance(connection.state.error, Expired)
    assert len(node.wires) == 1


def test_what_a_newer_token_does_not_allow_ends_for_its_reader(
    node: Node, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    connection = node.connect()
    reading = loop.create_task(connection.subscribe("lab.ops"))
    ((request, *_),) = node.asked()
    node.answers(request, subscription=5, recovered=False)
    subscription = reading.result()
    loop.advance(65)
    ((request, *_),) = node.asked()
    error = {"code": "hopsack.denied", "message": "role user may not subscribe to lab.ops", "retry": "after_login"}
    facts = {"uri": "lab.ops", "match": "exact", "reason": error["message"]}

    with caplog.at_level(logging.ERROR, "hopsack"):
        node.tells("hopsack.revoked", subscription=5, error=error, **facts)
        node.answers(request, expires=None, kept=0, ended=[{"kind": "subscription", **facts}])

    async def next_one() -> Any:
        return await anext(aiter(subscription))

    task = loop.create_task(next_one())
    loop.settle()
    assert isinstance(task.exception(), Denied)
    assert caplog.text.count("may not subscribe") == 1
    ((look, method, _),) = node.asked()
    assert method == WHOAMI
    node.refuses(look, "hopsack.unavailable")
    loop.advance(1000)
    assert node.asked() == []
    assert connection.identity is not None
    assert connection.identity.role == "user"


# ---- a service -------------------------------------------------------------------------------------------------------


def test_a_service_reads_its_token_file_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    settings = Settings.from_environ({"HOPSACK_TOKEN_FILE": str(file)}, data=tmp_path)
    token = token_of(settings, "clock")

    first = token()
    file.write_text("second\n")

    assert (first, token(), settings.token) == ("first", "second", "first")
    file.unlink()
    with pytest.raises(ConfigError):
        token()
