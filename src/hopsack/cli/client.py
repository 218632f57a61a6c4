"""How the verbs that talk to a node find it, and who they are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hopsack.cli.exits import Unreachable
from hopsack.cli.main import own_name, settings_from
from hopsack.errors import Disconnected
from hopsack.settings import Settings

if TYPE_CHECKING:
    from hopsack.connection import Connection

T = TypeVar("T")


def remote_settings(**given: Any) -> Settings:
    """The settings of a verb that connects.

    Where no URL is given, it is the node that ``up`` runs on this data folder: on whatever port that is.
    """
    from hopsack.supervise import state

    settings = settings_from(**given)
    if settings.url_is_given:
        return settings
    run = state.running(settings.data)
    return replace(settings, url=run.rawsocket) if run is not None and run.rawsocket else settings


@asynccontextmanager
async def joined(settings: Settings) -> AsyncIterator[Connection]:
    """A session, at the first attempt or not at all: a person who waits at a prompt wants to be told.

    :raises Unreachable: nobody answers. :raises RemoteError: the node refuses the token.
    """
    from hopsack.connection import connect
    from hopsack.link import trusting

    tls = trusting(settings.tls_ca) if settings.tls_ca is not None else None
    session = connect(settings.url, token=settings.operator_token(), key=settings.key, tls=tls)
    try:
        connection = await session.__aenter__()
    except Disconnected as error:
        advice = f"`{own_name()} up` starts a node here; HOPSACK_URL or --url names another"
        raise Unreachable(str(error), advice if settings.is_local else None) from error
    try:
        yield connection
    finally:
        await session.__aexit__(None, None, None)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one verb's work, without the library's log lines: what matters to the person comes as an error."""
    import logging

    logging.getLogger("hopsack").addHandler(logging.NullHandler())
    return asyncio.run(work)
