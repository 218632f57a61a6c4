"""What a node in production does not start with (``HOPSACK_ENV=prod``), each with what to set. All are told at once.

    settings, catalogue, what the files are -> problems -> none: it starts
                                                           some: one refusal with all of them, exit code 3

:func:`problems` decides and reads nothing; :func:`look` reads what it needs.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hopsack.settings import DEVELOPMENT, ConfigError, Settings

if TYPE_CHECKING:
    from hopsack.contracts import Catalogue
    from hopsack.contracts.permission import Permission

__all__ = ["Problem", "Surroundings", "Unfit", "check", "look", "problems", "warnings"]

MAKE_ONE = "set HOPSACK_SECRET_FILE to a file with the output of `openssl rand -hex 32`"
FEWEST_CHARACTERS = 8
"""Different ones in a secret. Thirty-two random bytes in hex have fewer less than once in 10^13."""

WORDS = re.compile(r"secret|change.?me|password|example|hopsack|insecure|012345|abcdef", re.IGNORECASE)
"""What people write into places that want something random; 32 random bytes hold one of them once in 10^8."""

MOST_NAMED = 5

MOUNTED = Path("/run/secrets")
"""Where containers get their secrets: nobody else is there, and the modes are not theirs to choose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason not to start.

    :ivar cure: what to set.
    """

    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.message}: {self.cure}"


class Unfit(ConfigError):
    """The node is not fit for production.

    :ivar reasons: why.
    """

    def __init__(self, reasons: list[Problem]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(["HOPSACK_ENV=prod: this node does not start like this", *map(str, reasons)]))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the settings lead to.

    :ivar secret: the key that signs tokens; ``None``: there is none. :ivar secret_fault: why it cannot be read.
    :ivar modes: permission bits of the data folder and of files with secrets in them, where these are there.
    :ivar given: the same of files that say a variable's value, and whether they are this user's own.
    """

    secret: str | None = None
    secret_fault: str | None = None
    modes: Mapping[Path, int] = field(default_factory=dict)
    given: Mapping[Path, tuple[int, bool]] = field(default_factory=dict)


def look(settings: Settings) -> Surroundings:
    """Read what :func:`problems` wants to know."""
    secret, fault = None, None
    try:
        secret = settings.secret()
    except ConfigError as error:
        fault = error.message
    places = (settings.data, settings.secret_path, settings.tls_key, settings.principals, settings.key)
    modes = {place: stat.S_IMODE(place.stat().st_mode) for place in places if place is not None and place.exists()}
    given = {
        place: (stat.S_IMODE(facts.st_mode), facts.st_uid == os.geteuid())
        for place in (settings.secret_file, settings.token_file)
        if place is not None and (facts := place.stat())
    }
    return Surroundings(secret, fault, modes, given)


def check(settings: Settings, catalogue: Catalogue) -> list[Problem]:
    """Let a node start, or not. In development there is nothing to check.

    :returns: what it starts with nevertheless, and should not have to.
    :raises Unfit: with all that has to be set.
    """
    if settings.env != "prod":
        return []
    surroundings = look(settings)
    found = problems(settings, catalogue, surroundings)
    if found:
        raise Unfit(found)
    return warnings(surroundings)


def warnings(surroundings: Surroundings) -> list[Problem]:
    """What others on this machine may read. It is no reason not to start: containers are given their secrets so.

    A file of somebody else's that our group may read is meant to be read so.
    """
    found = []
    for place, (mode, is_ours) in surroundings.given.items():
        bits = mode & (stat.S_IRWXG | stat.S_IRWXO if is_ours else stat.S_IRWXO)
        if bits and not place.is_relative_to(MOUNTED):
            cure = f"chmod {'600' if is_ours else 'o='} {place}"
            found.append(Problem(f"{place} holds a secret and is open to others on this machine (mode {mode:o})", cure))
    return found


def problems(settings: Settings, catalogue: Catalogue, surroundings: Surroundings) -> list[Problem]:
    """Why this node is not fit for production."""
    return [
        *_secret(surroundings),
        *_guests(settings, catalogue),
        *_pages(settings),
        *_transport(settings),
        *_files(settings, surroundings.modes),
    ]


def _secret(surroundings: Surroundings) -> Iterator[Problem]:
    secret = surroundings.secret
    if secret is None:
        yield Problem(surroundings.secret_fault or "there is no secret", MAKE_ONE)
    elif secret.startswith(DEVELOPMENT):
        yield Problem("the secret was made for development", MAKE_ONE)
    elif len(set(secret)) < FEWEST_CHARACTERS or WORDS.search(secret):
        yield Problem("the secret can be guessed", MAKE_ONE)


def _guests(settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    if settings.guests != "all":
        return
    may = [f"publish {uri}" for uri, one in catalogue.topics.items() if _lets_guests(one.publish)]
    for uri, one in catalogue.procedures.items():
        may += [f"register {uri}"] if _lets_guests(one.register) else []
        may += [f"call {uri}"] if _lets_guests(one.call) and not one.idempotent else []
    if may:
        named = ", ".join(may[:MOST_NAMED]) + (f" and {len(may) - MOST_NAMED} more" if len(may) > MOST_NAMED else "")
        cure = "set HOPSACK_GUESTS=read or none, or take guest out of these contracts"
        yield Problem(f"HOPSACK_GUESTS=all lets anybody change things ({named})", cure)


def _lets_guests(permission: Permission) -> bool:
    return any(entry == "guest" or entry.startswith("guest:") for entry in permission.entries)


def _pages(settings: Settings) -> Iterator[Problem]:
    for word in (one.strip() for one in settings.origins.split(",")):
        host = word.partition("://")[2].partition(":")[0]
        if word in ("*", "null") or host == "*":
            yield Problem(f"HOPSACK_ORIGINS: {word} lets pages of every site connect", "name them: https://app.example")


def _transport(settings: Settings) -> Iterator[Problem]:
    if settings.tls_cert is None and not settings.proxy:
        yield Problem(
            "tokens would cross the network in clear",
            "set HOPSACK_TLS_CERT and HOPSACK_TLS_KEY; or HOPSACK_PROXY to the addresses of the proxy that speaks TLS",
        )
    for word in (one.strip() for one in settings.proxy.split(",") if one.strip()):
        if ipaddress.ip_network(word, strict=False).prefixlen == 0:
            yield Problem(f"HOPSACK_PROXY: {word} believes everybody", "name the proxy's own address or network")


def _files(settings: Settings, modes: Mapping[Path, int]) -> Iterator[Problem]:
    for place, mode in modes.items():
        if mode & stat.S_IRWXO:
            wanted = "700" if place == settings.data else "600"
            yield Problem(f"{place} is open to every user of this machine (mode {mode:o})", f"chmod {wanted} {place}")
