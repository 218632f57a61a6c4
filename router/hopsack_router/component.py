"""The node's own session in the realm: it serves ``hopsack.*`` and ``presence.*``.

An Autobahn session that Crossbar attaches to the router by function call; its role is ``trusted``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.role import RoleCalleeFeatures
from autobahn.wamp.types import ComponentConfig, RegisterOptions
from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IReactorTime

from hopsack.contracts import TopicContract
from hopsack_router import loads
from hopsack_router.explaining import Explaining
from hopsack_router.keys import KeyDesk
from hopsack_router.limit_desk import LimitDesk
from hopsack_router.locking import Locking
from hopsack_router.reading_back import ReadingBack
from hopsack_router.routing.asked import Publish
from hopsack_router.routing.lagging import Lagging
from hopsack_router.session_life import SessionLife
from hopsack_router.streams import Extent

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

AUTHID = "node"

OWN = ("hopsack.", "presence.", "wamp.")
"""What programs may not declare, serve or publish."""

_VITALS = "hopsack.service."
_PING = re.compile(r"hopsack\.service\.([^.]+)\.([^.]+)\.ping")
"""What every instance of a service serves (:mod:`hopsack.vitals`)."""


class NodeComponent(ApplicationSession):  # type: ignore[misc]
    """Serves what the node knows about itself.

    :param router: the realm's router.
    :param clock: schedules what presence settles.
    :param wall: tells Unix time; ``None``: the clock does.
    """

    _session_roles: dict[str, Any]

    def __init__(self, router: Router, clock: IReactorTime, wall: Callable[[], float] | None = None) -> None:
        super().__init__(ComponentConfig(router.realm))
        self._wall = wall or clock.seconds
        self._session_roles = {"callee": RoleCalleeFeatures(call_canceling=True)}
        self._router = router
        self._clock = clock

    def onJoin(self, details: Any) -> Any:
        self._router.presence.open(self.tell, self._clock.callLater, self._router.is_read)
        if self._router.attending is not None:
            self._router.attending.open(self._tell_member, self._clock, self._wall)
        served: dict[str, Callable[..., Any]] = {
            "hopsack.topics.list": self.topics,
            "hopsack.procedures.list": self.procedures,
            "hopsack.sessions.list": self.sessions,
            "hopsack.services.list": self.services,
            "presence.list": lambda *_: self._router.presence.list(),
            "hopsack.access.why": Explaining(self._router).why,
        }
        registered = [self.register(function, uri) for uri, function in served.items()]
        past, options = ReadingBack(self._router), RegisterOptions(details_arg="details")
        registered.append(self.register(past.read, "hopsack.stream.read", options))
        locking = self._router.locking = Locking(self._router, self._router.new_locks(self._wall), self.tell)
        registered.append(self.register(locking.acquire, "hopsack.locks.acquire", options))
        registered.append(self.register(locking.release, "hopsack.locks.release", options))
        registered.append(self.register(locking.listed, "hopsack.locks.list"))
        keys = KeyDesk(self._router)
        registered.append(self.register(keys.listed, "hopsack.keys.list"))
        registered.append(self.register(keys.add, "hopsack.keys.add", options))
        registered.append(self.register(keys.revoke, "hopsack.keys.revoke", options))
        desk = LimitDesk(self._router, self._router._factory.limit_changes)
        registered.append(self.register(desk.listed, "hopsack.limits.list"))
        registered.append(self.register(desk.set, "hopsack.limits.set", options))
        registered.append(self.register(desk.reset, "hopsack.limits.reset", options))
        life = self._router.life = SessionLife(self._router, self._clock, self._wall)
        registered += [self.register(function, uri, options) for uri, function in life.served.items()]
        registered.append(self.register(past.behind, "hopsack.stream.behind", options))
        return DeferredList(registered, fireOnOneErrback=True)

    def onUserError(self, fail: Any, msg: str) -> None:
        """A procedure of the node's has failed. An error that is its answer is no news."""
        if not isinstance(fail.value, ApplicationError):
            super().onUserError(fail, msg)

    def tell(self, topic: str, payload: Any) -> None:
        """Publish an event of the node's own."""
        self.publish(topic, payload)

    def _tell_member(self, topic: str, payload: Any, is_gone: bool) -> None:
        """The same for a newest value, which may be gone."""
        self._router.process(self, Publish(1, topic, [payload], delete=is_gone))

    # ---- hopsack.* ------------------------------------------------------------------------------------------------

    def topics(self, *_: Any) -> list[dict[str, Any]]:
        catalogue, map_ = self._router.admission.catalogue, self._router._broker._subscription_map
        readers = _sessions_by_contract(map_, catalogue.topic, catalogue.topics_matching)
        kept = self._kept()
        listed = []
        for uri, contract in sorted(catalogue.topics.items()):
            facts: dict[str, Any] = {
                "uri": uri,
                "summary": contract.summary,
                "subscribers": len(readers[uri]),
                "publish": sorted(contract.publish.entries),
                "subscribe": sorted(contract.subscribe.entries),
            }
            if contract.stream is not None or contract.keeps_latest:
                facts["kept"] = _kept_facts(contract, kept[uri])
            listed.append(facts)
        return listed + [
            {"uri": uri, "summary": "", "subscribers": len(sessions)}
            for uri, sessions in self._undeclared(map_, catalogue.topic, catalogue.topics_matching)
        ]

    def _kept(self) -> dict[str, list[Extent]]:
        """Declared URI → how much there is of each of its topics."""
        found: dict[str, list[Extent]] = defaultdict(list)
        keeping = self._router.keeping
        if keeping is None:
            return found
        for topic in keeping.topics():
            contract = keeping.catalogue.topic(topic)
            if contract is not None:
                found[contract.uri].append(keeping.journal.extent(topic))
        return found

    def procedures(self, *_: Any) -> list[dict[str, Any]]:
        catalogue, map_ = self._router.admission.catalogue, self._router._dealer._registration_map
        callees = _sessions_by_contract(map_, catalogue.procedure, catalogue.procedures_matching)
        served = loads.serving(map_._observation_id_to_observation.values(), catalogue)
        listed = []
        for uri, contract in sorted(catalogue.procedures.items()):
            facts: dict[str, Any] = {
                "uri": uri,
                "summary": contract.summary,
                "callees": len(callees[uri]),
                "register": sorted(contract.register.entries),
                "call": sorted(contract.call.entries),
                "errors": sorted(contract.errors),
            }
            if contract.timeout is not None:
                facts["timeout"] = contract.timeout
            listed.append(facts | loads.facts_of(contract, served[uri], self._router._dealer))
        return listed + [
            {"uri": uri, "summary": "", "callees": len(sessions)}
            for uri, sessions in self._undeclared(map_, catalogue.procedure, catalogue.procedures_matching)
        ]

    def _undeclared(
        self, observations: Any, exact: Callable[[str], Any], matching: Callable[[str, Any], list[Any]]
    ) -> list[tuple[str, set[Any]]]:
        """What programs read or serve below an open prefix, without a contract. A pattern stands as it was given."""
        is_open = self._router.admission.catalogue.is_open
        found: dict[str, set[Any]] = defaultdict(set)
        for observation in observations._observation_id_to_observation.values():
            is_own = observation.uri.startswith(OWN)
            if is_open(observation.uri) and not is_own and not _declared(observation, exact, matching):
                found[observation.uri].update(observation.observers)
        return sorted((uri, sessions) for uri, sessions in found.items() if sessions)

    def sessions(self, *_: Any) -> list[dict[str, Any]]:
        ahead = self._wall() - self._clock.seconds()
        return [_session_facts(one, ahead) for one in self._clients()]

    def services(self, *_: Any) -> list[dict[str, Any]]:
        instances: dict[str, list[Any]] = defaultdict(list)
        for session in self._clients():
            if session._authrole == "service":
                instances[session._authid].append(session)
        return [
            {
                "name": name,
                "instances": len(sessions),
                "procedures": sorted({uri for one in sessions for uri in self._procedures_of(one)}),
                "sessions": sorted(one._session_id for one in sessions),
                "answering": [facts for one in sessions for facts in self._answering(one)],
            }
            for name, sessions in sorted(instances.items())
        ]

    def _answering(self, session: Any) -> Iterator[dict[str, Any]]:
        """The service and the instance that this session is, where it serves what every service does."""
        for registration in self._router._dealer.registrations_of(session):
            found = _PING.fullmatch(registration.uri)
            if found is not None:
                yield {"service": found[1], "instance": found[2], "session": session._session_id}

    def _procedures_of(self, session: Any) -> Iterator[str]:
        """What it serves, as declared: a service registers ``a..c``, and a reader knows ``a.{b}.c``."""
        catalogue = self._router.admission.catalogue
        for registration in self._router._dealer.registrations_of(session):
            if registration.uri.startswith(_VITALS):
                continue
            declared = _declared(registration, catalogue.procedure, catalogue.procedures_matching)
            yield from (contract.uri for contract in declared)
            if not declared:  # below an open prefix
                yield registration.uri

    def _clients(self) -> list[Any]:
        everybody = self._router._session_id_to_session.values()
        return [session for session in everybody if getattr(session, "member", None) is not None]


