"""Readers of streams that plain clients could be: they read, vanish without a word, and come back where they were.

Each has the events it was given, in order, and what it was told besides. Blocking: one thread reads them all.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ..conftest import Node

PATIENCE = 60
"""Seconds until a client gives up; nothing here waits for time to pass."""


class Gone(Exception):
    """The connection is lost."""


@dataclass(frozen=True)
class Seen:
    """One event."""

    topic: str
    position: str
    data: Any
    deleted: bool = False


class Reader(ABC):
    """One reader of one or several streams.

    :ivar seen: the events, over all its connections.
    :ivar told: what it was told besides.
    """

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.seen: list[Seen] = []
        self.told: list[Any] = []

    def read(self, count: int) -> None:
        """Read until it has seen so many events.

        :raises Gone: the connection was lost before.
        """
        while len(self.seen) < count:
            self.seen.append(self.next())

    @abstractmethod
    def open(self, node: Node) -> None:
        """Connect: anew, or behind the last event that it has seen. The subscription stands when this returns."""

    @abstractmethod
    def next(self) -> Seen:
        """The next event."""

    @abstractmethod
    def vanish(self) -> None:
        """Be gone without a word."""

    @property
    def places(self) -> dict[str, str]:
        """The last position of each topic."""
        return {event.topic: event.position for event in self.seen}


def cut(client: socket.socket) -> None:
    """Reset a connection: what is on its way is lost (SO_LINGER with no time)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class _WebSocket(Reader):
    socket: ClientConnection

    def connect(self, url: str) -> None:
        self.socket = contextlib.ExitStack().enter_context(connect(url, open_timeout=PATIENCE, max_size=None))

    def receive(self) -> Any:
        try:
            return json.loads(self.socket.recv(timeout=PATIENCE))
        except ConnectionClosed as closed:
            raise Gone from closed

    def vanish(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close_socket()


class RawReader(_WebSocket):
    """Speaks JSON-RPC; one subscription for each topic, or one pattern for all of them."""

    def __init__(self, *topics: str, pattern: str | None = None) -> None:
        super().__init__(*topics)
        self.pattern = pattern
        self.begun: dict[str, str] = {}

    def open(self, node: Node) -> None:
        self.connect(node.ws("/raw"))
        self.waiting: list[Any] = []
        places = self.begun | self.places
        if self.pattern is not None:
            after = {"after": places} if places else {}
            self._subscribe({"topic": self.pattern, "match": "prefix"} | after)
            return
        for topic in self.topics:
            self._subscribe({"topic": topic} | ({"after": places[topic]} if topic in places else {}))

    def _subscribe(self, params: dict[str, Any]) -> None:
        request = {"jsonrpc": "2.0", "id": params["topic"], "method": "hopsack.subscribe", "params": params}
        self.socket.send(json.dumps(request))
        while True:
            message = self.receive()
            if message.get("id") == params["topic"]:
                break
            self.waiting.append(message)
        result = message["result"]
        self.told.append({name: result[name] for name in ("recovered", "reason", "snapshot") if name in result})
        self.begun |= result["positions"] if "positions" in result else {params["topic"]: result["position"]}

    def next(self) -> Seen:
        while True:
            message = self.waiting.pop(0) if self.waiting else self.receive()
            if message.get("method") == "event":
                params = message["params"]
                return Seen(params["topic"], params["position"], params["data"], params.get("deleted", False))
            self.told.append(message)


class ReadOnlyReader(_WebSocket):
    """Has its topics in the URL, and reads."""

    def open(self, node: Node) -> None:
        query = [f"topic={quote(topic)}" for topic in self.topics]
        query += [f"after={quote(topic)}={position}" for topic, position in self.places.items()]
        self.connect(node.ws("/raw?" + "&".join(query)))
        if not self.seen:  # else the answer to a ping may be behind events, which nobody reads yet
            self.socket.ping().wait(PATIENCE)

    def next(self) -> Seen:
        while True:
            message = self.receive()
            if message["method"] == "event":
                params = message["params"]
                return Seen(params["topic"], params["position"], params["data"], params.get("deleted", False))
            self.told.append(message["params"])


class SseReader(Reader):
    """A plain reader of server-sent events: it keeps the last id and gives it back, and knows nothing of positions."""

    last_id = ""

    def open(self, node: Node) -> None:
        url = urlsplit(node.http)
        self.client = socket.create_connection((url.hostname, url.port), timeout=PATIENCE)
        query = "&".join(f"topic={quote(topic)}" for topic in self.topics)
        lines = [f"GET /events?{query} HTTP/1.0", f"Host: {url.netloc}"]  # which has no chunks
        if self.last_id:
            lines.append(f"Last-Event-ID: {self.last_id}")
        self.client.sendall("\r\n".join((*lines, "", "")).encode())
        self.file = self.client.makefile("rb")
        status = self._line()
        assert status == b"HTTP/1.0 200 OK", status
        while self._line():
            pass
        assert self._line().startswith(b"retry: ")

    def _line(self) -> bytes:
        try:
            line = self.file.readline()
        except OSError as error:
            raise Gone from error
        if not line.endswith(b"\n"):
            raise Gone
        return line.rstrip(b"\r\n")

    def next(self) -> Seen:
        while True:
            fields: dict[str, str] = {}
            while line := self._line():
                name, _, value = line.decode().partition(": ")
                fields[name] = value
            event, data = fields["event"], json.loads(fields["data"])
            self.last_id = fields.get("id", self.last_id)
            if not event.startswith("hopsack."):
                return Seen(event, self._place(event), data)
            self.told.append((event, data))

    def _place(self, topic: str) -> str:
        """What the id says of the topic."""
        if "=" not in self.last_id:
            return self.last_id
        return dict(entry.rsplit("=", 1) for entry in self.last_id.split(","))[quote(topic)]

    def vanish(self) -> None:
        self.file.close()
        cut(self.client)


class Http:
    """Publishes with acknowledgement, one event a request."""

    def __init__(self, node: Node) -> None:
        self._client = httpx.Client(base_url=node.http, timeout=PATIENCE)

    def publish(self, topic: str, data: Any, **headers: str) -> Any:
        answer = self._client.post(f"/publish/{quote(topic)}", content=json.dumps(data), headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json().get("position")

    def close(self) -> None:
        self._client.close()


class Writer(threading.Thread):
    """Publishes numbered events on a raw connection, many at once; what was not acknowledged it sends again.

    :param count: events for each topic.
    :ivar position: of each event, as it was acknowledged.
    :ivar halfway: set when half of them are acknowledged.
    """

    WINDOW = 64

    def __init__(self, node: Node, *topics: str, count: int, padding: int = 0) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.halfway, self.is_back = threading.Event(), threading.Event()
        self.failure: BaseException | None = None
        self.positions: dict[tuple[str, int], str] = {}
        self._left = {(topic, number): None for number in range(count) for topic in topics}
        self._half = len(self._left) // 2
        self._padding = "x" * padding

    def run(self) -> None:
        try:
            while self._left:
                try:
                    self._publish()
                except (ConnectionClosed, OSError):
                    self.is_back.wait(PATIENCE)
        except BaseException as failure:
            self.failure = failure
        finally:
            self.halfway.set()

    def _publish(self) -> None:
        login = {"Authorization": f"Bearer {self.node.token('service', 'writer')}"}  # whose rate has no limit
        with connect(self.node.ws("/raw"), open_timeout=PATIENCE, additional_headers=login) as client:
            wanted = iter(list(self._left))
            for item in itertools.islice(wanted, self.WINDOW):
                self._send(client, item)
            while self._left:
                answer = json.loads(client.recv(timeout=PATIENCE))
                assert "result" in answer, answer
                topic, number = answer["id"].rsplit(" ", 1)
                self._acknowledged((topic, int(number)), answer["result"]["position"])
                for item in itertools.islice(wanted, 1):
                    self._send(client, item)

    def _send(self, client: ClientConnection, item: tuple[str, int]) -> None:
        topic, number = item
        params = {"topic": topic, "data": f"{number} {self._padding}", "key": f"n{number}"}
        request = {"jsonrpc": "2.0", "id": f"{topic} {number}", "method": "hopsack.publish", "params": params}
        client.send(json.dumps(request))

    def _acknowledged(self, item: tuple[str, int], position: str) -> None:
        del self._left[item]
        self.positions[item] = position
        if len(self.positions) == self._half:
            self.halfway.set()

    def end(self) -> None:
        self.join(PATIENCE)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure


def numbers(seen: list[Seen], topic: str) -> list[int]:
    return [int(event.data.split()[0]) for event in seen if event.topic == topic]


def check(reader: Reader, writer: Writer, count: int) -> None:
    """Every event exactly once, in the order of its positions, which have no gaps; each where its writer was told."""
    for topic in reader.topics:
        mine = [event for event in reader.seen if event.topic == topic]
        epochs = {event.position.partition(":")[0] for event in mine}
        offsets = [int(event.position.partition(":")[2]) for event in mine]
        found = numbers(mine, topic)

        assert len(epochs) == 1
        assert offsets == list(range(offsets[0], offsets[0] + len(mine)))
        assert sorted(found) == list(range(count))
        assert [writer.positions[topic, number] for number in found] == [event.position for event in mine]


class Frames:
    """The text frames that come in on a bare socket after a WebSocket handshake (RFC 6455, section 5.2)."""

    def __init__(self, client: socket.socket) -> None:
        self._file = client.makefile("rb")
        while self._file.readline().strip():
            pass

    def __iter__(self) -> Iterator[Any]:
        while head := self._file.read(2):
            length = head[1]
            if length == 126:
                length = int.from_bytes(self._file.read(2), "big")
            elif length == 127:
                length = int.from_bytes(self._file.read(8), "big")
            payload = self._file.read(length)
            if head[0] == 0x81:
                yield json.loads(payload)


class WampReader(_WebSocket):
    """A stock WAMP client that has read the documents: it subscribes, then reads what it missed, then goes on live.

    :param by_publication: it gives back publication ids, which every WAMP client has, instead of positions.
    """

    def __init__(self, *topics: str, by_publication: bool = False) -> None:
        super().__init__(*topics)
        self._by_publication = by_publication
        self._publications: dict[str, int] = {}

    def open(self, node: Node) -> None:
        stack = contextlib.ExitStack()
        protocols: Any = ["wamp.2.json"]
        url = node.ws("/ws")
        self.socket = stack.enter_context(connect(url, subprotocols=protocols, open_timeout=PATIENCE, max_size=None))
        self._requests = 0
        self._live: list[tuple[Seen, int]] = []
        self._missed: list[tuple[Seen, int]] = []
        self._subscriptions: dict[int, str] = {}
        self._send([1, "hopsack", {"roles": {"subscriber": {}, "caller": {}}, "authmethods": ["anonymous"]}])
        assert self.receive()[0] == 2
        for topic in self.topics:
            subscribed = self._ask(32, {}, topic)
            self._subscriptions[subscribed[2]] = topic
        for topic, position in self.places.items():
            self._read_missed(topic, self._publications[topic] if self._by_publication else position)

    def _read_missed(self, topic: str, after: str | int) -> None:
        while True:
            query = {"topic": topic, "after": after, "limit": 200}
            page = self._ask(48, {}, "hopsack.stream.read", [query])[3][0]
            assert page["recovered"], page
            for event in page["events"]:
                seen = Seen(topic, event["position"], event["data"], event.get("deleted", False))
                self._missed.append((seen, event["publication"]))
            if page["end"]:
                return
            after = page["position"]

    def _send(self, message: list[Any]) -> None:
        self.socket.send(json.dumps(message))

    def _ask(self, kind: int, *rest: Any) -> list[Any]:
        """Send a request and wait for its answer; events that come before it are kept."""
        self._requests += 1
        self._send([kind, self._requests, *rest])
        while True:
            message: list[Any] = self.receive()
            if message[0] == 8:
                raise AssertionError(message)
            if message[0] in (33, 50) and message[1] == self._requests:
                return message
            self._heard(message)

    def _heard(self, message: list[Any]) -> None:
        kind, subscription, publication, details, *payload = message
        assert kind == 36, message
        if "x_hopsack_dropped" in details:
            self.told.append(details)
            return
        seen = Seen(
            self._subscriptions[subscription],
            details["x_hopsack_position"],
            payload[0][0],
            details.get("x_hopsack_deleted", False),
        )
        self._live.append((seen, publication))

    def next(self) -> Seen:
        while True:
            if not self._missed and not self._live:
                self._heard(self.receive())
                continue
            is_live = not self._missed
            seen, publication = (self._live if is_live else self._missed).pop(0)
            if is_live and offset(seen.position) <= offset(self.places.get(seen.topic, ":0")):
                continue  # it was read from the journal already
            self._publications[seen.topic] = publication
            return seen


def offset(position: str) -> int:
    return int(position.partition(":")[2])
