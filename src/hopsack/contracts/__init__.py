"""Contracts: what ``schemas/`` declares for each topic and procedure, and everything that follows from it.

    catalogue = load(Path("schemas"))
    catalogue.topic("host.metrics").check({"host": 1})

See ``docs/reference/contracts.md`` for the language. The names are loaded at first use, so that a service, which needs
only :mod:`hopsack.contracts.refs`, does not pay for the YAML reader and the validator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hopsack.contracts.assembly import Source as Source
    from hopsack.contracts.assembly import build as build
    from hopsack.contracts.assembly import load as load
    from hopsack.contracts.catalogue import PERMISSIVE as PERMISSIVE
    from hopsack.contracts.catalogue import Catalogue as Catalogue
    from hopsack.contracts.catalogue import ErrorContract as ErrorContract
    from hopsack.contracts.catalogue import ProcedureContract as ProcedureContract
    from hopsack.contracts.catalogue import Stream as Stream
    from hopsack.contracts.catalogue import TopicContract as TopicContract
    from hopsack.contracts.payload import payload_of as payload_of
    from hopsack.contracts.problems import ContractsInvalid as ContractsInvalid
    from hopsack.contracts.problems import Problem as Problem
    from hopsack.contracts.refs import Procedure as Procedure
    from hopsack.contracts.refs import Topic as Topic
    from hopsack.contracts.verdict import Violation as Violation

_HOMES = {
    "PERMISSIVE": "catalogue",
    "Catalogue": "catalogue",
    "ContractsInvalid": "problems",
    "ErrorContract": "catalogue",
    "Problem": "problems",
    "Procedure": "refs",
    "ProcedureContract": "catalogue",
    "Source": "assembly",
    "Stream": "catalogue",
    "Topic": "refs",
    "TopicContract": "catalogue",
    "Violation": "verdict",
    "build": "assembly",
    "load": "assembly",
    "payload_of": "payload",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
