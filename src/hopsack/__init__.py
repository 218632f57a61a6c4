"""Hopsack: a realtime pub/sub microservice fabric. What a service author and a script need.

Names are loaded at first use: a verb of the command line must not pay for the connection, nor a script for Twisted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hopsack.caching import cached as cached
    from hopsack.connection import Connection as Connection
    from hopsack.connection import connect as connect
    from hopsack.contracts.refs import Procedure as Procedure
    from hopsack.contracts.refs import Progressive as Progressive
    from hopsack.contracts.refs import Topic as Topic
    from hopsack.debouncing import debounced as debounced
    from hopsack.due import no_deadline as no_deadline
    from hopsack.due import remaining as remaining
    from hopsack.errors import BreakerOpen as BreakerOpen
    from hopsack.errors import Canceled as Canceled
    from hopsack.errors import Deadline as Deadline
    from hopsack.errors import DeclaredError as DeclaredError
    from hopsack.errors import Denied as Denied
    from hopsack.errors import Disconnected as Disconnected
    from hopsack.errors import HopsackError as HopsackError
    from hopsack.errors import Invalid as Invalid
    from hopsack.errors import LocalError as LocalError
    from hopsack.errors import NoCallee as NoCallee
    from hopsack.errors import NotHeld as NotHeld
    from hopsack.errors import OutcomeUnknown as OutcomeUnknown
    from hopsack.errors import Overloaded as Overloaded
    from hopsack.errors import RemoteError as RemoteError
    from hopsack.errors import Unavailable as Unavailable
    from hopsack.history import History as History
    from hopsack.iterating import Iteration as Iteration
    from hopsack.latest import LatestMap as LatestMap
    from hopsack.options import Options as Options
    from hopsack.pools import to_pool as to_pool
    from hopsack.progress import Inputs as Inputs
    from hopsack.progress import Progress as Progress
    from hopsack.resuming import Recovery as Recovery
    from hopsack.service import Service as Service
    from hopsack.service import every as every
    from hopsack.service import procedure as procedure
    from hopsack.service import subscribe as subscribe
    from hopsack.session import Caller as Caller
    from hopsack.session import Event as Event
    from hopsack.session import Published as Published
    from hopsack.sharing import single_flight as single_flight
    from hopsack.standing import Registration as Registration
    from hopsack.subscription import Subscription as Subscription

_HOMES = {
    "BreakerOpen": "errors",
    "Caller": "session",
    "Canceled": "errors",
    "Connection": "connection",
    "Deadline": "errors",
    "DeclaredError": "errors",
    "Denied": "errors",
    "Disconnected": "errors",
    "Event": "session",
    "History": "history",
    "HopsackError": "errors",
    "Inputs": "progress",
    "Invalid": "errors",
    "Iteration": "iterating",
    "LatestMap": "latest",
    "LocalError": "errors",
    "NoCallee": "errors",
    "NotHeld": "errors",
    "Options": "options",
    "OutcomeUnknown": "errors",
    "Overloaded": "errors",
    "Procedure": "contracts.refs",
    "Progress": "progress",
    "Progressive": "contracts.refs",
    "Published": "session",
    "Recovery": "resuming",
    "Registration": "standing",
    "RemoteError": "errors",
    "Service": "service",
    "Subscription": "subscription",
    "Topic": "contracts.refs",
    "Unavailable": "errors",
    "cached": "caching",
    "connect": "connection",
    "debounced": "debouncing",
    "every": "service",
    "no_deadline": "due",
    "procedure": "service",
    "remaining": "due",
    "single_flight": "sharing",
    "subscribe": "service",
    "to_pool": "pools",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
