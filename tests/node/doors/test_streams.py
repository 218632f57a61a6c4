"""Streams of a real node, from plain clients of every door: whoever vanishes comes back and has missed nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..conftest import ROOT, Node, NodeProcess
from .conftest import CONTRACTS, sessions
from .readers import (
    PATIENCE,
    Frames,
    Gone,
    Http,
    RawReader,
    Reader,
    ReadOnlyReader,
    Seen,
    SseReader,
    WampReader,
    Writer,
    check,
    cut,
    offset,
)
from .test_raw import open_and_never_read

pytestmark = pytest.mark.node

KINDS: dict[str, Callable[[str], Reader]] = {
    "raw": lambda name: RawReader(f"demo.{name}.told"),
    "raw, two topics": lambda name: RawReader(f"demo.{name}.told", f"demo.{name}2.told"),
    "raw, a pattern": lambda name: RawReader(f"demo.{name}.told", f"demo.{name}2.told", pattern=f"demo.{name}"),
    "raw, read-only": lambda name: ReadOnlyReader(f"demo.{name}.told"),
    "raw, read-only, two topics": lambda name: ReadOnlyReader(f"demo.{name}.told", f"demo.{name}2.told"),
    "sse": lambda name: SseReader(f"demo.{name}.told"),
    "sse, two topics": lambda name: SseReader(f"demo.{name}.told", f"demo.{name}2.told"),
    "wamp": lambda name: WampReader(f"demo.{name}.told", by_publication=True),
    "wamp, two topics": lambda name: WampReader(f"demo.{name}.told", f"demo.{name}2.told"),
}


@pytest.fixture
def publisher(node: Node) -> Iterator[Http]:
    publisher = Http(node)
    yield publisher
    publisher.close()


# ---- resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_vanishes_under_load_misses_nothing(node: Node, kind: str) -> None:
    reader = KINDS[kind](f"vanish{list(KINDS).index(kind)}x")
    count = 1500 // len(reader.topics)
    writer = Writer(node, *reader.topics, count=count)
    reader.open(node)

    writer.start()
    for seen in (100, 300, 301, 800):
        reader.read(seen)
        reader.vanish()
        reader.open(node)
    reader.read(count * len(reader.topics))
    writer.end()

    check(reader, writer, count)
    reader.vanish()


@pytest.mark.timeout(180)
def test_a_node_that_is_killed_under_load_is_only_a_pause(tmp_path: Path) -> None:
    """The topics of the first reader of one topic and of the first of two are the topics of all."""
    count = 1200
    readers = [make("killed") for make in KINDS.values()]
    topics = ("demo.killed.told", "demo.killed2.told")
    process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS))
    try:
        node = process.ready()
        for reader in readers:
            reader.open(node)
        writer = Writer(node, *topics, count=count)
        writer.start()
        assert writer.halfway.wait(PATIENCE)

        os.kill(node.pid, signal.SIGKILL)
        process.stop()
        ports = ("--port", node.http.rpartition(":")[2], "--rawsocket-port", node.rawsocket.rpartition(":")[2])
        process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS), *ports)
        assert process.ready().http == node.http
        writer.is_back.set()
        for reader in readers:
            come_back(reader, node, count * len(reader.topics))
        writer.end()

        for reader in readers:
            check(reader, writer, count)
            assert not any(told.get("reason") for told in reader.told if isinstance(told, dict))
            reader.vanish()
    finally:
        code = process.stop()
    assert code == 0, process.log


def come_back(reader: Reader, node: Node, count: int) -> None:
    """Read what the last connection still holds, then the rest on another."""
    try:
        reader.read(count)
    except Gone:
        reader.vanish()
        reader.open(node)
        reader.read(count)


def test_what_was_said_before_the_first_event_came_is_not_missed(node: Node, publisher: Http) -> None:
    reader = SseReader("demo.early.told")
    publisher.publish("demo.early.told", "0")
    reader.open(node)
    reader.client.settimeout(PATIENCE)
    with pytest.raises(Gone):
        told_and_then_lost(reader)

    publisher.publish("demo.early.told", "1")
    reader.open(node)
    reader.read(1)

    assert [event.data for event in reader.seen] == ["1"]
    assert reader.told[0][0] == "hopsack.position"
    reader.vanish()


def told_and_then_lost(reader: SseReader) -> None:
    """Be told the position, then lose the connection."""
    reader.client.shutdown(1)
    reader.read(1)


@pytest.mark.parametrize("door", ["raw", "sse", "read-only"])
@pytest.mark.parametrize("after", ["aaaaaaaa:1", "<epoch>:99"])
def test_a_position_that_is_no_more_is_told(node: Node, publisher: Http, door: str, after: str) -> None:
    topic = f"demo.lost{door}{len(after)}.told"
    epoch = publisher.publish(topic, "0").partition(":")[0]
    after = after.replace("<epoch>", epoch)
    makers: dict[str, Callable[[str], Any]] = {"raw": RawReader, "sse": SseReader, "read-only": ReadOnlyReader}
    reader = makers[door](topic)
    reader.seen.append(Seen(topic, after, None))
    reader.last_id = after

    reader.open(node)
    reader.read(2)

    assert reader.seen[1] == Seen(topic, f"{epoch}:1", "0")
    (told,) = reader.told
    lost = told[1] if door == "sse" else told
    assert (lost["recovered"], lost["reason"]) == (False, "epoch")
    reader.vanish()


def test_an_event_source_resumes_by_itself(tmp_path: Path) -> None:
    modules = ROOT / "web_client" / "node_modules"
    if not (modules / "eventsource").exists():
        pytest.skip("needs Node.js and `npm ci` in web_client/")
    process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS))
    try:
        node = process.ready()
        client = ROOT / "tests" / "node" / "clients" / "event_source.mjs"
        query = "topic=demo.ticker&topic=demo.page.told"
        command = ["node", str(client), str(modules), f"{node.http}/events?{query}", "6"]
        source = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert source.stdout is not None
        assert source.stdout.readline() == "open\n"
        publisher = Http(node)
        publish_both(publisher, "0")

        assert [json.loads(source.stdout.readline())[1] for _ in range(2)] == ["0", {"headline": "0"}]
        publisher.close()
        os.kill(node.pid, signal.SIGKILL)
        process.stop()
        process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS), "--port", node.http.rpartition(":")[2])
        publisher = Http(process.ready())
        publish_both(publisher, "1")
        publish_both(publisher, "2")
        publisher.close()

        rest = [json.loads(line) for line in source.stdout]
        assert len(rest) == 4  # and nothing about a recovery
        assert [event for event in rest if event[0] == "demo.page.told"] == [["demo.page.told", n] for n in "12"]
        assert [event[1]["headline"] for event in rest if event[0] == "demo.ticker"] == ["1", "2"]
        assert source.wait(PATIENCE) == 0
    finally:
        process.stop()


def publish_both(publisher: Http, text: str) -> None:
    publisher.publish("demo.page.told", text)
    publisher.publish("demo.ticker", {"headline": text})


# ---- newest values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [RawReader, SseReader, ReadOnlyReader])
def test_who_comes_late_gets_the_newest_of_each_key_and_then_what_changes(
    node: Node, publisher: Http, http: httpx.Client, make: Callable[[str], Reader]
) -> None:
    topic = f"demo.late{make.__name__}.weather"
    for place, text in (("Rome", "sun"), ("Oslo", "snow"), ("Bern", "fog"), ("Rome", "rain")):
        publisher.publish(topic, {"place": place, "text": text})
    deleted = http.request("DELETE", f"/publish/{topic}", json={"place": "Bern"})
    reader = make(topic)

    reader.open(node)
    reader.read(2)
    position = publisher.publish(topic, {"place": "Oslo", "text": "thaw"})
    reader.read(3)

    assert deleted.status_code == 200
    assert offset(deleted.json()["position"]) == 5
    assert [(event.data["place"], event.data["text"]) for event in reader.seen] == [
        ("Oslo", "snow"),
        ("Rome", "rain"),
        ("Oslo", "thaw"),
    ]
    assert reader.seen[-1].position == position
    reader.vanish()


def test_a_deleted_key_is_told_on_every_door(node: Node, publisher: Http, http: httpx.Client) -> None:
    topic = "demo.gone.weather"
    publisher.publish(topic, {"place": "Oslo", "text": "snow"})
    raw, sse, wamp = RawReader(topic), SseReader(topic), WampReader(topic)
    for reader in (raw, sse, wamp):
        reader.open(node)
    raw.read(1)
    sse.read(1)

    http.request("DELETE", f"/publish/{topic}", json={"place": "Oslo"}).raise_for_status()
    position = publisher.publish(topic, {"place": "Oslo", "text": "thaw"})
    raw.read(3)
    sse.read(2)
    wamp.read(2)

    assert (raw.seen[1].deleted, raw.seen[1].data) == (True, {"place": "Oslo"})
    assert sse.told == [("hopsack.deleted", {"topic": topic, "data": {"place": "Oslo"}})]
    assert (wamp.seen[0].deleted, wamp.seen[0].data) == (True, {"place": "Oslo"})
    assert {reader.seen[-1].position for reader in (raw, sse, wamp)} == {position}
    for reader in (raw, sse, wamp):
        reader.vanish()


# ---- publishing ------------------------------------------------------------------------------------------------------


def test_an_idempotency_key_is_kept_once_on_any_door(node: Node, publisher: Http, page: Any) -> None:
    topic = "demo.keys.told"
    first = publisher.publish(topic, "once", **{"Idempotency-Key": '"k-1"'})
    by_page = page().ask("hopsack.publish", {"topic": topic, "data": "once", "key": "k-1"})
    second = publisher.publish(topic, "twice", **{"Idempotency-Key": "k-2"})

    assert by_page == {"position": first}
    assert [offset(first), offset(second)] == [1, 2]


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_a_key_that_is_none(http: httpx.Client, key: str) -> None:
    answer = http.post("/publish/demo.keys.told", json="x", headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["path"]) == (400, "Idempotency-Key")


def test_other_methods_of_publishing(http: httpx.Client) -> None:
    refused, call = http.put("/publish/demo.news", json={}), http.delete("/call/demo.add")

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST, DELETE")
    assert (call.status_code, call.headers["allow"]) == (405, "POST")


def test_a_full_disk_refuses_and_recovers_by_itself(tmp_path: Path) -> None:
    process = NodeProcess(tmp_path, "--schemas", str(CONTRACTS))
    try:
        node = process.ready()
        with httpx.Client(base_url=node.http, timeout=PATIENCE) as http:
            first = http.post("/publish/demo.full.told", json="0").json()["position"]
            largest = max(file.stat().st_size for file in tmp_path.iterdir() if file.is_file())
            _, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (largest + 100_000, hard))
            while (refused := http.post("/publish/demo.full.told", json="x" * 60_000)).status_code == 200:
                pass
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (hard, hard))
            while (again := http.post("/publish/demo.full.told", json="again")).status_code == 507:
                pass
            kept = http.post("/call/hopsack.stream.read", json={"topic": "demo.full.told"}).json()
    finally:
        code = process.stop()

    assert (refused.status_code, refused.json()["code"]) == (507, "hopsack.store_failed")
    assert refused.headers["retry-after"]
    offsets = [offset(event["position"]) for event in kept["events"]]
    assert offsets == list(range(offset(first), offset(again.json()["position"]) + 1))
    assert kept["events"][-1]["data"] == "again"
    assert code == 0, process.log


# ---- reading back ----------------------------------------------------------------------------------------------------


def test_history_by_count_by_position_and_by_time(http: httpx.Client, publisher: Http) -> None:
    topic = "demo.history.told"
    first, second, third = (publisher.publish(topic, text) for text in ("one", "two", "three"))

    def read(**how: Any) -> Any:
        answer = http.post("/call/hopsack.stream.read", json={"topic": topic} | how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    last, rest, all_of_it = read(last=2), read(after=first), read(since=0)

    assert [event["data"] for event in last["events"]] == ["two", "three"]
    assert [event["position"] for event in rest["events"]] == [second, third]
    assert (rest["recovered"], rest["end"], rest["position"]) == (True, True, third)
    assert [event["data"] for event in all_of_it["events"]][-3:] == ["one", "two", "three"]


# ---- slow readers ----------------------------------------------------------------------------------------------------


def test_a_reader_that_stops_reading_loses_nothing_of_a_stream_and_costs_its_budget(
    node: Node, http: httpx.Client
) -> None:
    topic, count = "demo.deaf.told", 8000
    deaf = open_and_never_read(node, f"/raw?topic={topic}", node.token("user", "deaf-stream"))
    writer = Writer(node, topic, count=count, padding=1000)

    writer.start()
    writer.end()
    (listed,) = [one for one in sessions(node, http) if one["authid"] == "deaf-stream"]
    frames = iter(Frames(deaf))
    events = [next(frames)["params"] for _ in range(count)]

    assert listed["lag"]["unsent"] <= 1 << 20
    assert listed["lag"]["policy"] == "following"
    assert [(one["topic"], one["behind"] > 0) for one in listed["lag"]["following"]] == [(topic, True)]
    assert [offset(event["position"]) for event in events] == list(range(1, count + 1))
    assert sorted(int(event["data"].split()[0]) for event in events) == list(range(count))
    cut(deaf)


def test_a_reader_that_stops_reading_what_is_live_only_is_told_what_it_lost(node: Node, page: Any) -> None:
    topic, count = "demo.deaf.said", 200
    deaf = open_and_never_read(node, f"/raw?topic={topic}", node.token("user", "deaf-live"))
    writer = page()

    for number in range(count):
        writer.ask("hopsack.publish", {"topic": topic, "data": f"{number} {'x' * 60_000}"})
    seen, dropped = [], 0
    for message in Frames(deaf):
        if message["method"] == "gap":
            assert message["params"]["topic"] == topic
            dropped += message["params"]["dropped"]
        else:
            seen.append(int(message["params"]["data"].split()[0]))
        if seen and seen[-1] == count - 1:
            break

    assert dropped > 0
    assert len(seen) + dropped == count
    assert seen == sorted(seen)
    cut(deaf)


# ---- stock WAMP clients ----------------------------------------------------------------------------------------------

CLIENTS = ROOT / "tests" / "node" / "clients"


def saw(*command: str) -> list[list[Any]]:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("door", ["/ws", "rawsocket"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_autobahn_does_not_mind_streams(node: Node, door: str, serializer: str) -> None:
    url = node.rawsocket.replace("tcp", "rs", 1) if door == "rawsocket" else node.ws(door)
    room = f"autobahn{serializer}{door.strip('/')}"

    assert saw(sys.executable, str(CLIENTS / "autobahn_streams.py"), url, serializer, room) == [
        ["live", ["one", "two", "three"]],
        ["numbered alike", True],
        ["read back", [True, ["two", "three"]]],
        ["newest", [["sun", True], ["thaw", True]]],
        ["left", "wamp.close.goodbye_and_out"],
    ]


def test_wampy_does_not_mind_streams(node: Node) -> None:
    modules = ROOT / "web_client" / "node_modules"
    if not (modules / "wampy").exists():
        pytest.skip("needs Node.js and `npm ci` in web_client/")

    assert saw("node", str(CLIENTS / "wampy_streams.mjs"), str(modules), node.ws("/ws"), "wampy") == [
        ["live", ["one", "two", "three"]],
        ["read back", ["two", "three"]],
        ["newest", ["sun", "thaw"]],
        ["left", "wamp.close.goodbye_and_out"],
    ]
