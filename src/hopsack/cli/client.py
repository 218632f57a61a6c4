"""How the verbs that talk to a node find it, and who they are there."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hopsack.cli.exits import Unreachable
from hopsack.cli.main import own_name, settings_from
from hopsack.errors import Denied, Disconnected, LoginRequired
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
    token = settings.operator_token()
    session = connect(settings.url, token=token, key=settings.key, tls=tls)
    try:
        connection = await session.__aenter__()
    except Disconnected as error:
        raise Unreachable(str(error), _where_to_look(settings, str(error))) from error
    except LoginRequired as error:
        error.advice = how_to_log_in(settings, token) or error.advice
        raise
    try:
        yield connection
    except Denied as error:
        if error.advice is None or (token is None and settings.key is None):
            error.advice = "; ".join(filter(None, (error.advice, as_operator())))
        raise
    finally:
        await session.__aexit__(None, None, None)


_NOBODY = tuple(os.strerror(number).lower() for number in (errno.ECONNREFUSED, errno.ENOENT))
"""How reasons end where nobody listens: a node that is there, and does not like us, need not be started."""


def _where_to_look(settings: Settings, reason: str) -> str | None:
    if settings.is_local and reason.endswith(_NOBODY):
        return f"`{own_name()} up` starts a node here; HOPSACK_URL or --url names another"
    return None


def as_operator() -> str:
    """What to type to be an operator, where a node makes up no tokens."""
    made = f"$({own_name()} token NAME --role operator --for 1h)"
    return f"where the node's secret is, `export HOPSACK_TOKEN={made}` makes you an operator"


def how_to_log_in(settings: Settings, token: str | None) -> str | None:
    """What to type after a node has refused to let us in.

    :param token: what was shown to it.
    """
    if token is None:
        return as_operator() if settings.key is None else _have_it_accepted(settings.key)
    if settings.token is not None:
        return f"HOPSACK_TOKEN or --token is too old, or another node's; {as_operator()}"
    if settings.given_secret is not None:
        return "HOPSACK_SECRET is not the secret of this node"
    return f"the secret in {settings.data} is not the secret of this node: HOPSACK_DATA or --data is to name its folder"


def _have_it_accepted(key: Path) -> str:
    from hopsack.keys import PrivateKey, public_text

    public = public_text(PrivateKey.read(key).public)
    return f"`hopsack keys add NAME {public}`, typed by an operator, has it accept the key in {key}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one verb's work, without the library's log lines: what matters to the person comes as an error."""
    import logging

    logging.getLogger("hopsack").addHandler(logging.NullHandler())
    return asyncio.run(work)
