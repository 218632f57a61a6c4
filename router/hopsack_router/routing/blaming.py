"""What a caller gave WAMP's meta procedures that is no good: it is answered so, and the log does not fill.

    what the procedure raises              the caller gets             the log gets
    ApplicationError                       that                        nothing
    what comes of arguments of wrong       hopsack.invalid             one line, with how often, once in 10 s
    type, number or name
    anything else                          hopsack.internal            a traceback

Crossbar's procedures take arguments as they come, and anybody may leave a testament. Who calls them two thousand times
with three numbers would else write two thousand tracebacks.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from autobahn.wamp.exception import ApplicationError, InvalidUriError, ProtocolError
from twisted.logger import Logger

from hopsack.errors import Invalid, to_wamp
from hopsack_router.runs import Runs

LOG = Logger()

_OF_ARGUMENTS = (TypeError, ValueError, AssertionError, LookupError, AttributeError, OverflowError)
_OF_URIS = (InvalidUriError, ProtocolError)


def blame_callers(component: Any) -> None:
    """Let a component of the node that serves meta procedures answer so.

    :param component: an Autobahn session; Crossbar's are not ours to derive from where they are made.
    """
    runs = Runs(monotonic)
    log_it, write_it = component.onUserError, component._message_from_exception

    def on_user_error(fail: Any, said: str) -> None:
        if isinstance(fail.value, ApplicationError):
            return
        if not _is_callers(fail.value):
            log_it(fail, said)
            return
        count = runs.again(type(fail.value).__name__)
        if count:
            what = f"{type(fail.value).__name__}: {fail.value}"[:200]
            line = "arguments that a meta procedure does not take: {what} ({count}, this is the last one)"
            LOG.warn(line, what=what, count=count)

    def message_of(request_type: int, request: int, error: Any, *rest: Any, **more: Any) -> Any:
        if _is_callers(error):
            uri, args, kwargs = to_wamp(Invalid("this procedure does not take these arguments", path=""))
            error = ApplicationError(uri, *args, **kwargs)
        return write_it(request_type, request, error, *rest, **more)

    component.onUserError, component._message_from_exception = on_user_error, message_of


def _is_callers(error: Any) -> bool:
    return isinstance(error, _OF_ARGUMENTS + _OF_URIS) and not isinstance(error, ApplicationError)
