"""What a door needs of the node it belongs to: the one place where doors reach into Crossbar's worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from hopsack.contracts import Catalogue
from hopsack_router.access.audit import UNWRITTEN, Notes
from hopsack_router.access.logins import Logins
from hopsack_router.routing.fanout import Outbox
from hopsack_router.routing.session import NodeSession


@dataclass(frozen=True, slots=True)
class Host:
    """One router worker, as its doors see it.

    :ivar outbox: where links queue what they have to write.
    :ivar new_session: makes a session that has not joined yet.
    :ivar clock: schedules what doors wait for.
    :ivar ready: whether the node takes traffic.
    :ivar catalogue: the contracts in force.
    :ivar web: the folder served at ``/``.
    :ivar client: the folder of the browser client.
    :ivar logins: knows whose a token is; ``None``: no tokens are taken.
    :ivar explains: whether strangers may learn who may do what, and what the node is made of: not in production.
    :ivar audit: where it is noted who comes and goes.
    :ivar random: spreads what should not happen all at once.
    :ivar log: for what went wrong here and is nobody else's business.
    """

    outbox: Outbox
    new_session: Callable[[], NodeSession]
    clock: IReactorTime
    ready: Callable[[], bool]
    catalogue: Callable[[], Catalogue]
    web: Path
    client: Path
    logins: Callable[[], Logins | None] = lambda: None
    explains: bool = True
    audit: Notes = UNWRITTEN
    random: Random = field(default_factory=Random)
    log: Logger = field(default_factory=lambda: Logger("hopsack_router.doors"))

    @classmethod
    def of(cls, transport: Any) -> Host:
        """The host behind the transport that a web service is made for (Crossbar's ``RouterWebTransport``)."""
        worker = transport._worker
        return cls(
            outbox=worker.outbox,
            new_session=worker.router_session_factory,
            clock=worker._reactor,
            ready=lambda: worker.ready,
            catalogue=lambda: worker._router_factory.catalogue,
            web=Path(worker.settings.web),
            client=worker.settings.client,
            logins=lambda: worker._router_factory.logins,
            explains=worker._router_factory.explains,
            audit=worker._router_factory.audit,
        )
