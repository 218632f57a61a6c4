"""The client's WAMP session where calls give and take piece by piece, with a node of ours and with other routers."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack import session as on
from hopsack.errors import UsageError

from .test_wamp_session import WELCOME, Talk, plain

FLOW = {"progressive_call_results": True, "progressive_call_invocations": True, "x_hopsack_flow": True}


class Flowing(Talk):
    """Joined to a router whose dealer announces these features."""

    def __init__(self, features: dict[str, bool]) -> None:
        super().__init__()
        self.does(on.Opened(self.limit))
        details: Any = WELCOME[2]
        self.hears([2, 77, details | {"roles": {"dealer": {"features": features}}}])

    def does(self, event: on.Input) -> list[Any]:
        return [shown(effect) for effect in self.session.take(event)]

    def registered(self) -> Flowing:
        self.does(on.RegisterRequested("r", "lab.sum", "exact", "single"))
        self.hears([65, 1, 900])
        return self


def shown(effect: on.Effect) -> Any:
    match effect:
        case on.Advance(ticket, payload):
            return "advance", ticket, payload.read()
        case on.InputCame(invocation, payload):
            return "input", invocation, payload.read()
        case on.Serve():
            return effect.flow
    return plain(effect)


def calling(ticket: str, **flow: Any) -> on.CallRequested:
    return on.CallRequested(ticket, "lab.sum", 1, flow=on.Flow(**flow))


def test_progressive_results_come_before_the_last_and_more_is_asked_for() -> None:
    talk = Flowing(FLOW)

    assert talk.does(calling("q", progress=True, window=4)) == [
        ["->", 48, 1, {"receive_progress": True, "x_hopsack_window": 4}, "lab.sum", [1]]
    ]
    assert talk.hears([50, 1, {"progress": True}, [5]]) == [("advance", "q", 5)]
    assert talk.does(on.MoreWanted("q", 2)) == [["->", 513, 48, 1, 2]]
    assert talk.hears([50, 1, {}, [6]]) == [("resolve", "q", 6)]
    assert talk.does(on.MoreWanted("q", 2)) == []
    assert talk.hears([513, 48, 1, 3]) == []


def test_inputs_are_calls_with_the_same_number() -> None:
    talk = Flowing(FLOW)

    assert talk.does(calling("q", inputs=True)) == [["->", 48, 1, {"progress": True}, "lab.sum", [1]]]
    assert talk.hears([513, 48, 1, 2]) == [on.InputsGranted("q", 2)]
    assert talk.does(on.InputGiven("q", 7)) == [["->", 48, 1, {"progress": True}, "lab.sum", [7]]]
    assert talk.does(on.InputsEnded("q")) == [["->", 48, 1, {}, "lab.sum"]]
    assert talk.hears([50, 1, {}, [8]]) == [("resolve", "q", 8)]
    assert talk.does(on.InputGiven("q", 9)) == []


def test_a_router_that_does_not_count_is_asked_for_nothing_of_ours() -> None:
    talk = Flowing({"progressive_call_results": True, "progressive_call_invocations": True})

    assert talk.does(calling("q", progress=True, window=4, inputs=True)) == [
        ["->", 48, 1, {"receive_progress": True, "progress": True}, "lab.sum", [1]],
        on.InputsGranted("q", on.UNCOUNTED),
    ]
    assert talk.does(on.MoreWanted("q", 2)) == []


def test_a_router_that_takes_one_input_is_not_given_more() -> None:
    talk = Flowing({"progressive_call_results": True})

    with pytest.raises(UsageError, match="takes one input for each call"):
        talk.does(calling("q", inputs=True))
    assert talk.does(calling("p", progress=True, window=4)) == [
        ["->", 48, 1, {"receive_progress": True}, "lab.sum", [1]]
    ]


def test_a_callee_gives_as_many_as_it_is_granted() -> None:
    talk = Flowing(FLOW).registered()

    assert talk.hears([68, 5, 900, {"receive_progress": True, "x_hopsack_window": 1}, [3]]) == [on.Flow(True, 1, False)]
    assert talk.does(on.Progressed(5, 1)) == [["->", 70, 5, {"progress": True}, [1]]]
    assert talk.hears([513, 68, 5, 9]) == [on.ProgressGranted(5, 9)]
    assert talk.does(on.Answered(5, 2)) == [["->", 70, 5, {}, [2]]]
    assert talk.does(on.Progressed(5, 3)) == []
    assert talk.hears([513, 68, 5, 9]) == []


def test_a_callee_takes_the_inputs_that_follow_the_first() -> None:
    talk = Flowing(FLOW).registered()

    assert talk.hears([68, 5, 900, {"progress": True}]) == [on.Flow(False, None, True)]
    assert talk.does(on.InputsWanted(5, 16)) == [["->", 513, 68, 5, 16]]
    assert talk.hears([68, 5, 900, {"progress": True}, [1]]) == [("input", 5, 1)]
    assert talk.hears([68, 5, 900, {}, [2]]) == [("input", 5, 2), on.InputsOver(5)]


def test_an_input_for_what_has_been_answered_is_not_served_anew() -> None:
    talk = Flowing(FLOW).registered()
    talk.hears([68, 5, 900, {"progress": True}])
    talk.does(on.Answered(5, 0))

    assert talk.hears([68, 5, 900, {"progress": True}, [1]]) == []
    assert talk.hears([68, 5, 900, {}]) == []


def test_results_of_a_call_that_was_left_are_nobody_s() -> None:
    talk = Flowing(FLOW)
    talk.does(calling("q", progress=True, window=4))

    assert talk.does(on.CallAbandoned("q")) == [["->", 49, 1, {"mode": "killnowait"}]]
    assert talk.does(on.MoreWanted("q", 1)) == []
    talk.hears([8, 48, 1, {}, "wamp.error.canceled"])
    assert talk.hears([50, 1, {"progress": True}, [5]]) == []
