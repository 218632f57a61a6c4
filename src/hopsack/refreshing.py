"""A newer token for the connection that stands, before the old one expires.

    joined, and the token expires -> at about four fifths of its time: ask for a newer one, hand it to the node
    the node has taken it         -> who we are by it; the same again, for the new one
    it fails                      -> told in the log, and tried again with growing pauses, until the link is lost

Times are those that the node says are left; this machine's clock may be wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hopsack import backoff
from hopsack import session as on
from hopsack.errors import HopsackError
from hopsack.login import Login, early, later

__all__ = ["REFRESH", "WHOAMI", "Refreshing"]

log = logging.getLogger("hopsack")

REFRESH, WHOAMI = "hopsack.session.refresh", "hopsack.session.whoami"
TIMEOUT = 10.0
"""Seconds that the function and the node may take."""


class Refreshing:
    """
    :ivar identity: who the connection is now; ``None`` while there is none.
    :param call: calls a procedure of the node's. :param chance: a random number from 0 to 1, for the jitter.
    """

    def __init__(self, login: Login, call: Callable[[str, Any], Awaitable[Any]], chance: Callable[[], float]) -> None:
        self.identity: on.Identity | None = None
        self._login, self._call, self._chance = login, call, chance
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def joined(self, identity: on.Identity) -> None:
        """There is a link."""
        self.lost()
        self.identity = identity
        self._login.joined()
        if self._login.is_asked and identity.expires_in is not None:
            self._task = self._loop.create_task(self._keep(identity), name="hopsack token")

    def lost(self) -> None:
        self.identity = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _keep(self, identity: on.Identity) -> None:
        left, expires = identity.expires_in, identity.expires
        ahead = 0.0 if left is None or expires is None else self._loop.time() + left - expires
        while left is not None:
            await asyncio.sleep(early(left, self._chance()))
            expires = await self._refreshed()
            left = None if expires is None else max(0.0, expires + ahead - self._loop.time())

    async def _refreshed(self) -> float | None:
        """Hand a newer token over, however often it takes.

        :returns: when that expires, by the node's clock; ``None``: never.
        """
        failures = 0
        while True:
            try:
                async with asyncio.timeout(TIMEOUT):
                    token = await self._login.newer()
                told = await self._call(REFRESH, {"token": token})
                self._login.renewed(token)
                await self._look(told["expires"])
            except (HopsackError, TimeoutError) as error:
                log.warning("no newer token yet: %s", str(error) or "nobody gave one in time")
                hint = backoff.hint_of(getattr(error, "data", {}))
                await asyncio.sleep(later(failures, self._chance(), hint))
                failures += 1
                continue
            expires: float | None = told["expires"]
            return expires

    async def _look(self, expires: float | None) -> None:
        """Who we are now. What is not known stays as it was until the node can be asked again."""
        known = self.identity
        if known is None:
            return
        facts: dict[str, Any] = {"expires": expires, "expires_in": None}
        try:
            who = await self._call(WHOAMI, None)
            facts |= {"role": who["role"], "groups": tuple(who["groups"]), "tenant": who["tenant"]}
        except HopsackError as error:
            log.info("who we are by the newer token is not known: %s", error)
        self.identity = msgspec.structs.replace(known, **facts)
