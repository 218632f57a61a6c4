"""What a browser does on the raw door, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect


class Page:
    """One connection to `/raw`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._requests = 0
        self._events: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def open(cls, authority: str) -> Iterator[Page]:
        with connect(f"ws://{authority}/raw", open_timeout=20) as connection:
            yield cls(connection)

    def request(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request; the answer, with ``result`` or ``error``. Events that come before it are kept."""
        self._requests += 1
        message = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": params}
        self._connection.send(json.dumps(message))
        while (answer := self._read()).get("id") != self._requests:
            self._events.append(answer["params"])
        return answer

    def event(self, **wanted: Any) -> dict[str, Any]:
        """The next event, ``{topic, data}``, whose data has these values; others are passed over."""
        while True:
            event: dict[str, Any] = self._events.pop(0) if self._events else self._read()["params"]
            if all(event["data"][name] == value for name, value in wanted.items()):
                return event

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=30))
        return message
