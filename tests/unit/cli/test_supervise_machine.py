"""The supervisor's decisions, with a clock that the test turns by hand."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from hopsack.supervise.machine import (
    LONGEST_DELAY,
    SLOW_AFTER,
    Began,
    Effect,
    Exited,
    Finish,
    GotReady,
    Happening,
    Send,
    Settled,
    Spawn,
    Spawned,
    SpawnFailed,
    StopAsked,
    Supervisor,
    Tell,
    Unready,
    Woke,
)


class Desk:
    """A supervisor, its clock and what it said last."""

    def __init__(self, *services: str, random: float = 0.5, asides: tuple[str, ...] = ()) -> None:
        self.now = 1000.0
        self.machine = Supervisor("node", services, lambda: random, asides)
        self._pids = 100

    def do(self, *happenings: Happening) -> list[Effect]:
        return [effect for happening in happenings for effect in self.machine.step(happening, self.now)]

    def up(self, *names: str) -> list[Effect]:
        """The operating system starts them and they get ready."""
        effects: list[Effect] = []
        for name in names:
            self._pids += 1
            effects += self.do(Spawned(name, self._pids), GotReady(name))
        return effects

    def sleep(self) -> list[Effect]:
        """Turn the clock to when the machine wants to be woken."""
        assert self.machine.wake_at is not None
        self.now = self.machine.wake_at
        return self.do(Woke())

    def states(self) -> dict[str, str]:
        return {name: program.state for name, program in self.machine.programs.items()}


def running(*services: str, random: float = 0.5) -> Desk:
    desk = Desk(*services, random=random)
    desk.do(Began())
    desk.up("node", *services)
    return desk


def test_services_wait_until_the_node_is_ready() -> None:
    desk = Desk("host", "watch")

    assert desk.do(Began()) == [Spawn("node")]
    assert desk.do(Spawned("node", 1)) == []
    assert desk.states() == {"node": "starting", "host": "waiting", "watch": "waiting"}
    assert desk.do(GotReady("node")) == [Spawn("host"), Spawn("watch")]


def test_a_service_that_lost_the_node_is_reconnecting_until_it_is_back() -> None:
    desk = running("host")
    since = desk.machine.programs["host"].since
    desk.now += 60

    assert desk.do(Exited("node", -9), Unready("host")) == [
        Tell("node", "ended (signal 9); starting it again in 0.2 s")
    ]
    assert desk.states() == {"node": "restarting", "host": "reconnecting"}
    desk.sleep()
    desk.up("node")
    assert desk.do(Unready("host")) == []
    assert desk.do(GotReady("host")) == []

    assert desk.states() == {"node": "ready", "host": "ready"}
    host = desk.machine.programs["host"]
    assert (host.since, host.restarts, host.failures) == (since, 0, 0)


def test_a_service_that_ends_while_it_reconnects_is_started_again() -> None:
    desk = running("host")

    desk.do(Unready("host"))
    desk.do(Exited("host", 1))
    desk.sleep()
    desk.up("host")

    assert desk.states()["host"] == "ready"
    assert desk.machine.programs["host"].restarts == 1


def test_only_what_is_ready_can_lose_that() -> None:
    desk = Desk("host")
    desk.do(Began(), Spawned("node", 1), Unready("node"))
    assert desk.states()["node"] == "starting"

    desk.do(GotReady("node"), Unready("node"), Spawned("host", 2), Unready("host"))

    assert desk.states() == {"node": "ready", "host": "starting"}


def test_it_settles_once_when_the_last_is_ready() -> None:
    desk = Desk("host")

    desk.do(Began())

    assert desk.up("node", "host") == [Spawn("host"), Settled(())]
    assert desk.do(GotReady("host")) == []


def test_a_node_alone_settles_too() -> None:
    desk = Desk()
    desk.do(Began())

    assert desk.up("node") == [Settled(())]


def test_a_service_that_ends_is_started_again_after_a_delay() -> None:
    desk = running("host")

    assert desk.do(Exited("host", 1)) == [Tell("host", "ended (exit 1); starting it again in 0.2 s")]
    assert desk.states()["host"] == "restarting"
    assert desk.sleep() == [Spawn("host")]
    assert desk.up("host") == [Tell("host", "is ready again")]
    assert desk.machine.programs["host"].restarts == 1


def test_a_node_that_ends_later_is_started_again_and_services_are_left_alone() -> None:
    desk = running("host")

    desk.do(Exited("node", -9))

    assert desk.sleep() == [Spawn("node")]
    assert desk.states() == {"node": "starting", "host": "ready"}


def delays(desk: Desk, times: int) -> list[float]:
    found = []
    for _ in range(times):
        before = desk.now
        desk.do(Exited("host", 1))
        desk.sleep()
        found.append(desk.now - before)
        desk.up("host")
    return found


def test_delays_double_up_to_a_cap() -> None:
    desk = running("host", random=1.0)

    assert delays(desk, 7) == [0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_DELAY, LONGEST_DELAY]


def test_the_jitter_is_full() -> None:
    assert delays(running("host", random=0.0), 3) == [0.0, 0.0, 0.0]


def test_a_stable_while_makes_the_next_failure_a_first_one() -> None:
    desk = running("host", random=1.0)
    delays(desk, 5)

    desk.now += 30.0

    assert delays(desk, 2) == [0.5, 1.0]


def test_a_node_that_never_got_ready_is_given_up_with_its_exit_status() -> None:
    desk = Desk("host")
    desk.do(Began(), Spawned("node", 1))

    assert desk.do(Exited("node", 3)) == [Finish(3, "the node did not start: it ended (exit 3)")]
    assert desk.states() == {"node": "ended", "host": "ended"}


def test_a_node_that_a_signal_ended_at_start_is_a_failure() -> None:
    desk = Desk()
    desk.do(Began(), Spawned("node", 1))

    assert desk.do(Exited("node", -11)) == [Finish(1, "the node did not start: it ended (signal 11)")]


def test_a_node_that_cannot_be_started_at_all_is_given_up() -> None:
    desk = Desk("host")
    desk.do(Began())

    assert desk.do(SpawnFailed("node", "No such file")) == [
        Finish(1, "the node did not start: it could not be started: No such file")
    ]


def test_a_node_that_hangs_at_start_is_given_up() -> None:
    desk = Desk()
    desk.do(Began(), Spawned("node", 1))

    assert desk.sleep() == [Send("node", "TERM")]
    assert desk.now == 1000.0 + SLOW_AFTER
    assert desk.do(Exited("node", 0)) == [Finish(1, "the node is not ready after 30 s")]


def test_a_service_that_never_gets_ready_is_failing_and_nobody_waits_for_it() -> None:
    desk = Desk("host", "watch")
    desk.do(Began())
    desk.up("node", "watch")

    desk.do(Spawned("host", 7), Exited("host", 1))
    desk.sleep()
    desk.do(Spawned("host", 8), Exited("host", 1))
    desk.sleep()
    last = desk.do(Spawned("host", 9), Exited("host", 1))

    assert last == [Tell("host", "ended (exit 1); starting it again in 1.0 s"), Settled(("host",))]
    assert desk.states()["host"] == "failing"
    assert desk.sleep() == [Spawn("host")]
    assert desk.up("host") == [Tell("host", "is ready again")]


def test_a_service_that_hangs_at_start_is_failing_until_it_gets_ready() -> None:
    desk = Desk("host")
    desk.do(Began())
    desk.up("node")
    desk.do(Spawned("host", 7))

    assert desk.sleep() == [Tell("host", "is not ready after 30 s"), Settled(("host",))]
    assert desk.machine.wake_at is None
    assert desk.do(GotReady("host")) == [Tell("host", "is ready")]


def test_ending_asks_services_first_then_the_node() -> None:
    desk = running("host", "watch")

    assert desk.do(StopAsked()) == [Send("host", "TERM"), Send("watch", "TERM")]
    assert desk.do(Exited("watch", 0)) == []
    assert desk.do(Exited("host", 0)) == [Send("node", "TERM")]
    assert desk.do(Exited("node", 0)) == [Finish(0)]


def test_a_service_that_does_not_end_is_killed_and_the_node_waits_no_longer() -> None:
    desk = running("host")
    desk.do(StopAsked())

    killed = desk.sleep()

    assert desk.now == 1002.5
    assert killed == [Tell("host", "does not end: killed"), Send("host", "KILL"), Send("node", "TERM")]
    assert desk.do(Exited("host", -9)) == []
    assert desk.sleep() == [Tell("node", "does not end: killed"), Send("node", "KILL")]
    assert desk.now == 1004.0
    assert desk.do(Exited("node", -9)) == [Finish(0)]


def test_a_second_request_kills_at_once() -> None:
    desk = running("host")
    desk.do(StopAsked())

    assert desk.do(StopAsked()) == [Send("node", "KILL"), Send("host", "KILL")]
    assert desk.machine.wake_at is None


def test_what_is_being_started_when_the_request_comes_is_ended_too() -> None:
    desk = Desk("host")
    desk.do(Began())
    desk.up("node")

    assert desk.do(StopAsked()) == []
    assert desk.do(Spawned("host", 5)) == [Send("host", "TERM")]
    assert desk.do(GotReady("host")) == []
    assert desk.do(Exited("host", 0), Exited("node", 0)) == [Send("node", "TERM"), Finish(0)]


def test_what_waits_for_a_restart_is_not_started_any_more() -> None:
    desk = running("host")
    desk.do(Exited("host", 1))

    assert desk.do(StopAsked()) == [Send("node", "TERM")]
    assert desk.do(Exited("node", 0)) == [Finish(0)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["node", "a", "b"])), max_size=40), st.floats(0, 1))
def test_whatever_happens_it_ends_within_five_seconds_and_never_starts_a_running_program(
    story: list[tuple[int, str]], random: float
) -> None:
    """A model of an operating system that does what it is told, in any order and with any luck."""
    desk = Desk("a", "b", random=random)
    alive: dict[str, int] = {}
    spawning: list[str] = []
    finished: list[Finish] = []

    def take(effects: Iterable[Effect]) -> None:
        for effect in effects:
            assert not finished, "something was done after the end"
            match effect:
                case Spawn(name):
                    assert name not in alive
                    assert name not in spawning
                    spawning.append(name)
                case Send(name, _):
                    assert name in alive
                case Finish():
                    finished.append(effect)
                case _:
                    pass

    def started(name: str) -> None:
        spawning.remove(name)
        alive[name] = 1
        take(desk.do(Spawned(name, 1)))

    take(desk.do(Began()))
    for action, name in story:
        if action <= 1 and name in spawning:
            started(name)
        elif action == 2 and name in alive:
            take(desk.do(GotReady(name)))
        elif action == 3 and name in alive:
            del alive[name]
            take(desk.do(Exited(name, 1)))
        elif action == 4 and name in spawning:
            spawning.remove(name)
            take(desk.do(SpawnFailed(name, "no")))
        elif action == 7 and name in alive:
            take(desk.do(Unready(name)))
        elif action == 5 and desk.machine.wake_at is not None:
            take(desk.sleep())
        desk.now += 0.25
    if not desk.machine.is_stopping:
        take(desk.do(StopAsked()))
    asked = desk.now
    while spawning:
        started(spawning[0])
    while desk.machine.wake_at is not None:  # they ignore SIGTERM
        take(desk.sleep())
    assert desk.now - asked < 5
    for name in list(alive):
        del alive[name]
        take(desk.do(Exited(name, -9)))
    assert len(finished) == 1
    assert not spawning


# ----- what stands aside


def test_nobody_waits_for_what_stands_aside() -> None:
    desk = Desk("host", asides=("mailbox",))
    desk.do(Began())

    begun = desk.up("node")
    settled = desk.up("host")

    assert begun == [Spawn("host")]
    assert settled == [Settled(()), Spawn("mailbox")]
    assert desk.states() == {"node": "ready", "host": "ready", "mailbox": "starting"}


def test_it_begins_though_a_service_fails() -> None:
    desk = Desk("host", asides=("mailbox",))
    desk.do(Began())
    desk.up("node")
    desk.do(Spawned("host", 7))

    assert desk.sleep() == [Tell("host", "is not ready after 30 s"), Settled(("host",)), Spawn("mailbox")]


def test_it_is_started_again_and_left_alone_when_it_never_comes() -> None:
    desk = Desk(asides=("mailbox",))
    desk.do(Began())
    desk.up("node")

    told: list[Effect] = []
    for pid in (7, 8, 9):
        told += desk.do(Spawned("mailbox", pid), Exited("mailbox", 1))
        if desk.machine.wake_at is not None:
            desk.sleep()

    assert [one.text for one in told if isinstance(one, Tell)] == [
        "ended (exit 1); starting it again in 0.2 s",
        "ended (exit 1); starting it again in 0.5 s",
        "ended (exit 1); it is left alone",
    ]
    assert desk.machine.wake_at is None
    assert desk.states() == {"node": "ready", "mailbox": "failing"}


def test_it_ends_with_the_services_before_the_node() -> None:
    desk = Desk(asides=("mailbox",))
    desk.do(Began())
    desk.up("node", "mailbox")

    assert desk.do(StopAsked()) == [Send("mailbox", "TERM")]
    assert desk.do(Exited("mailbox", 0)) == [Send("node", "TERM")]
    assert desk.do(Exited("node", 0)) == [Finish(0)]


def test_an_end_before_it_began_does_not_start_it() -> None:
    desk = Desk("host", asides=("mailbox",))
    desk.do(Began())
    desk.up("node")
    desk.do(Spawned("host", 7), StopAsked())

    assert desk.do(Exited("host", 0), Exited("node", 0)) == [Send("node", "TERM"), Finish(0)]
