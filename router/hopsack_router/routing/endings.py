"""How a call ends without an answer of its callee's: the table of ends, their errors, and the messages for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message

from hopsack.errors import (
    BreakerOpen,
    BrokenResult,
    Canceled,
    Deadline,
    NoCallee,
    OutcomeUnknown,
    Overloaded,
    RemoteError,
    Unavailable,
    from_wamp,
    to_wamp,
)

if TYPE_CHECKING:
    from hopsack_router.routing.calls import InFlight


@dataclass(frozen=True, slots=True)
class End:
    """One way in which a call ends without an answer of its callee's.

    :ivar error: what the caller is told, of the call and of further facts; ``None``: there is no caller to tell.
    :ivar interrupts: whether the callee is told to stop, if it takes INTERRUPT.
    :ivar frees: whether the callee has nothing left to do for the call.
    :ivar fails: whether that is the callee's failure, as far as its breaker is concerned; ``None``: nobody knows.
    """

    error: Callable[[InFlight, str], RemoteError] | None
    interrupts: bool
    frees: bool
    fails: bool | None = None


def _canceled(in_flight: InFlight, _: str) -> RemoteError:
    never_ran = {"ran": "no"} if in_flight.ran == "no" else None
    return Canceled("the caller canceled the call", where=in_flight.call.procedure, data=never_ran)


def _stopped(in_flight: InFlight, _: str) -> RemoteError:
    return Canceled(
        "the node stopped before the callee answered", where=in_flight.call.procedure, data={"ran": in_flight.ran}
    )


def _late(in_flight: InFlight, facts: str) -> RemoteError:
    return Deadline(facts, where=in_flight.call.procedure, data={"ran": in_flight.ran})


def _too_large(in_flight: InFlight, facts: str) -> RemoteError:
    return RemoteError(facts, code="hopsack.too_large", where=in_flight.call.procedure)


def _broken(in_flight: InFlight, _: str) -> RemoteError:
    advice = "its service sent a payload that cannot be read"
    return BrokenResult(where=in_flight.call.procedure, advice=advice)


def lost(in_flight: InFlight, ran: str) -> RemoteError:
    """Its callee has gone."""
    if ran == "no":
        said, advice = "the callee was gone before the call could be sent", "try again"
    else:
        said = "the callee was lost before it answered: the call may have run"
        advice = "find out whether it has run before it is tried again"
    return OutcomeUnknown(said, where=in_flight.call.procedure, advice=advice, data={"ran": ran})


# fmt: off
SKIPPED             = End(_canceled,  interrupts=False, frees=False)              # CANCEL mode=skip
KILLED              = End(_canceled,  interrupts=True,  frees=False)              # killnowait, or kill and no INTERRUPT
EXPIRED             = End(_late,      interrupts=True,  frees=False, fails=True)  # its deadline
CALLER_LEFT         = End(None,       interrupts=True,  frees=False)
BOTH_LEFT           = End(None,       interrupts=False, frees=True)               # a session that called itself
NODE_STOPS          = End(_stopped,   interrupts=True,  frees=False)
CALL_TOO_LARGE      = End(_too_large, interrupts=False, frees=True)               # for the callee: it was never asked
INPUT_TOO_LARGE     = End(_too_large, interrupts=True,  frees=False)              # for the callee: a later input
RESULT_TOO_LARGE    = End(_too_large, interrupts=False, frees=True,  fails=False) # for the caller
PROGRESS_TOO_LARGE  = End(_too_large, interrupts=True,  frees=False)
UNREADABLE_RESULT   = End(_broken,    interrupts=False, frees=True,  fails=False) # one codec wrote what another cannot
UNREADABLE_PROGRESS = End(_broken,    interrupts=True,  frees=False)
NEVER_SENT          = End(None,       interrupts=False, frees=True)               # the router has refused the call
# fmt: on


def because(error: RemoteError, interrupts: bool) -> End:
    """An end with an error of its own."""
    return End(lambda _in_flight, _facts: error, interrupts=interrupts, frees=not interrupts)


# ---- what is refused ------------------------------------------------------------------------------------------------


def nobody(procedure: str, waited: bool = False) -> RemoteError:
    """There is no callee.

    :param waited: the call has waited for one.
    """
    return NoCallee(
        f"nobody serves {procedure} right now",
        where=procedure,
        advice="start the service that registers it, or try again when it is back",
        data={"retry_after": 1.0} if waited else None,
    )


def full(procedure: str, retry_after: float) -> RemoteError:
    """:param retry_after: seconds."""
    return Overloaded(
        f"every callee of {procedure} works on as many calls as it takes",
        where=procedure,
        advice="try again later, or start another instance",
        data={"retry_after": retry_after},
    )


def too_many_calls(procedure: str, most: int) -> RemoteError:
    return Overloaded(
        f"this session has {most} calls under way, as many as one may",
        where=procedure,
        advice="wait for answers before asking more",
        data={"retry_after": 1.0},
    )


def crowded(procedure: str, retry_after: float) -> RemoteError:
    return Overloaded(
        f"as many calls of {procedure} wait at the node as may",
        where=procedure,
        advice="try again later, or start another instance",
        data={"retry_after": retry_after},
    )


def opened(procedure: str, retry_after: float) -> RemoteError:
    return BreakerOpen(where=procedure, advice="try again after the time given", data={"retry_after": retry_after})


def stopping(procedure: str, retry_after: float) -> RemoteError:
    return Unavailable(
        where=procedure, advice="connect again after the time given", data={"retry_after": retry_after, "ran": "no"}
    )


# ---- messages -------------------------------------------------------------------------------------------------------


def error_of(in_flight: InFlight, error: RemoteError) -> message.Error:
    """The ERROR that tells its caller."""
    uri, args, kwargs = to_wamp(error)
    return message.Error(message.Call.MESSAGE_TYPE, in_flight.call.request, uri, args=args, kwargs=kwargs)


def passed_on(in_flight: InFlight, error: message.Error) -> message.Error:
    """A callee's ERROR, for the caller."""
    told = payload(error)
    if in_flight.tries is not None and in_flight.tries.ran != "no" and told.get("kwargs") and "code" in told["kwargs"]:
        told["kwargs"] = {**told["kwargs"], "data": {**(told["kwargs"].get("data") or {}), "ran": "maybe"}}
    return message.Error(message.Call.MESSAGE_TYPE, in_flight.call.request, error.error, **told)


def code_of(error: message.Error) -> str:
    """The code of a callee's ERROR: of our table, of a contract, or its URI."""
    return from_wamp(error.error, error.args, error.kwargs).code


def payload(msg: Any) -> dict[str, Any]:
    if msg.payload is None:
        return {"args": msg.args, "kwargs": msg.kwargs}
    return {name: getattr(msg, name) for name in ("payload", "enc_algo", "enc_key", "enc_serializer")}
