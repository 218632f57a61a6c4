"""The router worker: Crossbar's, with our router, sessions, transports and the node's own component.

The same class runs in both ways a node can run: driven directly in one process (:mod:`hopsack_router.node`), and in a
worker process of a full Crossbar node, which finds it through the personality.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, NoReturn, assert_never
from urllib.parse import quote

from autobahn import wamp
from autobahn.wamp.types import ComponentConfig
from crossbar.worker.router import RouterController
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger

from hopsack import production
from hopsack.contracts import Catalogue, load
from hopsack.contracts.policy import ONCE
from hopsack.settings import Settings
from hopsack_router.access import revocations
from hopsack_router.access.audit import Audit, Rotated
from hopsack_router.access.logins import Logins
from hopsack_router.access.meters import Limits
from hopsack_router.access.publickeys import PublicKeys
from hopsack_router.access.revocations import Revocations
from hopsack_router.access.tls import Certificates, Files
from hopsack_router.clocks import UnixTime, count_steadily
from hopsack_router.component import AUTHID, NodeComponent
from hopsack_router.configuration import REALM
from hopsack_router.doors.sockets import send_all
from hopsack_router.drain import LOOK, Drain, Effect, EndCalls, Part, State, TurnAway, spread
from hopsack_router.fences import Fences
from hopsack_router.keyed.calls import KeyedCalls
from hopsack_router.keyed.store import FILE as CALLS
from hopsack_router.keyed.store import Sqlite
from hopsack_router.keys import KeyWatch
from hopsack_router.limit_desk import FILE, Changes, rules_of
from hopsack_router.nesting import bound_nesting
from hopsack_router.routing.departure import Departure, Hint, turn_away
from hopsack_router.routing.fanout import Outbox
from hopsack_router.routing.keeping import keeps_events
from hopsack_router.routing.router import RouterFactory
from hopsack_router.routing.session import NodeSessionFactory
from hopsack_router.streams import Journal, node_journal
from hopsack_router.streams.lanes import OnThread

LOG = Logger()

Closer = Callable[[], Deferred[Any]]
"""Writes what somebody keeps, when nobody is there any more who could add to it."""


AUDIT = "audit.jsonl"
"""Below ``HOPSACK_DATA``."""


class NodeController(RouterController):  # type: ignore[misc]
    """A router worker whose realms speak Hopsack.

    :ivar outbox: where every link of this worker queues what it has to write.
    :ivar ready: whether the node takes traffic; ``/readyz`` tells it.
    :ivar audit: where it is noted what somebody may have to answer for.
    :ivar logins: knows whose a token is.
    :ivar closers: called one after the other before the node ends.
    :ivar limits: how much clients may do.
    :ivar random: spreads what should not happen all at once.
    """

    router_factory_class = RouterFactory

    def __init__(self, config: Any = None, reactor: Any = None, personality: Any = None) -> None:
        super().__init__(config=config, reactor=reactor, personality=personality)
        count_steadily(reactor)
        bound_nesting()
        self.settings = Settings.from_environ(os.environ)
        self.outbox = Outbox(reactor, send_all)
        self.ready = False
        self.closers: list[Closer] = []
        self._journals: dict[str, Journal] = {}
        self._keyed: dict[str, KeyedCalls] = {}
        self.random = Random()  # noqa: S311 (for delays)
        self._is_stopping = False
        self._key_watch: KeyWatch | None = None
        self._router_session_factory = NodeSessionFactory(self._router_factory)
        self._certificates: Certificates | None = None
        self.use(self.settings)

    @property
    def certificates(self) -> Certificates | None:
        """What the ports are secured with; ``None``: they are not.

        :raises CertificateError: it cannot be had.
        """
        files = Files.of(self.settings)
        if self._certificates is None and files is not None:
            self._certificates = Certificates(files, self._reactor)
        return self._certificates

    def use(self, settings: Settings) -> None:
        """Take settings, which may have come from elsewhere than the environment."""
        self.settings = settings
        self.audit = Audit(Rotated(Path(settings.data) / AUDIT), self._reactor, time.time)
        self._router_factory.audit = self.audit
        self._router_factory.grace = settings.grace
        self._router_factory.budgets = settings.budgets
        self._router_factory.explains = settings.env == "dev"
        self._router_factory.guests = settings.guests
        changes = self._router_factory.limit_changes = Changes(Path(settings.data) / FILE)
        spares = settings.env == "dev"
        self.limits = Limits(rules_of(settings.limits, changes), self._reactor.seconds, spares)
        self._router_factory.limits = self.limits
        self.outbox.stalls.patience = settings.patience
        self.logins = self._router_factory.logins = Logins.of(settings, self._reactor, self.random)

    @wamp.register(None)  # type: ignore[untyped-decorator]
    @inlineCallbacks
    def start_router_realm(self, realm_id: str, realm_config: dict[str, Any], details: Any = None) -> Any:
        catalogue = self._router_factory.catalogue = load(self.settings.schemas)
        production.check(self.settings, catalogue)
        self._open_revocations()
        self._router_factory.fences = self._fences_of(realm_config["name"])
        self._router_factory.journal = yield self._journal_of(realm_config["name"], catalogue)
        keyed = yield self._keyed_of(realm_config["name"], catalogue)
        started = yield super().start_router_realm(realm_id, realm_config, details)
        router = self.realms[realm_id].router
        router._dealer.serve_keyed(keyed)
        component = NodeComponent(router, self._reactor, time.time)
        self._router_session_factory.add(component, router, authid=AUTHID, authrole="trusted")
        self._watch_keys()
        self.logins.start()
        self.ready = True
        return started

    def _watch_keys(self) -> None:
        if self._key_watch is None:
            keys = self._router_factory.keys = PublicKeys(self.settings.keys)
            self._router_factory.revoke_keys = keys.revoke_subject
            self._key_watch = KeyWatch(keys, self._router_factory, self._reactor)
            self._key_watch.start()

    def _open_revocations(self) -> None:
        """:raises LocalError: what is kept of them cannot be read; nobody is let in then."""
        factory = self._router_factory
        if factory.revocations is None:
            path = Path(self.settings.data) / revocations.FILE
            factory.revocations = Revocations(time.time, revocations.read(path), revocations.keep_in(path))
            factory.vet = factory.revocations.refusal

    def _folder_of(self, realm: str) -> Path:
        folder = Path(self.settings.data)
        return folder if realm == REALM else folder / quote(realm, safe="")

    @inlineCallbacks
    def _keyed_of(self, realm: str, catalogue: Catalogue) -> Any:
        """What is remembered of a realm's keyed calls, opened when the realm starts for the first time."""
        keyed = self._keyed.get(realm)
        if keyed is None:
            lane = OnThread("keyed-calls", self._reactor.callFromThread)
            keyed = KeyedCalls(Sqlite(self._folder_of(realm) / CALLS, time.time), lane, self._reactor, time.time)
            longest = max((one.policy.once for one in catalogue.procedures.values()), default=ONCE)
            yield keyed.start(longest)
            self._keyed[realm] = keyed
            self.closers.append(keyed.close)
        return keyed

    def _fences_of(self, realm: str) -> Fences:
        return Fences(self._folder_of(realm) / "fences", time.time)

    @inlineCallbacks
    def _journal_of(self, realm: str, catalogue: Catalogue) -> Any:
        """A realm's journal, opened when the realm starts for the first time.

        :raises StoreError: it cannot be had; the message is one line for a person.
        """
        journal = self._journals.get(realm)
        if journal is None and keeps_events(catalogue):
            journal = node_journal(catalogue, self._folder_of(realm), UnixTime(self._reactor))
            yield journal.start()
            self._journals[realm] = journal
            self.closers.append(journal.close)
        return journal

    # ---- the end -----------------------------------------------------------------------------------------------------

    @wamp.register(None)  # type: ignore[untyped-decorator]
    @inlineCallbacks
    def shutdown(self, details: Any = None) -> Any:
        """What Crossbar's controller asks of its worker, with SIGTERM too: let everybody go first."""
        if self._is_stopping:
            return
        turn: Deferred[None] = Deferred()
        self._reactor.callFromThread(turn.callback, None)  # a signal may have come into the middle of anything
        yield turn
        yield self.stop()
        yield super().shutdown(details)

    @inlineCallbacks
    def stop(self) -> Any:
        """Let everybody go, then write what is kept (:mod:`hopsack_router.drain`); the process is about to end.

        :returns: fires with whether all of it was done as it should be.
        """
        self._is_stopping = True
        if self._key_watch is not None:
            self._key_watch.stop()
        self.logins.stop()
        hint = self._spread()
        departures = [Departure(realm.router, hint) for realm in self.realms.values()]
        drain = Drain(self.settings.drain)
        effects = drain.asked(self._reactor.seconds())
        while drain.state is not State.CLOSING:
            self._obey(effects, departures, hint)
            clients, calls = sum(one.clients for one in departures), sum(one.calls for one in departures)
            effects = drain.looked(self._reactor.seconds(), clients, calls)
            yield deferLater(self._reactor, LOOK)
        return (yield self._close())

    def _obey(self, effects: list[Effect], departures: list[Departure], hint: Hint) -> None:
        for effect in effects:
            match effect:
                case TurnAway():
                    self.ready = False
                    turn_away(self._router_session_factory, hint)
                case EndCalls():
                    for one in departures:
                        one.end_calls()
                case Part(everybody):
                    for one in departures:
                        one.part(everybody)
                case _:
                    assert_never(effect)

    def _spread(self) -> Hint:
        sessions = sum(len(realm.router._session_id_to_session) for realm in self.realms.values())
        return lambda: spread(sessions, self.random.random())

    @inlineCallbacks
    def _close(self) -> Any:
        well = True
        for transport in self.transports.values():
            if transport.port is not None:
                yield transport.stop()
        for closer in self.closers:
            try:
                yield closer()
            except Exception:
                LOG.failure("the node could not keep what it should")
                well = False
        self.audit.close()
        return well