def _session_facts(session: Any, ahead: float) -> dict[str, Any]:
    """:param ahead: by how much Unix time is ahead of the clock that the node's timers have."""
    facts: dict[str, Any] = session.member.facts() | {"peer": session.peer, "agent": session.agent}
    lagging: Lagging | None = getattr(session._transport, "lagging", None)
    if lagging is None or (lagging.backlog.since is None and not lagging.followers):
        return facts
    return facts | {"lag": _lag_facts(session._transport.unsent, lagging, ahead)}


def _lag_facts(unsent: int, lagging: Lagging, ahead: float) -> dict[str, Any]:
    lag = lagging.backlog.lag()
    return {
        "unsent": unsent,
        "policy": lagging.policy.name.lower(),
        "since": None if lag.since is None else lag.since + ahead,
        "stalled_since": None if lag.stalled_since is None else lag.stalled_since + ahead,
        "dropped": sum(lag.dropped.values()),
        "following": [{"topic": one.topic, "behind": one.events} for one in lagging.behind()],
    }


def _kept_facts(contract: TopicContract, extents: list[Extent]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "topics": len(extents),
        "events": sum(one.events for one in extents),
        "bytes": sum(one.size for one in extents),
        "keys": sum(one.keys for one in extents),
    }
    if contract.stream is not None and len(extents) == 1:
        first, head = extents[0].first, extents[0].head
        facts |= {"head": str(head)} | ({"first": str(first)} if first is not None else {})
    return facts


def _sessions_by_contract(
    observations: Any, exact: Callable[[str], Any], matching: Callable[[str, Any], list[Any]]
) -> dict[str, set[Any]]:
    """Declared URI → the sessions that observe it, through an exact URI or a pattern that covers it."""
    found: dict[str, set[Any]] = defaultdict(set)
    for observation in observations._observation_id_to_observation.values():
        for contract in _declared(observation, exact, matching):
            found[contract.uri].update(observation.observers)
    return found


def _declared(observation: Any, exact: Callable[[str], Any], matching: Callable[[str, Any], list[Any]]) -> list[Any]:
    """The contracts that an exact URI or a pattern covers."""
    if observation.match != "exact":
        return matching(observation.uri, observation.match)
    contract = exact(observation.uri)
    return [] if contract is None else [contract]
