"""Stock WAMP clients against each other: each of three calls, and is called by, each of the three, through our node.

A client is a program that is told what to do, and says what it saw, a JSON line each:

    {"do": "register", "procedure", "how": "echo" | "hang" | "count", "invoke"?}  -> {"registered"} | {"error"}
    {"do": "call", "procedure", "args", "timeout"?, "progress"?}                  -> {"result", "progress"} | {"error"}
    {"do": "cancel", "mode"}           its newest call
    {"do": "subscribe", "topic"}                                                  -> {"subscribed"}, {"event"} …
    {"do": "publish", "topic", "args"}                                            -> {"published"}
    it is called                                                                  -> {"invoked", "timeout"}
    and interrupted                                                               -> {"interrupted"}

What a client cannot do for lack of a feature of its own is told in :class:`Kind`.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Node, declared, running

pytestmark = [pytest.mark.node, pytest.mark.timeout(60)]

CLIENTS = Path(__file__).parent / "clients"
MODULES = ROOT / "web_client" / "node_modules"

CONTRACTS = """
summary: What stock clients do with each other.
undeclared: allow
"""


@dataclass(frozen=True)
class Kind:
    """:ivar takes_interrupt: it announces ``call_canceling`` as a callee, so it is sent INTERRUPT.

    :ivar tells_timeout: its handlers can see what an INVOCATION says of the time.
    :ivar awaits_error: having cancelled in another mode than ``kill`` it waits for the node's ERROR, as the
        specification has it (advanced profile, "Call Canceling"). autobahn-js does not, and takes the ERROR for a
        breach of the protocol: it closes the connection.
    """

    name: str
    command: tuple[str, ...]
    takes_interrupt: bool = False
    tells_timeout: bool = True
    awaits_error: bool = True


AUTOBAHN = Kind("autobahn", (sys.executable, str(CLIENTS / "player_autobahn.py")), takes_interrupt=True)
WAMPY = Kind("wampy", ("node", str(CLIENTS / "player_wampy.mjs"), str(MODULES)))
AUTOBAHN_JS = Kind(
    "autobahn-js",
    ("node", str(CLIENTS / "player_autobahn.mjs"), str(MODULES)),
    tells_timeout=False,
    awaits_error=False,
)
KINDS = (AUTOBAHN, WAMPY, AUTOBAHN_JS)
NAMES = {"wampy": "wampy", "autobahn-js": "autobahn"}

every_caller = pytest.mark.parametrize("caller", KINDS, ids=lambda kind: f"by-{kind.name}")
every_callee = pytest.mark.parametrize("callee", KINDS, ids=lambda kind: f"of-{kind.name}")

_numbers = count(1)


class Player:
    """One client that runs. Its lines are read in a thread, so that a test can wait for one of them."""

    def __init__(self, kind: Kind, url: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen([*kind.command, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self.heard() == {"joined": True}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"'):  # autobahn-js writes what it warns of to the same place
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def heard(self) -> dict[str, Any]:
        """The next thing that it says."""
        line = self._lines.get(timeout=30)
        assert line is not None, f"{self.kind.name} has ended"
        return line

    def does(self, what: str, **facts: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **facts}) + "\n")
        self._process.stdin.flush()

    def serves(self, procedure: str, how: str, **facts: Any) -> None:
        self.does("register", procedure=procedure, how=how, **facts)
        assert self.heard() == {"registered": procedure}

    def calls(self, procedure: str, *args: Any, **facts: Any) -> None:
        self.does("call", procedure=procedure, args=args, **facts)

    def leave(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("node")
    with running(data, "--schemas", declared(data, "open", CONTRACTS)) as node:
        yield node


Cast = Callable[..., Player]


@pytest.fixture(scope="module")
def cast(node: Node) -> Iterator[Cast]:
    """Players by kind and part; each is started once."""
    players: dict[tuple[str, str], Player] = {}
    with ExitStack() as stack:

        def of(kind: Kind, part: str) -> Player:
            if shutil.which("node") is None and kind is not AUTOBAHN:
                pytest.skip("needs Node.js")
            if not (MODULES / NAMES.get(kind.name, "wampy")).is_dir():
                pytest.skip("needs `npm ci` in web_client/")
            if (kind.name, part) not in players:
                player = players[kind.name, part] = Player(kind, node.ws("/ws"))
                stack.callback(player.leave)
            return players[kind.name, part]

        yield of


@pytest.fixture
def uri() -> str:
    """Of a procedure or topic that nobody has used."""
    return f"open.n{next(_numbers)}"


@every_callee
@every_caller
def test_call(cast: Cast, caller: Kind, callee: Kind, uri: str) -> None:
    serving, calling = cast(callee, "callee"), cast(caller, "caller")
    serving.serves(uri, "echo")

    calling.calls(uri, "grüße")

    assert serving.heard()["invoked"] == "grüße"
    assert calling.heard() == {"result": "grüße", "progress": []}


@every_callee
@every_caller
def test_publish(cast: Cast, caller: Kind, callee: Kind, uri: str) -> None:
    reading, writing = cast(callee, "callee"), cast(caller, "caller")
    reading.does("subscribe", topic=uri)
    assert reading.heard() == {"subscribed": uri}

    writing.does("publish", topic=uri, args=["grüße"])

    assert writing.heard() == {"published": uri}
    assert reading.heard() == {"event": "grüße"}


@pytest.mark.parametrize("mode", ["killnowait", "kill", "skip"])
@every_callee
@every_caller
def test_cancel(cast: Cast, caller: Kind, callee: Kind, uri: str, mode: str) -> None:
    serving, calling = cast(callee, "callee"), cast(caller, "caller" if caller.awaits_error else f"{uri} {mode}")
    serving.serves(uri, "hang")
    calling.calls(uri, uri)
    assert serving.heard()["invoked"] == uri

    calling.does("cancel", mode=mode)

    if caller.awaits_error or mode == "kill":
        assert calling.heard() == {"error": "wamp.error.canceled"}
    else:
        assert calling.heard() == {"error": "Cancelled"}
    if callee.takes_interrupt and mode != "skip":
        assert serving.heard() == {"interrupted": uri}
    serving.serves(f"{uri}.after", "echo")  # neither a late answer nor an INTERRUPT has ended its session


@every_callee
@every_caller
def test_timeout(cast: Cast, caller: Kind, callee: Kind, uri: str) -> None:
    """Milliseconds, for the caller and for the callee: 300 of them pass while a test runs, 300 seconds do not."""
    serving, calling = cast(callee, "callee"), cast(caller, "caller")
    serving.serves(uri, "hang")

    calling.calls(uri, uri, timeout=300)

    invoked = serving.heard()
    assert invoked["invoked"] == uri
    if callee.tells_timeout:
        assert 1 <= invoked["timeout"] <= 300
    assert calling.heard() == {"error": "wamp.error.timeout"}
    if callee.takes_interrupt:
        assert serving.heard() == {"interrupted": uri}


@every_callee
@every_caller
def test_progress(cast: Cast, caller: Kind, callee: Kind, uri: str) -> None:
    serving, calling = cast(callee, "callee"), cast(caller, "caller")
    serving.serves(uri, "count")

    calling.calls(uri, 5, progress=True)
    asked = calling.heard()
    calling.calls(uri, 5)
    unasked = calling.heard()

    assert [serving.heard()["invoked"] for _ in range(2)] == [5, 5]
    assert asked == {"result": "done", "progress": [0, 1, 2, 3, 4]}
    assert unasked == {"result": "done", "progress": []}


SHARED = {"roundrobin": [0, 1, 0, 1, 0, 1], "first": [0] * 6, "last": [1] * 6, "random": None}
"""Which of two callees has each of six calls, one after the other; ``None``: that is left to chance."""


@pytest.mark.parametrize("invoke", SHARED)
@every_callee
@every_caller
def test_shared(cast: Cast, caller: Kind, callee: Kind, uri: str, invoke: str) -> None:
    callees, calling = [cast(callee, "callee"), cast(callee, "another")], cast(caller, "caller")
    for one in callees:
        one.serves(uri, "echo", invoke=invoke)

    expected = SHARED[invoke]
    for number in range(6):
        calling.calls(uri, number)
        assert calling.heard() == {"result": number, "progress": []}
        if expected is not None:
            assert callees[expected[number]].heard()["invoked"] == number
    if expected is None:
        marks = [drained(one, uri) for one in callees]
        assert sorted(marks[0] + marks[1]) == list(range(6))


def drained(player: Player, uri: str) -> list[int]:
    """The calls that it had, up to now."""
    player.does("register", procedure=f"{uri}.drained", how="echo", invoke="roundrobin")
    numbers = []
    while "registered" not in (line := player.heard()):
        numbers.append(line["invoked"])
    return numbers


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        (None, None, "wamp.error.procedure_already_exists"),
        ("single", "single", "wamp.error.procedure_already_exists"),
        ("roundrobin", "last", "wamp.error.procedure_exists_with_different_invocation_policy"),
    ],
)
@every_callee
@every_caller
def test_shared_is_refused(
    cast: Cast, caller: Kind, callee: Kind, uri: str, before: str | None, after: str | None, refusal: str
) -> None:
    """Here the second callee is the caller of the other cells."""
    first, second = cast(callee, "callee"), cast(caller, "caller")
    first.serves(uri, "echo", **({"invoke": before} if before else {}))

    second.does("register", procedure=uri, how="echo", **({"invoke": after} if after else {}))

    assert second.heard() == {"error": refusal}
