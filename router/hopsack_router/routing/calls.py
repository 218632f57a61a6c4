"""What the dealer knows of a call, and of a procedure's calls.

Traffic    one procedure: what its contract says of its calls, and what is counted of them
InFlight   one call, from CALL to its end: it is asked of a callee, waits for one, or for its next try
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hopsack.contracts import ProcedureContract, payload_of
from hopsack.contracts.catalogue import DEFAULT_TIMEOUT
from hopsack.contracts.policy import NONE, QUEUE, Policy
from hopsack.errors import Invalid
from hopsack_router import metrics
from hopsack_router.routing.choosing import ANY, LEAST, Wish
from hopsack_router.routing.retrying import Budget, Tries

if TYPE_CHECKING:
    from autobahn.wamp import message

    from hopsack.deadlines import Lane
    from hopsack_router.routing.asked import Terms
    from hopsack_router.routing.breaker import Breaker
    from hopsack_router.routing.choosing import Seat
    from hopsack_router.routing.session import NodeSession

LONGEST = 24 * 3600 * 1000
"""Milliseconds that a caller may give a call whose contract gives none: what is given longer is not ended by time."""


class Traffic:
    """One procedure's calls.

    :ivar uri: as declared; a procedure that nobody declares shares :data:`UNDECLARED` with all others.
    :ivar invoke: the policy that stands above what callees register with; ``None``: there is none.
    :ivar wish: what each call of it asks of its callee, if it has no wishes of its own.
    :ivar calls: how many there were. :ivar retried: further tries. :ivar opened: how often a breaker opened.
    """

    __slots__ = (
        "_earned",
        "_given",
        "_is_bound",
        "budget",
        "calls",
        "contract",
        "invoke",
        "opened",
        "policy",
        "retried",
        "tally",
        "uri",
        "wish",
    )

    def __init__(self, uri: str, contract: ProcedureContract | None) -> None:
        self.uri = uri
        self.contract = contract
        self.policy: Policy = contract.policy if contract is not None else NONE
        given = contract.timeout if contract is not None else None
        self._is_bound = given is not None
        self._given = max(1, round((DEFAULT_TIMEOUT if given is None else given) * 1000))
        self.invoke: str | None = self.policy.invoke or (LEAST if self.policy.shard_by is not None else None)
        self.wish = _wish_of(self.policy, uri)
        self.budget: Budget | None = None
        self.calls = self._earned = self.retried = self.opened = 0
        self.tally = metrics.calls.tally(uri or NOBODYS)

    @property
    def label(self) -> str:
        """What metrics call it."""
        return self.uri or NOBODYS

    def milliseconds(self, asked: int | None) -> int:
        """How long a call may take: what its caller asks for, and no more than the contract gives."""
        if not asked:
            return self._given
        return min(asked, self._given if self._is_bound else LONGEST)

    def spend(self) -> bool:
        """Pay for another try out of what the calls so far have earned."""
        if self.budget is None:
            self.budget = Budget()
        self.budget.earn(self.calls - self._earned)
        self._earned = self.calls
        return self.budget.spend()

    def key_of(self, call: message.Call) -> str | None:
        """What decides to which callee a call goes; ``None``: nothing does."""
        name, contract = self.policy.shard_by, self.contract
        if name is None or contract is None:
            return None
        if name.startswith("{"):
            return contract.bind(call.procedure)[name[1:-1]]
        try:
            value = payload_of(call.args, call.kwargs, contract.input_is_array)
        except Invalid:
            return None
        field = value.get(name) if isinstance(value, dict) else None
        if isinstance(field, float) and field.is_integer():
            field = int(field)  # JSON has one kind of number
        return msgspec.json.encode(field).decode()


def _wish_of(policy: Policy, uri: str) -> Wish:
    breaker = uri if policy.breaker is not None else None
    if policy.concurrency is None and breaker is None and not policy.queue:
        return ANY
    return Wish(limit=policy.concurrency, breaker=breaker, is_patient=policy.queue > 0)


class InFlight:
    """A call that has not ended. The names are those of Crossbar's ``InvocationRequest``, which this stands in for.

    :ivar id: of the invocation; another one for each try. :ivar seat: whose turn it is; ``None``: nobody is asked now.
    :ivar number: calls that came before have lower ones.
    :ivar due: its deadline, seconds of the dealer's clock. :ivar began: when its callee was asked.
    :ivar given: milliseconds that it has, or may be silent if it progresses.
    :ivar terms: what its caller asked for beyond WAMP. :ivar wish: what it asks of its callee.
    :ivar tries: ``None``: it has not failed yet. :ivar last: what the last try came to.
    :ivar breaker: that counts its outcome. :ivar is_probe: whether it is the one call that a breaker lets through.
    """

    __slots__ = (
        "authorization",
        "began",
        "breaker",
        "call",
        "callee",
        "caller",
        "caller_session_id",
        "canceled",
        "due",
        "error_msg",
        "given",
        "id",
        "is_probe",
        "last",
        "number",
        "registration",
        "seat",
        "terms",
        "timeout_call",
        "traffic",
        "tries",
        "wish",
    )

    def __init__(
        self,
        caller: NodeSession,
        call: message.Call,
        authorization: dict[str, Any],
        traffic: Traffic,
        terms: Terms | None,
        now: float,
        number: int,
    ) -> None:
        self.id = 0
        self.number = number
        self.registration: Any = None
        self.callee: Any = None
        self.caller = caller
        self.caller_session_id = caller._session_id
        self.call = call
        self.authorization = authorization
        self.canceled = False
        self.error_msg: message.Error | None = None
        self.timeout_call: Lane | None = None
        self.traffic = traffic
        self.given = traffic.milliseconds(call.timeout)
        self.due = now + self.given / 1000
        self.began = now
        self.seat: Seat[Any] | None = None
        self.breaker: Breaker | None = None
        self.is_probe = False
        self.tries: Tries | None = None
        self.last: message.Error | None = None
        self.terms = terms
        self.wish: Wish = traffic.wish
        if terms is not None or traffic.policy.shard_by is not None:
            self._wish_for_more()

    def _wish_for_more(self) -> None:
        breaker = self.traffic.wish.breaker if self.terms is None or self.terms.breaker is not False else None
        self.wish = Wish(self.traffic.policy.concurrency, self.traffic.key_of(self.call), (), breaker, self.places > 0)

    @property
    def ran(self) -> str:
        """Whether it may have been carried out: ``no`` or ``maybe``."""
        return "maybe" if self.seat is not None or (self.tries is not None and self.tries.ran != "no") else "no"

    @property
    def patience(self) -> float:
        """Seconds that it may wait for a callee where there is none."""
        asked = self.terms.wait if self.terms is not None else None
        return self.traffic.policy.wait if asked is None else asked / 1000

    @property
    def places(self) -> int:
        """How many calls of its procedure may wait, this one with them; 0: it does not wait for room."""
        if self.terms is not None and self.terms.queue is False:
            return 0
        return self.traffic.policy.queue

    @property
    def places_without_callee(self) -> int:
        """The same where it waits for a callee to come."""
        policy = self.traffic.policy
        return policy.queue if policy.wait else policy.queue or QUEUE

    @property
    def retries(self) -> int:
        asked = self.terms.retry if self.terms is not None else None
        return self.traffic.policy.retry if asked is None else asked

    @property
    def remaining(self) -> int:
        """Milliseconds to the deadline when its callee is asked, at least 1: WAMP's 0 is none."""
        return max(1, round((self.due - self.began) * 1000))


UNDECLARED = ""
NOBODYS = "undeclared"
