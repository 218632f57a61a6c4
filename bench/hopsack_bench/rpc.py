"""Calls from one service through the server to another: the server on one core, both services on the other.

:func:`program` and :func:`ask` are for other scenarios too: they run an end of ``load/calls.py``, and talk to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from hopsack.tokens import mint
from hopsack_bench import machine
from hopsack_bench.peers import BENCH
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage

T = TypeVar("T")

Client = Literal["hopsack", "autobahn", "nats"]
Role = Literal["serve", "call", "read", "publish"]
IN_FLIGHT = 64
WARM_UP_SECONDS = 0.5
PROGRAM = BENCH / "load" / "calls.py"


class Called(msgspec.Struct, frozen=True):
    """What a caller saw. ``cpu`` is its own, in seconds."""

    calls: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A caller and a callee that use the same client library at the same server."""

    peer: str
    title: str
    client: Client
    url: Callable[[Place], str]
    token: Callable[[Place], str] = lambda place: ""


def _service(place: Place) -> str:
    return mint(place.secret, sub="bench", role="service")


def _rawsocket(scheme: str) -> Callable[[Place], str]:
    return lambda place: f"{scheme}://127.0.0.1:{place.ports['rawsocket']}"


PAIRS: Mapping[str, Pair] = {
    "hopsack": Pair("hopsack", "Hopsack, its SDK", "hopsack", _rawsocket("tcp"), _service),
    "hopsack-open": Pair("hopsack-open", "Hopsack, its SDK, unchecked", "hopsack", _rawsocket("tcp"), _service),
    "hopsack-autobahn": Pair("hopsack", "Hopsack, Autobahn clients", "autobahn", _rawsocket("rs"), _service),
    "stock-sdk": Pair("stock", "stock Crossbar, Hopsack's SDK", "hopsack", _rawsocket("tcp")),
    "stock": Pair("stock", "stock Crossbar, Autobahn clients", "autobahn", _rawsocket("rs")),
    "nats": Pair("nats", "nats-server, nats-py", "nats", lambda place: f"nats://127.0.0.1:{place.ports['tcp']}"),
}


@contextmanager
def program(role: Role, pair: Pair, place: Place, core: int) -> Iterator[subprocess.Popen[str]]:
    """One end, connected and ready, for as long as it is entered."""
    with spawned(core, PROGRAM, role, pair.client, pair.url(place), pair.token(place)) as process:
        yield process


@contextmanager
def spawned(core: int, program: Path, *arguments: str, patience: float = 5) -> Iterator[subprocess.Popen[str]]:
    """A program of the load's that has said that it is ready, for as long as it is entered.

    :param patience: seconds that it has to end when its input ends.
    :raises Broken: it ended, or said why it cannot begin.
    """
    command = [sys.executable, "-P", str(program), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=machine.on_core(core)
    )
    try:
        _read_line(process)
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        process.kill()
        process.wait()
        process.stdout.close()


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Broken(f"a service of the bench ended with {process.wait()}")
    facts = json.loads(line)
    if "error" in facts:
        raise Broken(str(facts["error"]))
    return line


def measure(stage: Stage, name: str, number: int, seconds: float) -> Iterator[Sample]:
    """One turn: many calls in flight, then one at a time.

    :raises Broken: the server or a client failed.
    """
    pair = PAIRS[name]
    place = stage.server(pair.peer)
    core = stage.cores.load
    with program("serve", pair, place, core) as callee, program("call", pair, place, core) as caller:
        for in_flight in (IN_FLIGHT, 1):
            go(caller, in_flight, min(seconds, WARM_UP_SECONDS))
            meter, callee_before = stage.meter(place), machine.cpu_seconds(callee.pid)
            called = go(caller, in_flight, seconds)
            spent, callee_cpu = meter.since(), machine.cpu_seconds(callee.pid) - callee_before
            if not called.calls:
                raise Broken("no call was answered")
            figures = {
                "cpu_us": spent.cpu / called.calls * 1e6,
                "per_second": called.calls / called.seconds,
                "p50_ms": called.p50_us / 1e3,
                "p99_ms": called.p99_us / 1e3,
                "p999_ms": called.p999_us / 1e3,
                "caller_us": called.cpu / called.calls * 1e6,
                "callee_us": callee_cpu / called.calls * 1e6,
                "server": spent.share,
                "others": spent.others,
            }
            words = f"{in_flight} in flight" if in_flight > 1 else "one at a time"
            yield Sample(words, name, number, figures)


def go(caller: subprocess.Popen[str], in_flight: int, seconds: float, held: int = 0) -> Called:
    """:param held: so many more calls wait in the callee meanwhile."""
    return ask(caller, f"go {in_flight} {seconds} {held}", Called)


def ask(process: subprocess.Popen[str], words: str, type_: type[T]) -> T:
    """Say a line to an end, and wait for its answer.

    :raises Broken: it has failed.
    """
    assert process.stdin is not None
    process.stdin.write(words + "\n")
    process.stdin.flush()
    return msgspec.json.decode(_read_line(process), type=type_)
