"""When a server counts as ready."""

from __future__ import annotations

import socket
from threading import Thread

from hopsack_bench.servers import _answers
from hopsack_bench.wire import Step


def test_what_is_said_in_one_breath_answers_two_steps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"upgraded\r\n\r\nINFO {}")
                client.recv(100)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        script = (Step(b"upgrade", b"\r\n\r\n"), Step(b"", b"INFO "))

        assert _answers(server.getsockname()[1], script)
        thread.join()