class SoloController(NodeController):
    """A router worker without a node around it: one process, no controller, no subprocess.

    :param settings: the node's configuration.
    :param personality: our personality.
    """

    def __init__(self, settings: Settings, reactor: Any, personality: Any) -> None:
        data = Path(settings.data)
        extra = SimpleNamespace(
            node="hopsack", worker="node", cbdir=str(data), expose_controller=False, expose_shared=False
        )
        super().__init__(ComponentConfig("crossbar", extra=extra), reactor, personality)
        self.cbdir = extra.cbdir
        self._templates_dir = [str(files(package) / folder) for package, folder in personality.TEMPLATE_DIRS]
        self._templates = SandboxedEnvironment(loader=FileSystemLoader(self._templates_dir), autoescape=True)
        self.use(settings)

    def publish(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Workers tell their node what they do. There is no node to tell."""
        return succeed(None)

    def call(self, procedure: str, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"there is no node controller to call {procedure}")

    @inlineCallbacks
    def start(self, worker: dict[str, Any]) -> Any:
        """Start what a worker's configuration names, in a Crossbar node's own order.

        :param worker: an item of ``workers`` in a Crossbar node configuration.
        :returns: transport id → the port it listens on.
        """
        for number, realm in enumerate(worker["realms"], 1):
            realm_id = f"realm{number:03}"
            yield self.start_router_realm(realm_id, realm)
            for role_number, role in enumerate(realm["roles"], 1):
                yield self.start_router_realm_role(realm_id, f"role{role_number:03}", role)
        ports: dict[str, IListeningPort] = {}
        for transport in worker["transports"]:
            # Not start_router_transport: it hides why a port cannot be had.
            listener = self.personality.create_router_transport(self, transport["id"], transport)
            self.transports[transport["id"]] = listener
            yield listener.start()
            for path, service in transport.get("paths", {}).items():
                if path != "/":
                    yield self.start_web_transport_service(transport["id"], path, service)
            ports[transport["id"]] = listener.port
        return ports
