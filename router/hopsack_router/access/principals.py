"""Who logs in by Crossbar's own methods: the file that ``HOPSACK_PRINCIPALS`` names, read when the node starts.

    ticket:                        # WAMP tickets: a name and a shared secret, for clients that know nothing else
      meter-7: {role: service, ticket: 5f1e…}
    scram:                         # passwords that the node does not have (RFC 5802); autobahn.wamp.auth makes these
      ann: {role: user, kdf: argon2id-13, iterations: 4096, memory: 512, salt: …, stored-key: …, server-key: …}
    tls:                           # client certificates, by their fingerprint or the certificate itself
      gate: {role: service, certificate: gate.pem}
      pump: {role: service, sha1: '3A:…'}

A role is one of the contracts' roles, and never ``trusted``.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from hopsack.settings import ConfigError

ROLES = ("user", "service", "operator")
LEAST_TICKET = 16
"""Characters: a ticket is guessed at."""

Principals = Mapping[str, Mapping[str, Any]]


def load(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Method → name → what Crossbar wants to know of a principal.

    :raises ConfigError: the file cannot be read, or says what cannot be.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"HOPSACK_PRINCIPALS: cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"HOPSACK_PRINCIPALS: cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or not said.keys() <= _READ.keys():
        raise ConfigError(f"{path} has other parts than {', '.join(_READ)}")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method, people in said.items():
        if not isinstance(people, dict):
            raise ConfigError(f"{path}: {method} is not a map from names to principals")
        found[method] = {name: _principal(path, method, name, facts) for name, facts in people.items()}
    return found


def _principal(path: Path, method: str, name: Any, facts: Any) -> dict[str, Any]:
    where = f"{path}: {method}: {name}"
    if type(name) is not str or not 0 < len(name) <= 200:
        raise ConfigError(f"{where} is not a name of 1 to 200 characters", "put it in quotes")
    if not isinstance(facts, dict) or facts.get("role") not in ROLES:
        raise ConfigError(f"{where} needs a role", "one of " + ", ".join(ROLES))
    rest = {key: value for key, value in facts.items() if key != "role"}
    return {"role": facts["role"]} | _READ[method](where, rest, path.parent)


def _ticket(where: str, facts: dict[str, Any], _folder: Path) -> dict[str, Any]:
    ticket = facts.get("ticket")
    if facts.keys() != {"ticket"} or type(ticket) is not str or len(ticket) < LEAST_TICKET:
        raise ConfigError(f"{where} needs a ticket", f"a text of {LEAST_TICKET} characters or more, and nothing else")
    return {"ticket": ticket}


_SCRAM = {"kdf": str, "iterations": int, "memory": int, "salt": str, "stored-key": str, "server-key": str}


def _scram(where: str, facts: dict[str, Any], _folder: Path) -> dict[str, Any]:
    known = {"memory": -1} | facts
    for name, type_ in _SCRAM.items():
        if type(known.get(name)) is not type_:
            raise ConfigError(f"{where} needs {name}", "autobahn.wamp.auth.derive_scram_credential makes all of it")
    if known["kdf"] not in ("argon2id-13", "pbkdf2") or not known.keys() <= _SCRAM.keys():
        raise ConfigError(f"{where}: kdf is argon2id-13 or pbkdf2, and there is nothing beside {', '.join(_SCRAM)}")
    if not all(re.fullmatch("([0-9a-f]{2}){16,64}", known[name]) for name in ("salt", "stored-key", "server-key")):
        raise ConfigError(f"{where}: salt, stored-key and server-key are hex")
    return known


def _tls(where: str, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    match facts:
        case {"sha1": str(digest), **rest} if not rest:
            digits = digest.replace(":", "").upper()
        case {"certificate": str(name), **rest} if not rest:
            try:
                der = ssl.PEM_cert_to_DER_cert((folder / name).read_text(encoding="ascii"))
            except (OSError, ValueError) as error:
                raise ConfigError(f"{where}: cannot read the certificate {name}: {error}") from error
            digits = hashlib.sha1(der).hexdigest().upper()  # noqa: S324 (what Crossbar goes by)
        case _:
            raise ConfigError(f"{where} needs a certificate, or its sha1, and nothing else")
    if not re.fullmatch("[0-9A-F]{40}", digits):
        raise ConfigError(f"{where}: sha1 is 40 hex digits")
    return {"certificate-sha1": ":".join(digits[at : at + 2] for at in range(0, 40, 2))}


_READ: Mapping[str, Callable[[str, dict[str, Any], Path], dict[str, Any]]] = {
    "ticket": _ticket,
    "scram": _scram,
    "tls": _tls,
}


def authentication(usual: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """How sessions authenticate, in Crossbar's format, with the principals of a file beside the usual ways.

    :raises ConfigError: as :func:`load`.
    """
    methods = dict(usual)
    for method, people in (load(path) if path is not None else {}).items():
        if method == "ticket":
            methods[method] = {**methods[method], "config": {"principals": people}}
        else:
            methods[method] = {"type": "static", "principals": people}
    return methods
