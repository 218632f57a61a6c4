"""A proxy that cuts connections off: after some bytes of what the node says, wherever that is, with a FIN or an RST."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from ..conftest import Node

_RETRY = re.compile(rb"retry: \d{4}")


class CuttingProxy:
    """In front of a node's HTTP port, until it is closed. It takes one connection after the other.

    The pause that the node asks of an ``EventSource`` is made short on its way: nothing here waits for time to pass.

    :param cuts: so many connections are cut off; those that follow are let be.
    :param most: bytes that one of them is given before that, at most.
    :ivar opened: released once for each connection.
    """

    def __init__(self, node: Node, cuts: int, most: int) -> None:
        url = urlsplit(node.http)
        self._node = (url.hostname or "", url.port or 0)
        self._chance = random.Random(cuts)
        self._most = most
        self.cuts_left = cuts
        self.opened = threading.Semaphore(0)
        self._ends, self._end = socket.socketpair()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.http = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.close()
        self._thread.join()
        self._listener.close()
        self._ends.close()

    def _serve(self) -> None:
        while self._ends not in select.select([self._listener, self._ends], [], [])[0]:
            client, _ = self._listener.accept()
            self.opened.release()
            with ExitStack() as held:
                held.enter_context(client)
                node = held.enter_context(socket.create_connection(self._node))
                with suppress(OSError):
                    self._carry(client, node)

    def _carry(self, client: socket.socket, node: socket.socket) -> None:
        """Until either side ends, or it is cut off."""
        left = self._chance.randrange(1, self._most) if self.cuts_left else None
        while left is None or left > 0:
            ready, _, _ = select.select([client, node, self._ends], [], [])
            if self._ends in ready:
                return
            for one, other in ((client, node), (node, client)):
                if one not in ready:
                    continue
                data = one.recv(65536)
                if not data:
                    return
                if one is node:
                    data = _RETRY.sub(b"retry: 0001", data)[:left]
                    left = None if left is None else left - len(data)
                other.sendall(data)
        self.cuts_left -= 1
        if self._chance.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
