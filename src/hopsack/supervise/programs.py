"""What ``hopsack up`` starts: the node, and one process per folder of services.

A child learns everything by its environment, which is made here and nowhere else. Of the parent's it keeps all but the
``HOPSACK_*`` variables; those are written anew, so that a service has its own token and no operator's, and never the
secret. ``--with-parent`` makes it end when the supervisor's end of its stdin closes, even by a crash.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hopsack.settings import ConfigError, Settings
from hopsack.supervise.machine import Kind

NODE = "node"
MAILBOX = "mailbox"

DRAIN = 0.5
"""Seconds that the node gives calls in flight, at most. The services have finished theirs and are gone when it is asked
to end; what is left are pages, and it is killed soon after (:mod:`hopsack.supervise.machine`)."""

FINISH = 1.5
"""Seconds that a service has for what is in hand, at most: it has left, with its ``stop()``, before it is killed."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How one program is started.

    :ivar env: its whole environment.
    """

    name: str
    kind: Kind
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def find_services(folder: Path) -> list[Path]:
    """The folders below ``folder`` that hold a ``service.py``, by name.

    :raises ConfigError: ``folder`` does not exist, or one of the services is called ``node``.
    """
    if not folder.is_dir():
        near = [path.name for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
        names = difflib.get_close_matches(folder.name, near, n=1)
        advice = f"did you mean {names[0]}?" if names else "--services names one, --no-services starts the node alone"
        raise ConfigError(f"there is no folder {folder} with services in it", advice)
    found = sorted(path.parent for path in folder.glob("*/service.py"))
    if any(path.name == NODE for path in found):
        raise ConfigError(f"a service cannot be called {NODE}: {folder / NODE}", "rename its folder")
    return found


def launch_node(settings: Settings, environ: Mapping[str, str], python: str = sys.executable) -> Launch:
    env = _inherited(environ) | replace(settings, drain=min(settings.drain, DRAIN)).environ()
    del env["HOPSACK_URL"]
    if settings.given_secret is not None:
        env["HOPSACK_SECRET"] = settings.given_secret
    return Launch(NODE, "node", (*_command(python), "node", "--json", "--with-parent"), env, settings.project)


def launch_mailbox(settings: Settings, environ: Mapping[str, str], python: str = sys.executable) -> Launch:
    """The mailbox that invitations go through; it needs no token, and gets none."""
    env = _inherited(environ) | settings.environ()
    return Launch(MAILBOX, "aside", (*_command(python), "mailbox", "--json", "--with-parent"), env, settings.project)


def launch_service(
    folder: Path,
    settings: Settings,
    environ: Mapping[str, str],
    token: Callable[[str], str],
    python: str = sys.executable,
) -> Launch:
    """:param token: makes the token of a service, by its name."""
    hurried = replace(settings, finish=min(settings.finish, FINISH))
    env = _inherited(environ) | hurried.environ() | {"HOPSACK_TOKEN": token(folder.name)}
    return Launch(
        folder.name, "service", (*_command(python), "run", "--with-parent", str(folder)), env, settings.project
    )


def placed(launch: Launch, node: Mapping[str, Any]) -> Launch:
    """The same launch once the node has said where it is: services go there, and a restarted node comes back there.

    Only then is port 0 known; without this a node that restarts would leave its services calling at an old port.
    """
    http, rawsocket = str(node.get("http") or ""), str(node.get("rawsocket") or "")
    known: dict[str, str] = {}
    if rawsocket and launch.kind == "service":
        known["HOPSACK_URL"] = rawsocket
    for url, variable in ((http, "HOPSACK_PORT"), (rawsocket, "HOPSACK_RAWSOCKET_PORT")):
        if port := _port_of(url):
            known[variable] = str(port)
    return replace(launch, env={**launch.env, **known})


def _port_of(url: str) -> int | None:
    return urlsplit(url).port if url and not url.startswith("unix:") else None


def _command(python: str) -> Sequence[str]:
    # -P: what lies in the folder where `up` was typed must not shadow a module of ours.
    return (python, "-P", "-m", "hopsack.cli")


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not name.startswith("HOPSACK_")}
    return kept | {"PYTHONUNBUFFERED": "1"}
