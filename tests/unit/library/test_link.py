"""The asyncio shell: its rules on a fake transport and a hand-turned clock, then real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

import hopsack.connection
from hopsack import session as on
from hopsack.address import Address
from hopsack.connection import Connection
from hopsack.errors import Denied, Disconnected, LoginRequired, OutcomeUnknown, Overloaded, Unavailable, UsageError
from hopsack.keeper import Closed, Connected, Waiting
from hopsack.link import Link
from hopsack.options import Options
from hopsack.raw import RawSession
from hopsack.testing.loop import HandTurnedLoop
from hopsack.wamp import messages as wamp
from hopsack.wamp.codec import JSON, MSGPACK
from hopsack.wamp.rawsocket import PING, PONG, Pinged, Ponged, RawSocket, Shaken, frame
from hopsack.wamp.session import WampSession
from hopsack.wire import Ended, RawSocketWire, WebSocketWire

# ---- on a fake transport ---------------------------------------------------------------------------------------------


class FakeTransport(asyncio.Transport):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link
        self.writes: list[bytes] = []
        self.ended: str | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"
        self.link.connection_lost(None)


class Bench:
    """One link on a fake transport, joined."""

    def __init__(self, loop: HandTurnedLoop, hint: str = "", **options: Any) -> None:
        self.loop = loop
        self.effects: list[on.Effect] = []
        self.lost: list[str] = []

        async def make() -> Link:
            session = WampSession(MSGPACK, realm="hopsack", agent="hopsack-python/9")
            return Link(RawSocketWire(2), session, self.effects.append, self.lost.append, Options(**options), hint)

        self.link = loop.run(make())
        self.transport = FakeTransport(self.link)
        self.link.connection_made(self.transport)
        loop.settle()
        assert self.transport.writes.pop() == b"\x7f\xf2\0\0"
        self.link.data_received(b"\x7f\xf2\0\0")
        self.says(wamp.Welcome(7, {}))
        loop.settle()
        self.transport.writes.clear()

    def says(self, message: wamp.Message) -> None:
        self.link.data_received(frame(MSGPACK.encode(message)))

    def written(self) -> list[list[wamp.Message]]:
        """The messages of each write."""
        writes, self.transport.writes = self.transport.writes, []
        return [[MSGPACK.decode(m.data) for m in opened().receive(data)[1:]] for data in writes]  # type: ignore[union-attr]


def opened() -> RawSocket:
    machine = RawSocket("server", serializers=(2,))
    receive = machine.receive
    machine.receive = lambda data: receive(b"\x7f\xf2\0\0" + data)  # type: ignore[method-assign]
    return machine


def test_what_is_sent_in_one_turn_leaves_in_one_write(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)

    for number in range(3):
        bench.link.take(on.PublishRequested(None, "t", number))
    loop.settle()
    bench.link.take(on.PublishRequested(None, "t", 3))
    loop.settle()

    assert [len(messages) for messages in bench.written()] == [3, 1]


@pytest.mark.parametrize("says", [b"", b"\x15\x03\x01\x00\x02\x02\x46"])
def test_who_speaks_in_clear_where_tls_is_spoken_is_told_what_to_write(loop: HandTurnedLoop, says: bytes) -> None:
    lost: list[str] = []

    async def make() -> Link:
        session = WampSession(MSGPACK, realm="hopsack", agent="hopsack-python/9")
        return Link(RawSocketWire(2), session, lambda _: None, lost.append, Options(), "write tls://")

    link = loop.run(make())
    link.connection_made(FakeTransport(link))
    if says:
        link.data_received(says)
    link.connection_lost(ConnectionResetError(104, "Connection reset by peer"))

    (reason,) = lost
    assert reason.endswith("; write tls://")
    assert "Errno" not in reason


def test_who_was_understood_is_not_told_to_write_another_scheme(loop: HandTurnedLoop) -> None:
    bench = Bench(loop, hint="write tls://")

    bench.link.connection_lost(ConnectionResetError(104, "Connection reset by peer"))

    assert bench.lost == ["connection reset by peer"]


def test_while_the_transport_is_full_frames_wait_up_to_the_bound(loop: HandTurnedLoop) -> None:
    bench = Bench(loop, buffer=1000)
    bench.link.pause_writing()
    bench.link.take(on.PublishRequested(None, "t", "x" * 2000))
    loop.settle()

    assert bench.transport.writes == []
    with pytest.raises(Overloaded, match=r"2\d\d\d bytes wait to be sent .* limit is 1000"):
        bench.link.check_room("t")

    bench.link.resume_writing()
    bench.link.check_room("t")
    assert [len(messages) for messages in bench.written()] == [1]


def test_a_silent_peer_is_asked_and_then_given_up(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)
    loop.advance(5)
    assert bench.written() == [[wamp.Unsubscribe(1, 1)]]
    bench.says(wamp.Error(34, 1, {}, "wamp.error.no_such_subscription"))

    loop.advance(5)
    assert bench.written() == [[wamp.Unsubscribe(2, 1)]]
    loop.advance(4.9)
    assert bench.lost == []
    loop.advance(0.1)

    assert bench.transport.ended == "aborted"
    assert bench.lost == ["the node was silent for 10.0 s and did not answer a ping"]


def test_a_peer_that_talks_is_not_asked(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)

    for _ in range(10):
        loop.advance(3)
        bench.says(wamp.Event(1, 1, {}))

    assert bench.written() == []


def test_a_ping_of_the_peer_is_answered(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)

    bench.link.data_received(frame(b"you there?", PING))
    loop.settle()

    assert bench.transport.writes == [frame(b"you there?", PONG)]


def test_what_was_queued_leaves_before_the_close(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)
    bench.link.take(on.PublishRequested(None, "t", 1))
    bench.link.take(on.LeaveRequested())
    loop.settle()
    bench.says(wamp.Goodbye({}, "wamp.close.goodbye_and_out"))

    assert [type(message) for messages in bench.written() for message in messages] == [wamp.Publish, wamp.Goodbye]
    assert bench.transport.ended == "closed"
    bench.link.connection_lost(None)
    assert bench.lost == ["left"]


def test_what_comes_after_the_close_is_not_read(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)
    bench.link.close("enough")

    bench.says(wamp.Event(1, 1, {}))

    assert [type(effect) for effect in bench.effects] == [on.Join]


def test_a_node_that_says_goodbye_and_reads_no_more_is_given_up(loop: HandTurnedLoop) -> None:
    bench = Bench(loop, close_timeout=2.0)
    bench.link.pause_writing()
    bench.link.take(on.PublishRequested(None, "t", "x" * 2000))

    bench.says(wamp.Goodbye({}, "wamp.close.system_shutdown"))
    loop.advance(1.9)
    assert (bench.transport.ended, bench.lost) == ("closed", ["wamp.close.system_shutdown"])
    loop.advance(0.1)

    assert bench.transport.ended == "aborted"
    assert bench.lost == ["wamp.close.system_shutdown"]
    assert loop.settle() is None


def test_what_leaves_in_time_is_not_given_up(loop: HandTurnedLoop) -> None:
    bench = Bench(loop)
    bench.link.close("enough")
    waiting = loop.create_task(bench.link.gone())
    loop.settle()
    assert not waiting.done()

    bench.link.connection_lost(None)

    assert loop.settle() is None
    assert waiting.done()
    assert (bench.transport.ended, bench.lost) == ("closed", ["enough"])


@pytest.mark.parametrize(("code", "is_going"), [(1001, True), (4408, False), (4429, False)])
def test_the_reason_of_a_websockets_close_tells_when_to_come_back(
    loop: HandTurnedLoop, code: int, is_going: bool
) -> None:
    server = ServerProtocol()
    wire = WebSocketWire(Address.parse("ws://127.0.0.1:1/raw"))
    lost: list[str] = []
    effects: list[object] = []

    async def make() -> Link:
        return Link(wire, RawSession(), effects.append, lost.append, Options())

    link = loop.run(make())
    transport = FakeTransport(link)
    link.connection_made(transport)
    loop.settle()
    server.receive_data(transport.writes.pop())
    [request] = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    link.data_received(b"".join(server.data_to_send()))
    who = {"session": 7, "authid": "guest-1", "role": "guest", "realm": "hopsack", "server": "hopsack/0.1.0"}
    server.send_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": who}).encode())
    link.data_received(b"".join(server.data_to_send()))
    link.take(on.CallRequested("c", "a.b", None))
    server.send_close(code, "Come back later. (retry_after=2.3)")

    link.data_received(b"".join(server.data_to_send()))

    assert link.retry_after == 2.3
    assert transport.ended == "closed"
    [rejected] = [effect for effect in effects if isinstance(effect, on.Reject)]
    # Only a node that stops has answered all that it has begun.
    assert type(rejected.error) is (Unavailable if is_going else OutcomeUnknown)


@pytest.mark.parametrize(("code", "refusal"), [(4401, LoginRequired), (4403, Denied), (4408, None), (1001, None)])
def test_a_websockets_close_may_be_final(loop: HandTurnedLoop, code: int, refusal: type[Exception] | None) -> None:
    server = ServerProtocol()
    wire = WebSocketWire(Address.parse("ws://127.0.0.1:1/raw"))
    server.receive_data(wire.open())
    [request] = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    wire.receive(b"".join(server.data_to_send()))
    server.send_close(code, "An operator ended this session.")

    [ended] = [one for one in wire.receive(b"".join(server.data_to_send())) if isinstance(one, Ended)]

    assert isinstance(ended.refusal, refusal) if refusal else ended.refusal is None


# ---- a connection over links on fake transports ----------------------------------------------------------------------


class Chain:
    """A connection, and the links that it has had; the node lets it in each time."""

    def __init__(self, loop: HandTurnedLoop) -> None:
        self.loop = loop
        self.links: list[Link] = []
        self.transports: list[FakeTransport] = []

        async def make() -> Connection:
            return Connection(self.dial, Options(chance=lambda: 0.25))

        self.connection = loop.run(make())
        self.connection.start()
        loop.settle()
        self.transports[0].writes.clear()

    async def dial(self, obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Link:
        session = WampSession(MSGPACK, realm="hopsack", agent="hopsack-python/9")
        link = Link(RawSocketWire(2), session, obey, lost, Options())
        transport = FakeTransport(link)
        link.connection_made(transport)
        self.links.append(link)
        self.transports.append(transport)
        welcome = frame(MSGPACK.encode(wamp.Welcome(len(self.links), {})))
        self.loop.call_soon(link.data_received, b"\x7f\xf2\0\0" + welcome)
        return link

    def says(self, message: wamp.Message) -> None:
        self.links[-1].data_received(frame(MSGPACK.encode(message)))
        self.loop.settle()

    def heard(self) -> list[wamp.Message]:
        self.loop.settle()
        data, self.transports[-1].writes = b"".join(self.transports[-1].writes), []
        signals = opened().receive(data.removeprefix(b"\x7f\xf2\0\0"))
        return [MSGPACK.decode(signal.data) for signal in signals if isinstance(signal, on.Received)]


LOSSES: dict[str, Callable[[Chain], None]] = {
    "reset": lambda chain: chain.links[0].connection_lost(ConnectionResetError("reset by peer")),
    "goodbye": lambda chain: chain.says(wamp.Goodbye({}, "wamp.close.system_shutdown")),
    "nonsense": lambda chain: chain.links[0].data_received(b"\xff" * 8),
}
AGAIN: dict[str, Callable[[Connection], Awaitable[Any]]] = {
    "call": lambda connection: connection.call("a.b", 1),
    "publish": lambda connection: connection.publish("t", 1),
    "publish unacknowledged": lambda connection: connection.publish("t", 1, acknowledge=False),
    "subscribe": lambda connection: connection.subscribe("t"),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("again", AGAIN)
def test_who_asks_again_at_once_when_a_link_is_lost_waits_for_the_next(
    loop: HandTurnedLoop, loss: str, again: str
) -> None:
    chain = Chain(loop)
    states: list[Any] = []

    async def ask() -> Any:
        with pytest.raises(OutcomeUnknown):
            await chain.connection.call("a.b", 0)
        states.append(chain.connection.state)
        return await AGAIN[again](chain.connection)

    asking = loop.create_task(ask())
    assert [type(message) for message in chain.heard()] == [wamp.Call]
    LOSSES[loss](chain)
    loop.settle()
    assert [type(state) for state in states] == [Waiting]

    if again == "publish unacknowledged":
        with pytest.raises(Disconnected, match="t: not sent: there is no connection: "):
            asking.result()
        return
    assert not asking.done()
    if chain.transports[0].ended:
        chain.links[0].connection_lost(None)
    loop.advance(0.5)
    assert isinstance(chain.connection.state, Connected)
    assert [type(message).__name__.lower() for message in chain.heard()] == ["hello", again]
    answers: dict[str, wamp.Message] = {
        "call": wamp.Result(1, {}, MSGPACK.pack([7])),
        "publish": wamp.Published(1, 900),
        "subscribe": wamp.Subscribed(1, 5),
    }
    chain.says(answers[again])

    assert asking.done()
    assert asking.exception() is None


def test_the_next_attempt_begins_when_the_link_before_is_gone(loop: HandTurnedLoop) -> None:
    chain = Chain(loop)
    chain.says(wamp.Goodbye({}, "wamp.close.system_shutdown"))
    loop.advance(1.9)
    assert len(chain.links) == 1

    loop.advance(0.1)
    assert chain.transports[0].ended == "aborted"
    loop.advance(0.5)

    assert isinstance(chain.connection.state, Connected)
    assert len(chain.links) == 2


def test_a_node_that_does_not_take_the_goodbye_is_left_all_the_same(loop: HandTurnedLoop) -> None:
    chain = Chain(loop)
    closing = loop.create_task(chain.connection.close())
    assert [type(message) for message in chain.heard()] == [wamp.Goodbye]

    loop.advance(2)

    assert closing.done()
    assert chain.connection.state == Closed(None)
    assert chain.transports[0].ended == "aborted"
    with pytest.raises(Disconnected, match="is closed"):
        loop.run(chain.connection.call("a.b"))


def test_what_was_sent_has_left_when_the_connection_is_closed(loop: HandTurnedLoop) -> None:
    chain = Chain(loop)
    closing = loop.create_task(chain.connection.close())
    loop.settle()
    chain.says(wamp.Goodbye({}, "wamp.close.goodbye_and_out"))
    assert (chain.transports[0].ended, closing.done()) == ("closed", False)

    chain.links[0].connection_lost(None)
    loop.settle()

    assert closing.done()
    assert chain.connection.state == Closed(None)


# ---- on real sockets -------------------------------------------------------------------------------------------------


async def answer(message: wamp.Message) -> list[wamp.Message]:
    """A node of six lines."""
    match message:
        case wamp.Hello():
            return [wamp.Welcome(7, {"authid": "guest-1", "authrole": "guest"})]
        case wamp.Call(request, _, "echo", args):
            return [wamp.Result(request, {}, args)]
        case wamp.Goodbye():
            return [wamp.Goodbye({}, "wamp.close.goodbye_and_out")]
    return []


async def rawsocket_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    machine = RawSocket("server", serializers=(1, 2))
    codec = MSGPACK
    while data := await reader.read(65536):
        for output in machine.receive(data):
            match output:
                case Shaken(serializer):
                    codec = JSON if serializer == 1 else MSGPACK
                    writer.write(machine.hello(serializer) + frame(b"ping", PING))
                case on.Received(body):
                    for reply in await answer(codec.decode(body)):
                        writer.write(frame(codec.encode(reply)))
                case Pinged(pong):
                    writer.write(pong)
                case Ponged(data):
                    assert data == b"ping"
    writer.close()


async def websocket_peer(connection: ServerConnection) -> None:
    codec = JSON if connection.subprotocol == "wamp.2.json" else MSGPACK
    async for data in connection:
        assert isinstance(data, str) is not codec.is_binary
        for reply in await answer(codec.decode(data.encode() if isinstance(data, str) else data)):
            encoded = codec.encode(reply)
            await connection.send(encoded if codec.is_binary else encoded.decode())


async def echoes(url: str, tls: ssl.SSLContext | None = None) -> Any:
    async with hopsack.connection.connect(url, tls=tls) as fabric:
        assert fabric.identity is not None
        assert fabric.identity.session == 7
        big = "x" * 3_000_000
        assert await fabric.call("echo", big) == big
        return await fabric.call("echo", {"n": 1})


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_rawsocket_over_tcp(codec: str) -> None:
    async def main() -> Any:
        async with await asyncio.start_server(rawsocket_peer, "127.0.0.1", 0) as server:
            return await echoes(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}?codec={codec}")

    assert asyncio.run(main()) == {"n": 1}


def test_rawsocket_over_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> Any:
        async with await asyncio.start_unix_server(rawsocket_peer, tmp_path / "node.sock"):
            return await echoes(f"unix://{tmp_path}/node.sock")

    assert asyncio.run(main()) == {"n": 1}


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_websocket(codec: str) -> None:
    async def main() -> Any:
        offered = [Subprotocol("wamp.2.msgpack"), Subprotocol("wamp.2.json")]
        async with serve(websocket_peer, "127.0.0.1", 0, subprotocols=offered, max_size=None) as server:
            return await echoes(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws?codec={codec}")

    assert asyncio.run(main()) == {"n": 1}


def test_websocket_over_tls() -> None:
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server_tls)
    authority.configure_trust(client_tls)

    async def main() -> Any:
        offered = [Subprotocol("wamp.2.msgpack")]
        async with serve(websocket_peer, "127.0.0.1", 0, subprotocols=offered, ssl=server_tls, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Disconnected, match="signed the node's certificate; HOPSACK_TLS_CA"):
                await echoes(f"wss://localhost:{port}/ws")
            return await echoes(f"wss://localhost:{port}/ws", client_tls)

    assert asyncio.run(main()) == {"n": 1}


def test_no_node_at_the_address_is_told_at_once() -> None:
    async def main() -> None:
        server = await asyncio.start_server(rawsocket_peer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        await echoes(f"tcp://127.0.0.1:{port}")

    with pytest.raises(Disconnected, match=r"cannot connect to tcp://127\.0\.0\.1:\d+: .*[Cc]onnect"):
        asyncio.run(main())


Speaker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(data: bytes) -> Speaker:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(data)
        writer.close()

    return speak


@pytest.mark.parametrize(
    ("scheme", "data", "error", "reason"),
    [
        ("tcp", b"HTTP/1.1 400 Bad Request\r\n\r\n", Disconnected, "not RawSocket"),
        ("tcp", b"\x7f\x10\0\0", Disconnected, "serializer unsupported"),
        ("tcp", b"", Disconnected, "the node closed the connection"),
        ("ws", b"\x7f\xf2\0\0\r\n", Disconnected, "HTTP"),
        ("ws", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Disconnected, "is 404, not 101"),
        ("ws", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", LoginRequired, "401"),
    ],
)
def test_what_is_no_node_is_told_by_its_words(scheme: str, data: bytes, error: type[Exception], reason: str) -> None:
    async def main() -> None:
        async with await asyncio.start_server(says(data), "127.0.0.1", 0) as server:
            await echoes(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    with pytest.raises(error, match=reason):
        asyncio.run(main())


def test_a_server_without_wamp_is_told() -> None:
    async def main() -> None:
        async with serve(websocket_peer, "127.0.0.1", 0) as server:
            await echoes(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws")

    with pytest.raises(Disconnected, match=r"there is no WAMP in wamp\.2\.msgpack at this path"):
        asyncio.run(main())


# ---- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://127.0.0.1:8081", Address("tcp", "wamp", "msgpack", "127.0.0.1", 8081, "")),
        ("tcp://[::1]:8081?codec=json", Address("tcp", "wamp", "json", "::1", 8081, "")),
        ("unix:///run/hopsack.sock", Address("unix", "wamp", "msgpack", "", 0, "/run/hopsack.sock")),
        ("ws://host:8080", Address("websocket", "wamp", "msgpack", "host", 8080, "/ws")),
        ("http://host", Address("websocket", "wamp", "msgpack", "host", 80, "/ws")),
        ("https://host/hop/ws/", Address("websocket", "wamp", "msgpack", "host", 443, "/hop/ws", True)),
        ("wss://host/raw", Address("websocket", "raw", "json", "host", 443, "/raw", True)),
    ],
)
def test_a_url_names_a_place_and_what_to_speak_there(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    "url", ["", "host:8080", "tcp://host", "tcp://host:99999", "unix://", "ws://host/chat", "ftp://host", "ws://h?a=b"]
)
def test_what_is_no_url_of_a_node_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(url)


def test_websocket_text_is_text_for_the_raw_door() -> None:
    wire = WebSocketWire(Address.parse("ws://host/raw"))

    assert b"Sec-WebSocket-Protocol" not in wire.open()
    assert wire.ping() == b""
