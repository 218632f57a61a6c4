"""Everybody, every action, every kind of list, every door: the answer is what the contract says, the same everywhere.

The book below says what lists mean, in the plainest way. The doors of one node are asked, and ``hopsack.access.why``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from hopsack import connect
from hopsack.connection import Connection
from hopsack.contracts.uris import meets, split
from hopsack.errors import NoCallee, RemoteError
from hopsack.settings import Settings
from hopsack.tokens import mint

from .conftest import Node, NodeProcess

pytestmark = pytest.mark.node

Action = Literal["publish", "subscribe", "register", "call"]
Match = Literal["exact", "prefix", "wildcard"]

LISTS: dict[str, list[str]] = {
    "nobody": [],
    "guests": ["guest"],
    "users": ["user"],
    "services": ["service"],
    "operators": ["operator"],
    "everybody": ["guest", "user", "service"],
    "named": ["user:ann"],
    "own": ["user:{name}"],
    "seat": ["service:{name}"],
    "crew": ["group:ops"],
    "team": ["group:{name}"],
    "client": ["tenant:acme"],
    "org": ["tenant:{name}"],
    "mixed": ["guest", "service:{name}", "group:{name}", "user:ann"],
}
NAMES = ("ann", "red", "acme")
UNIVERSE = (*NAMES, "anna", "ops", "zoe")
"""Names that a pattern may match, some of which nobody has asked about."""


@dataclass(frozen=True)
class Person:
    role: str
    subject: str = ""
    groups: frozenset[str] = frozenset()
    tenant: str | None = None

    def token(self, secret: str) -> str | None:
        if self.role == "guest":
            return None
        return mint(secret, sub=self.subject, role=self.role, groups=self.groups, tenant=self.tenant)


PEOPLE = {
    "guest": Person("guest"),
    "ann": Person("user", "ann"),
    "bob": Person("user", "bob", frozenset({"ops", "red"}), "acme"),
    "the service ann": Person("service", "ann"),
    "the service red": Person("service", "red", frozenset({"red"})),
    "root": Person("operator", "root"),
}


# ----- the book


def may(who: Person, kind: str, name: str) -> bool:
    """What the list of one concrete URI says."""
    for entry in LISTS[kind]:
        what, _, whom = entry.partition(":")
        wanted = name if whom == "{name}" else whom
        if what == "group":
            found = wanted in who.groups
        elif what == "tenant":
            found = who.tenant == wanted
        else:
            found = who.role == what and (not whom or who.subject == wanted)
        if found:
            return True
    return who.role == "operator" and bool(LISTS[kind])


def the_book_says(who: Person, uri: str, match: Match) -> str:
    every = {f"lab.{kind}.{name}.x": (kind, name) for kind in LISTS for name in UNIVERSE}
    if match == "exact":
        return "ok" if may(who, *every[uri]) else "hopsack.denied"
    matched = [place for one, place in every.items() if meets(split(one), uri, match)]
    assert matched, uri
    return "ok" if all(may(who, *place) for place in matched) else "hopsack.denied"


# ----- the doors


@dataclass
class Doors:
    """One node, and a connection of everybody through every door that has connections."""

    node: Node
    loop: asyncio.Runner
    connections: dict[tuple[str, str], Connection] = field(default_factory=dict)
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    sockets: dict[str, ClientConnection] = field(default_factory=dict)

    def ask(self, name: str, action: Action, uri: str, match: Match = "exact") -> dict[str, str]:
        """Door → what it answers: ``ok``, or a code."""
        return self.loop.run(self._ask(name, action, uri, match))

    async def _ask(self, name: str, action: Action, uri: str, match: Match) -> dict[str, str]:
        doors = [door for one, door in self.connections if one == name]
        if action == "register" and match != "exact":
            doors.remove("raw")  # the library serves no patterns there, but pages can
        told = {door: await _outcome(self._do(self.connections[name, door], action, uri, match)) for door in doors}
        if "raw" not in told:
            told["raw"] = await self._register_by_hand(name, uri, match)
        client = self.clients[name]
        if action == "publish":
            told["http"] = _code(await client.post(f"/publish/{uri}", json=1))
        elif action == "call":
            told["http"] = _code(await client.post(f"/call/{uri}"))
        elif action == "subscribe" and _is_expressible(uri, match):
            told["reading"] = await self._read(name, uri, match, told["raw"])
            async with client.stream("GET", "/events", params={"topic": uri}) as answer:
                told["sse"] = "ok" if answer.status_code == 200 else _code_of(await answer.aread(), answer)
        told["why"] = await self._why(name, action, uri, match)
        return told

    async def _do(self, connection: Connection, action: Action, uri: str, match: Match) -> None:
        if action == "publish":
            await connection.publish(uri, 1)
        elif action == "subscribe":
            await (await connection.subscribe(uri, match=match)).close()
        elif action == "register":
            await (await connection.register(uri, _serve, match=match)).close()
        else:
            with contextlib.suppress(NoCallee):  # it was let through, and nobody serves it
                await connection.call(uri)

    async def _read(self, name: str, uri: str, match: Match, elsewhere: str) -> str:
        """The read-only form, which says nothing where it lets somebody read: there are events until one has come.

        :param elsewhere: what another door says. A close code that is for several reasons stands for it, if it may.
        """
        heads = {"Authorization": self.clients[name].headers.get("Authorization", "")}
        heads = {field: value for field, value in heads.items() if value}
        path = self.node.ws(f"/raw?topic={uri}")
        async with open_socket(path, additional_headers=heads) as socket:
            hearing = asyncio.ensure_future(socket.recv())
            heard = {hearing}
            for topic in itertools.cycle(_some_topic(uri, match)):
                await self.connections["root", "raw"].publish(topic, 1)
                if hearing.done():
                    break
            await asyncio.wait(heard, timeout=20)
            try:
                event = json.loads(hearing.result())
            except ConnectionClosed as closed:
                codes = _CLOSED[closed.rcvd.code if closed.rcvd is not None else 0]
                return elsewhere if elsewhere in codes else codes[0]
            assert (event["method"], event["params"]["data"]) == ("event", 1)
            return "ok"

    async def _register_by_hand(self, name: str, uri: str, match: Match) -> str:
        socket = self.sockets[name]
        ask = {"jsonrpc": "2.0", "id": 1, "method": "hopsack.register", "params": {"procedure": uri, "match": match}}
        await socket.send(json.dumps(ask))
        answer = json.loads(await socket.recv())
        if "error" in answer:
            return str(answer["error"]["data"]["code"])
        undo = {"jsonrpc": "2.0", "id": 2, "method": "hopsack.unregister", "params": answer["result"]}
        await socket.send(json.dumps(undo))
        assert json.loads(await socket.recv())["result"] == {}
        return "ok"

    async def _why(self, name: str, action: Action, uri: str, match: Match) -> str:
        who = PEOPLE[name]
        question: dict[str, Any] = {"action": action, "uri": uri, "match": match, "role": who.role}
        question |= {"subject": who.subject or "guest-1", "groups": sorted(who.groups)}
        if who.tenant is not None:
            question["tenant"] = who.tenant
        answer = await self.connections["root", "raw"].call("hopsack.access.why", question)
        assert answer["allowed"] is ("code" not in answer)
        return str(answer.get("code", "ok"))


async def _outcome(work: Any) -> str:
    try:
        await work
    except RemoteError as error:
        return error.code
    return "ok"


def _code(answer: httpx.Response) -> str:
    return "ok" if answer.is_success else _code_of(answer.content, answer)


def _code_of(body: bytes, answer: httpx.Response) -> str:
    told = httpx.Response(answer.status_code, content=body).json()
    assert (answer.status_code == 403) is (told["code"] == "hopsack.denied")
    return "ok" if told["code"] == "hopsack.no_callee" else str(told["code"])


def _is_expressible(uri: str, match: Match) -> bool:
    """Whether the read-only doors can say it: a dot at the end is a prefix, an empty component elsewhere a wildcard."""
    return match == "exact" or (match == "prefix") is uri.endswith(".")


_CLOSED = {4403: ("hopsack.denied",), 4404: ("hopsack.undeclared", "hopsack.invalid_uri")}


def _some_topic(pattern: str, match: Match) -> list[str]:
    """A topic that it matches, of those that an operator may publish to; none, if there is none."""
    names = (*UNIVERSE, *filter(None, pattern.split(".")))
    topics = (f"lab.{kind}.{name}.x" for kind, entries in LISTS.items() if entries for name in names)
    return [
        topic for topic in topics if topic == pattern or (match != "exact" and meets(split(topic), pattern, match))
    ][:1]


def _serve() -> int:
    return 1


def contracts(folder: Path) -> Path:
    lines = ["topics:"]
    for kind, entries in LISTS.items():
        listed = ", ".join(f"'{entry}'" for entry in entries)
        lines += [f"  lab.{kind}.{{name}}.x:", "    summary: A topic.", "    payload: {type: integer}"]
        lines += [f"    publish: [{listed}]", f"    subscribe: [{listed}]"]
    lines += ["procedures:"]
    for kind, entries in LISTS.items():
        listed = ", ".join(f"'{entry}'" for entry in entries)
        lines += [f"  lab.{kind}.{{name}}.x:", "    summary: A procedure.", "    output: {type: integer}"]
        lines += [f"    register: [{listed}]", f"    call: [{listed}]"]
    folder.mkdir()
    (folder / "lab.yaml").write_text("\n".join(lines) + "\n")
    return folder


@contextlib.asynccontextmanager
async def connected(doors: Doors) -> AsyncIterator[Doors]:
    secret = Settings.from_environ({}, data=doors.node.data).secret()
    urls = {
        "wamp-rawsocket": doors.node.rawsocket,
        "wamp-websocket": doors.node.ws("/ws"),
        "raw": doors.node.ws("/raw"),
    }
    async with contextlib.AsyncExitStack() as stack:
        for name, who in PEOPLE.items():
            token = who.token(secret)
            for door, url in urls.items():
                doors.connections[name, door] = await stack.enter_async_context(connect(url, token=token))
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            client = httpx.AsyncClient(base_url=doors.node.http, headers=headers, timeout=20)
            doors.clients[name] = await stack.enter_async_context(client)
            socket = open_socket(doors.node.ws("/raw"), additional_headers=headers)
            doors.sockets[name] = await stack.enter_async_context(socket)
            await doors.sockets[name].send('{"jsonrpc":"2.0","id":0,"method":"hopsack.hello"}')
            await doors.sockets[name].recv()
        yield doors


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    data = tmp_path_factory.mktemp("matrix")
    process = NodeProcess(data, "--schemas", str(contracts(data / "schemas")))
    try:
        with asyncio.Runner() as loop:
            made = connected(Doors(process.ready(), loop))
            found = loop.run(made.__aenter__())
            try:
                yield found
            finally:
                loop.run(made.__aexit__(None, None, None))
    finally:
        assert process.stop() == 0, process.logged()


@pytest.mark.parametrize("action", ["publish", "subscribe", "register", "call"])
@pytest.mark.parametrize("name", PEOPLE)
def test_every_list_means_the_same_at_every_door(doors: Doors, name: str, action: Action) -> None:
    wrong = {}
    for kind in LISTS:
        for called in NAMES:
            uri = f"lab.{kind}.{called}.x"
            told = doors.ask(name, action, uri)
            if set(told.values()) != {the_book_says(PEOPLE[name], uri, "exact")}:
                wrong[uri] = told

    assert wrong == {}


@pytest.mark.parametrize("action", ["subscribe", "register"])
@pytest.mark.parametrize("name", PEOPLE)
def test_no_pattern_is_a_way_around_a_list_at_any_door(doors: Doors, name: str, action: Action) -> None:
    patterns: list[tuple[str, Match]] = [
        ("lab.", "prefix"),
        ("", "prefix"),
        ("...", "wildcard"),
        ("..ann.", "wildcard"),
    ]
    for kind in ("own", "seat", "team", "org", "named", "everybody"):
        patterns += [(f"lab.{kind}.", "prefix"), (f"lab.{kind}.ann", "prefix"), (f"lab.{kind}.ann.", "prefix")]
        patterns += [(f"lab.{kind}..x", "wildcard"), (f"lab.{kind}.ann.", "wildcard"), (f"lab.{kind}.red.", "prefix")]
    wrong = {}
    for pattern, match in patterns:
        told = doors.ask(name, action, pattern, match)
        if set(told.values()) != {the_book_says(PEOPLE[name], pattern, match)}:
            wrong[pattern, match] = told

    assert wrong == {}


uris = st.builds(lambda kind, name: f"lab.{kind}.{name}.x", st.sampled_from(sorted(LISTS)), st.sampled_from(NAMES))
pieces = st.sampled_from(("lab", "", "own", "team", "org", "mixed", "crew", "ann", "re", "red", "acme", "x"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(PEOPLE)),
    st.sampled_from(("publish", "subscribe", "register", "call")),
    uris | st.lists(pieces, min_size=1, max_size=5).map(".".join).filter(lambda uri: uri.strip(".")),
    st.sampled_from(("exact", "prefix", "wildcard")),
)
def test_whatever_is_asked_all_doors_say_the_same(
    doors: Doors, name: str, action: Action, uri: str, match: Match
) -> None:
    told = doors.ask(name, action, uri, match if action in ("subscribe", "register") else "exact")

    assert len(set(told.values())) == 1, told
