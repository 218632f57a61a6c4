"""A hundred sessions on all doors that have nothing to do with the abuse: each is to get every event, in order.

One thread reads them all and answers the node's pings. It publishes the next number when everybody has the last one, so
whatever keeps the node from one of them shows: :meth:`Bystanders.unharmed` waits for two rounds that began after it was
asked.
"""

from __future__ import annotations

import json
import selectors
import threading
import time

from ..conftest import Node
from .attacker import CLOSE, FIN, PING, PONG, TEXT, Attacker, masked

TOPIC = "demo.pulse"
MANY = {"raw": 30, "reading": 20, "wamp": 20, "rawsocket": 15, "sse": 15}
PACE = 0.05
"""Seconds between two rounds, at least."""
PATIENCE = 30.0


class Bystander(Attacker):
    """One of them. ``seen``: the last number it was given; it complains about any that is not the next."""

    def __init__(self, door: str, url: str) -> None:
        super().__init__(url)
        self.door = door
        self.seen = 0
        self._begin()
        self.socket.setblocking(False)
        self._buffer = b""

    def _begin(self) -> None:
        match self.door:
            case "raw":
                self.open("/raw")
                params = {"topic": TOPIC}
                self.say({"jsonrpc": "2.0", "id": 1, "method": "hopsack.subscribe", "params": params})
                assert "result" in self.hear()
            case "reading":
                self.open(f"/raw?topic={TOPIC}")
            case "wamp":
                self.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
                self.say([1, "hopsack", {"roles": {"subscriber": {}}}])
                assert self.hear()[0] == 2
                self.say([32, 1, {}, TOPIC])
                assert self.hear()[0] == 33
            case "rawsocket":
                self.shake()
                self.put(json.dumps([1, "hopsack", {"roles": {"subscriber": {}}}]).encode())
                assert self.got()[0] == 2
                self.put(json.dumps([32, 1, {}, TOPIC]).encode())
                assert self.got()[0] == 33
            case "sse":
                self.send(self.head("GET", f"/events?topic={TOPIC}"))
                assert self.until(b"retry: ").startswith(b"HTTP/1.1 200")

    def read(self) -> None:
        """Take what has come.

        :raises AssertionError: an event is missing, twice there, or out of order; or the connection has ended.
        """
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                break
            assert data, f"the node ended a healthy session at {self.door}"
            self._buffer += data
        for number in self._events():
            assert number == self.seen + 1 or self.seen == 0, f"{self.door}: {number} behind {self.seen}"
            self.seen = number

    def _events(self) -> list[int]:
        if self.door == "sse":
            *lines, self._buffer = self._buffer.split(b"\n")
            return [int(line.strip()[6:]) for line in lines if line.startswith(b"data: ")]
        cut = self._rawsocket_frame if self.door == "rawsocket" else self._websocket_frame
        found = []
        while (payload := cut()) is not None:
            message = json.loads(payload) if payload else None
            match message:
                case {"method": "event", "params": {"data": int(number)}}:
                    found.append(number)
                case [36, _, _, _, [int(number)]]:
                    found.append(number)
        return found

    def _websocket_frame(self) -> bytes | None:
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return None
        kind, length = self._buffer[0] & 0x0F, self._buffer[1]
        assert length < 126, self._buffer[:200]
        payload, self._buffer = self._buffer[2 : 2 + length], self._buffer[2 + length :]
        assert kind != CLOSE, f"the node closed a healthy session at {self.door}: {payload!r}"
        if kind == PING:
            self.socket.send(masked(FIN | PONG, payload))
        return payload if kind == TEXT else b""

    def _rawsocket_frame(self) -> bytes | None:
        length = int.from_bytes(self._buffer[1:4], "big")
        if len(self._buffer) < 4 + length:
            return None
        kind, payload = self._buffer[0], self._buffer[4 : 4 + length]
        self._buffer = self._buffer[4 + length :]
        return payload if kind == 0 else b""


class Bystanders:
    """All of them, and who publishes for them.

    :ivar most: the most memory that the node was seen to have, in MiB, since :meth:`measure`.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._changed = threading.Condition()
        self._ended = False
        self._failure: BaseException | None = None
        self._round = 0
        self.most = 0.0
        self.all = [
            Bystander(door, node.rawsocket if door == "rawsocket" else node.http)
            for door, count in MANY.items()
            for _ in range(count)
        ]
        self._publisher = Attacker(node.http)
        self._publisher.open("/raw")
        self._publisher.socket.setblocking(False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.unharmed()  # the readers that cannot tell that they are subscribed are, from here on

    def measure(self) -> float:
        """Begin to watch the node's memory anew.

        :returns: MiB that it has now.
        """
        self.most = memory_of(self._node.pid)
        return self.most

    def unharmed(self) -> None:
        """Wait until everybody has had two more events.

        :raises AssertionError: somebody has not.
        """
        with self._changed:
            wanted = self._round + 2
            self._changed.wait_for(lambda: self._round >= wanted or self._failure is not None, PATIENCE)
            if self._failure is not None:
                raise AssertionError(f"a healthy session was harmed: {self._failure}") from self._failure
            waiting = sorted(f"{one.door} has {one.seen}" for one in self.all if one.seen < self._round)
            assert self._round >= wanted, f"round {self._round}: {waiting[:5]}"

    def end(self) -> None:
        self._ended = True
        self._thread.join()
        for one in (*self.all, self._publisher):
            one.socket.close()

    # ---- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                for one in (*self.all, self._publisher):
                    selector.register(one.socket, selectors.EVENT_READ, one)
                self._go(selector)
        except BaseException as failure:
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _go(self, selector: selectors.DefaultSelector) -> None:
        number, due = 0, 0.0
        while not self._ended:
            for key, _ in selector.select(PACE):
                self._pong() if key.data is self._publisher else key.data.read()
            self.most = max(self.most, memory_of(self._node.pid))
            if time.monotonic() >= due and all(one.seen == number or one.seen == 0 for one in self.all):
                done = all(one.seen == number for one in self.all)
                number, due = number + 1, time.monotonic() + PACE
                params = {"topic": TOPIC, "data": number}
                request = {"jsonrpc": "2.0", "method": "hopsack.publish", "params": params}
                self._publisher.socket.send(masked(FIN | TEXT, json.dumps(request).encode()))
                if done:
                    with self._changed:
                        self._round += 1
                        self._changed.notify_all()

    def _pong(self) -> None:
        """Who publishes is only ever pinged."""
        try:
            data = self._publisher.socket.recv(65536)
        except BlockingIOError:
            return
        assert {data[i : i + 2] for i in range(0, len(data), 2)} == {bytes((FIN | PING, 0))}, data
        for _ in range(0, len(data), 2):
            self._publisher.socket.send(masked(FIN | PONG))


def memory_of(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    with open(f"/proc/{pid}/statm") as facts:
        return int(facts.read().split()[1]) * 4096 / (1 << 20)
