"""The load of this machine, every second, and what it is made of."""

from __future__ import annotations

import os
import socket

from hopsack import Service, every, procedure
from hopsack_contracts import HOST_DESCRIBE, HOST_METRICS, HostDescription, HostName, HostUnknown
from host import reading
from host.sampler import Reading, sample


class Host(Service):
    host = os.environ.get("HOST_NAME") or socket.gethostname()
    previous: Reading | None = None

    @every(1.0)
    async def measure(self) -> None:
        previous, self.previous = self.previous, reading.read()
        if previous is not None:  # a rate needs two readings
            await self.publish(HOST_METRICS, sample(self.host, previous, self.previous))

    @procedure(HOST_DESCRIBE)
    async def describe(self, query: HostName) -> HostDescription:
        if query.host != self.host:
            raise HostUnknown(
                f"this service reports on {self.host}, not on {query.host}",
                path="/host",
                advice=f"ask for {self.host}",
                data={"nearest": self.host},
            )
        return reading.describe(self.host)
