"""Where a session meets its limits: when it joins, with each request, and when it does not listen.

    it fails to prove who it is, again and again   -> ABORT hopsack.rate_limited {retry_after}, and the connection ends
    its newer tokens are not good, again and again -> hopsack.rate_limited, as the answer to hopsack.session.refresh
    its subject has as many sessions as it may     -> the same
    PUBLISH, CALL, SUBSCRIBE, REGISTER             -> carried out, or ERROR hopsack.rate_limited {retry_after}
    an event that nobody acknowledges              -> published, or dropped and counted
    what answers something, or ends something      -> always carried out, and counted; what was asked for is not counted
    it goes on asking for much more than it may    -> the connection ends, with a code that says why

What is spent stands in :mod:`~hopsack_router.access.meters`; without limits (``RouterFactory.limits``) there is nothing
of all this. The log and the audit log say it once, not once for each refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Accept, Deny
from twisted.logger import Logger

from hopsack.errors import LoginRequired, RateLimited, RemoteError
from hopsack_router import metrics
from hopsack_router.access.audit import facts_of
from hopsack_router.access.limits import KINDS, Limit, written
from hopsack_router.access.meters import CALLS, CROWDED, PUBLISHES, SUBSCRIPTIONS, Limits, host_of
from hopsack_router.routing import joining

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router
    from hopsack_router.routing.session import NodeSession

LOG = Logger()

COUNTED: dict[type, str] = {
    message.Publish: PUBLISHES,
    message.Call: CALLS,
    message.Subscribe: SUBSCRIPTIONS,
    message.Register: SUBSCRIPTIONS,
}
"""What may be refused. All else is a message that asks for nothing, or an answer."""

_ANSWERS = (message.Yield, message.Error)


def refusal_of(limit: Limit, wait: float, where: str | None = None) -> RateLimited:
    """What a client is told that meets a limit.

    :param wait: seconds until it may try again.
    """
    of = {"connection": "this connection", "subject": "this subject", "address": "this address"}[limit.scope]
    return RateLimited(
        f"{of} may not have so many {KINDS[limit.kind]}: {written(limit)}",
        where=where,
        advice="wait for so long as `retry_after` says, and ask less often",
        data={"retry_after": max(round(wait, 3), 0.001), "limit": limit.name},
    )


# ---- joining ---------------------------------------------------------------------------------------------------------


def before_proof(limits: Limits, subject: str, peer: str | None) -> joining.Refusal | None:
    """Asked before a proof is looked at that could be guessed: a right guess must not be told from a wrong one."""
    wait = limits.may_try(subject, host_of(peer))
    return joining.Refusal(_too_many_failures(wait)) if wait else None


def after_proof(session: NodeSession, limits: Limits, claimed: str, answer: Any) -> Any:
    """Somebody has tried to prove that it is ``claimed``.

    :returns: the answer, or, where it has failed too often, that it has.
    """
    host = host_of(session.peer)
    if not isinstance(answer, Accept):
        if not _is_failure(answer):
            return answer
    elif not _is_guessable(answer):
        _forgive(limits, claimed, answer, host)
        return answer
    wait = limits.may_try(claimed, host)
    if wait:
        session._router_factory.audit.note("rate_limited", **facts_of(session), limit="auth_failures", claimed=claimed)
        return joining.Refusal(_too_many_failures(wait))
    if isinstance(answer, Accept):
        _forgive(limits, claimed, answer, host)
    else:
        limits.failed(claimed, host)
    return answer


def _is_guessable(accept: Accept) -> bool:
    """Whether it was let in by something that people choose. Who has failed too often gets one answer then, right or
    wrong: other guesses were under way when this one began, or its ticket could have been a token."""
    return isinstance(accept, joining.Admitted) and accept.identity.proof in ("ticket", "scram")


def _forgive(limits: Limits, claimed: str, accept: Accept, host: str) -> None:
    """What a name was guessed for is forgotten by who has proved to be that, not by who has only said so before."""
    if claimed and accept.authid == claimed:
        limits.succeeded(claimed, host)


def after_refresh(session: NodeSession, limits: Limits | None, refusal: RemoteError) -> RemoteError:
    """A session that is there has sent a token that is not good: a guess like any other, out of the same purse.

    Guests share one, as all who log in without a name do: their own names are new each time.

    :returns: the refusal, or, where it has failed too often, that it has.
    """
    if limits is None or not isinstance(refusal, LoginRequired):
        return refusal
    claimed = "" if session._authmethod == "anonymous" else session._authid or ""
    answer = after_proof(session, limits, claimed, joining.Refusal(refusal))
    error: RemoteError = answer.error
    return error


def _is_failure(answer: Deny) -> bool:
    if isinstance(answer, joining.Refusal):
        return isinstance(answer.error, LoginRequired)
    return bool(answer.reason == ApplicationError.AUTHENTICATION_FAILED)


def _too_many_failures(wait: float) -> RateLimited:
    return RateLimited(
        "there were too many failed logins",
        advice="wait for so long as `retry_after` says, and get a valid token before you try again",
        data={"retry_after": round(wait, 3), "limit": "auth_failures"},
    )


def let_in(session: NodeSession, limits: Limits, accept: Accept) -> joining.Refusal | None:
    """A session is about to begin; where it may it is counted until :func:`gone`."""
    if accept.authmethod == "anonymous":
        return None  # whose name nobody else has
    in_the_way = limits.joins(accept.authid, accept.authrole)
    if in_the_way is not None:
        return joining.Refusal(refusal_of(in_the_way, CROWDED))
    session._counted_as = accept.authid
    return None


def begin(session: NodeSession, limits: Limits, role: str) -> None:
    """Give a session its meter and its levels; again when the limits have changed."""
    is_guest = session._authmethod == "anonymous"
    session.meter = limits.meter(role, None if is_guest else session._authid, host_of(session.peer))
    if session.meter is not None:
        purse = getattr(session._transport, "purse", None)
        if purse is not None:
            session.meter.share(purse)
    session.levels = limits.levels(role)
    if session._transport is not None:
        session._transport.takes(session.levels.payload)


def renewed(session: NodeSession, limits: Limits, role: str) -> None:
    """A session has another role. Who goes to and fro between two fills no bucket by it."""
    _put_by(session)
    begin(session, limits, role)


def gone(session: NodeSession, limits: Limits) -> None:
    """Its last messages are its testaments, which nothing holds back."""
    _put_by(session)
    session.meter = None
    if session._counted_as is not None:
        limits.parts(session._counted_as)
        session._counted_as = None


def _put_by(session: NodeSession) -> None:
    """Leave what the connection has spent where its next meter finds it."""
    meter, link = session.meter, session._transport
    if meter is not None and link is not None and getattr(link, "purse", None) is None:
        link.purse = meter.purse()


# ---- requests ----------------------------------------------------------------------------------------------------


def exceeds(router: Router, session: NodeSession, msg: message.Message, kind: type) -> bool:
    """A message of a session that has a meter.

    :param kind: Autobahn's class of it.
    :returns: whether it is refused.
    """
    meter = session.meter
    assert meter is not None
    counted = COUNTED.get(kind)
    if counted is None:
        if kind in _ANSWERS and router.is_asked(session, msg):
            meter.excused()
        else:
            heard(session)
        return False
    if counted is CALLS and router.goes_on(session, msg):
        meter.excused()  # a further input, for which its callee has room
        return False
    wait = meter.asks(counted)
    if not wait:
        return False
    limit = meter.refused
    assert limit is not None
    _tell_once(session, limit)
    if kind is message.Publish and not msg.acknowledge:
        metrics.limited.tally(limit.name).n += 1
        meter.dropped += 1
    else:
        where = msg.procedure if kind in (message.Call, message.Register) else msg.topic
        metrics.limited.tally(limit.name).n += 1
        router.refuse(session, msg, refusal_of(limit, wait, where))
    _end_if_beyond(session)
    return True


def heard(session: NodeSession) -> None:
    """A session has said what asks for nothing, and cannot be refused."""
    meter = session.meter
    if meter is not None and meter.asks("messages"):
        assert meter.refused is not None
        _tell_once(session, meter.refused)
        _end_if_beyond(session)


def _tell_once(session: NodeSession, limit: Limit) -> None:
    if session.meter is not None and session.meter.is_first:
        told = "{authid} from {peer} does more than it may: {name}, {value}"
        if session.meter.is_news:
            LOG.info(told, authid=session._authid, peer=session.peer, name=limit.name, value=written(limit))
        session._router_factory.audit.note("rate_limited", **facts_of(session), limit=limit.name)


def _end_if_beyond(session: NodeSession) -> None:
    meter = session.meter
    if meter is None or not meter.is_beyond or session._transport is None:
        return
    limit = meter.refused
    assert limit is not None
    session.meter = None  # once
    LOG.info("closing {peer}: it goes on ({name})", peer=session.peer, name=limit.name)
    metrics.floods.labels(session.door).inc()
    session._router_factory.audit.note("ended", **facts_of(session), reason=f"it went on beyond {limit.name}")
    session.dismiss(refusal_of(limit, CROWDED))


def again(router: Router, limits: Limits) -> None:
    """The limits have changed: for everybody who is there."""
    for session in list(router._session_id_to_session.values()):
        if getattr(session, "member", None) is not None:
            begin(session, limits, session._authrole)
