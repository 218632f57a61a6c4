"""``hopsack.limits.*``: what clients may do is listed and changed while the node runs, and kept over restarts.

    list                            every limit, its value, where that comes from, and how often more was wanted
    set {name, role?, rate, burst}  from now on, for those who are there too, who begin with full buckets
    reset {name?}                   back to what the node was started with

What is changed stands in ``$HOPSACK_DATA/limits.json``, which is replaced as a whole. One that cannot be read is said
in the log, and the node starts with what it is configured with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autobahn.wamp.types import CallDetails
from twisted.logger import Logger

from hopsack.errors import RemoteError, Unavailable
from hopsack_router.access.limits import Limit, Rules, check, facts, read, with_numbers, written
from hopsack_router.reading_back import refused
from hopsack_router.routing import limiting

if TYPE_CHECKING:
    from hopsack_router.access.meters import Limits
    from hopsack_router.routing.router import Router

LOG = Logger()

FILE = "limits.json"
"""Below ``HOPSACK_DATA``."""


class Changes:
    """The file of what was changed.

    :param path: it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Limit, ...]:
        try:
            rows = json.loads(self._path.read_text())
            return tuple(with_numbers(row["name"], row["role"], row["rate"], row["burst"], "live") for row in rows)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, RemoteError) as error:
            LOG.error("{path} is not read, and its limits do not hold: {error}", path=self._path, error=error)
            return ()

    def save(self, limits: tuple[Limit, ...]) -> None:
        """:raises OSError: it cannot be written."""
        rows = [{"name": one.name, "role": one.role, "rate": one.rate, "burst": one.burst} for one in limits]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{FILE}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(rows, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)


def rules_of(configured: str, changes: Changes) -> Rules:
    """:raises ConfigError: ``HOPSACK_LIMITS`` cannot be read."""
    return Rules(read(configured), changes.load())


class LimitDesk:
    """Serves operators.

    :param router: the realm's router. :param changes: where changes are kept; ``None``: nowhere.
    """

    def __init__(self, router: Router, changes: Changes | None = None) -> None:
        self._router = router
        self._changes = changes

    @property
    def _limits(self) -> Limits:
        limits: Limits | None = self._router._factory.limits
        if limits is None:
            raise refused(Unavailable("this node has no limits"))
        return limits

    def listed(self, *_: Any) -> list[dict[str, Any]]:
        limits = self._limits
        return [facts(one, limits.counted(one)) for one in limits.rules.rows()]

    def set(self, request: dict[str, Any], details: CallDetails) -> dict[str, Any]:
        limits = self._limits
        name, role, rate = request["name"], request.get("role"), request.get("rate")
        try:
            wanted = with_numbers(name, role, rate, request.get("burst"), "live")
        except RemoteError as error:
            raise refused(error) from error
        before = limits.rules.of(name, role)
        changed = limits.rules.set(wanted)
        self._changed(details, name=name, role=role, before=written(before), now=written(changed))
        return facts(changed, limits.counted(changed))

    def reset(self, request: dict[str, Any] | None = None, details: CallDetails | None = None) -> list[dict[str, Any]]:
        limits, name = self._limits, (request or {}).get("name")
        try:
            if name is not None:
                check(name, None)
        except RemoteError as error:
            raise refused(error) from error
        back = limits.rules.reset(name)
        if back:
            self._changed(details, name=sorted({one.name for one in back}), now="as configured")
        return [facts(one, limits.counted(one)) for one in back]

    def _changed(self, details: CallDetails | None, **what: Any) -> None:
        limits = self._limits
        limits.renew()
        limiting.again(self._router, limits)
        by = None if details is None else details.caller_authid
        self._router._factory.audit.note("limits_changed", subject=by, **what)
        LOG.info("limits changed by {by}: {what}", by=by, what=what)
        if self._changes is None:
            return
        try:
            self._changes.save(limits.rules.live)
        except OSError as error:
            LOG.error("changed limits are not kept over a restart: {error}", error=error)
