"""The supervisor's decisions.

    Began Spawned SpawnFailed GotReady Unready Exited Woke StopAsked
        ->  Supervisor.step  ->  Spawn Send Tell Settled Finish

Theory of operation. The node comes first; services wait until it is ready once, and after that they live on their own,
since a service finds its way back to a node that restarts; until it has, it is *reconnecting*. A program that ends is
started again after a delay with full jitter, at most :data:`LONGEST_DELAY`; :data:`STABLE_AFTER` seconds of being up
make its next failure a first one again. A program that was never ready after :data:`TRIES` starts or :data:`SLOW_AFTER`
seconds is *failing*: it is still retried, but nobody waits for it. A node that ends before it was ever ready is not
retried: its port or its contracts are wrong, and it has said so. What stands aside is started when all others are
settled, nobody waits for it or fails with it, and after :data:`TRIES` starts that came to nothing it is left alone.

Ending has a budget of five seconds from the request: services are asked at 0, killed at 2.5 s; the node is asked when
the last service is gone, at the latest then, and killed at 4 s. A second request kills everything at once.

Time is seconds on any monotonic clock: the shell passes it in, and calls with :class:`Woke` when
:attr:`Supervisor.wake_at` has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
STABLE_AFTER = 30.0
TRIES = 3
SLOW_AFTER = 30.0
SERVICES_KILLED_AFTER = 2.5
NODE_KILLED_AFTER = 4.0

State = Literal["waiting", "starting", "ready", "reconnecting", "restarting", "failing", "stopping", "ended"]
Kind = Literal["node", "service", "aside"]


# ----- events


@dataclass(frozen=True, slots=True)
class Began:
    """Everything may start."""


@dataclass(frozen=True, slots=True)
class Spawned:
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The operating system refused to start it."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class GotReady:
    """The program printed its ready line; ``facts`` is what the line said."""

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unready:
    """A service that was ready has lost the node; it runs on, and says when it is ready again."""

    name: str


@dataclass(frozen=True, slots=True)
class Exited:
    """``status`` is the exit status, or the negated signal that ended it."""

    name: str
    status: int


@dataclass(frozen=True, slots=True)
class Woke:
    """:attr:`Supervisor.wake_at` has come."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants everything ended."""


Happening = Began | Spawned | SpawnFailed | GotReady | Unready | Exited | Woke | StopAsked


# ----- effects


@dataclass(frozen=True, slots=True)
class Spawn:
    name: str


@dataclass(frozen=True, slots=True)
class Send:
    name: str
    signal: Literal["TERM", "KILL"]


@dataclass(frozen=True, slots=True)
class Tell:
    """A sentence for the person at the terminal and for the program's log."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Every program is ready, or is known to fail; said once."""

    failing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing runs any more. ``status`` is what the supervisor exits with, ``reason`` why it is not 0."""

    status: int
    reason: str | None = None


Effect = Spawn | Send | Tell | Settled | Finish


# ----- the machine


@dataclass(slots=True)
class Program:
    """What is known of one program; the shell and ``status`` read it, only :class:`Supervisor` writes it.

    :ivar failures: starts in a row that did not last; sets the next delay.
    :ivar due: when it is started again, or, while it is starting, when that takes too long.
    :ivar is_spawning: the operating system was asked to start it and has not answered.
    :ivar asked: what it was sent to make it end.
    """

    name: str
    kind: Kind
    state: State = "waiting"
    pid: int | None = None
    since: float | None = None
    restarts: int = 0
    last_exit: int | None = None
    failures: int = 0
    ever_ready: bool = False
    due: float | None = None
    is_spawning: bool = False
    asked: Literal["TERM", "KILL"] | None = None

    @property
    def is_running(self) -> bool:
        return self.pid is not None


class Supervisor:
    """The state of one ``hopsack up``.

    :param node: name of the node.
    :param services: names, in the order they are started.
    :param random: a number in [0, 1), for the jitter.
    :param asides: names of what nobody waits for.
    """

    def __init__(
        self, node: str, services: Sequence[str], random: Callable[[], float], asides: Sequence[str] = ()
    ) -> None:
        self._node = Program(node, "node")
        self._awaited = [self._node, *(Program(name, "service") for name in services)]
        self._asides = [Program(name, "aside") for name in asides]
        self._services = [*self._awaited[1:], *self._asides]
        self.programs: Mapping[str, Program] = {one.name: one for one in (*self._awaited, *self._asides)}
        self._random = random
        self._settled = False
        self._stopping_since: float | None = None
        self._outcome = Finish(0)
        self._finished = False

    @property
    def is_stopping(self) -> bool:
        return self._stopping_since is not None

    @property
    def wake_at(self) -> float | None:
        """When :class:`Woke` is due; ``None`` while nothing waits for time."""
        times = [program.due for program in self.programs.values() if program.due is not None]
        if self._stopping_since is not None:
            times += [self._stopping_since + wait for wait in self._patience()]
        return min(times, default=None)

    def step(self, happening: Happening, now: float) -> list[Effect]:
        """What to do about ``happening``."""
        match happening:
            case Began():
                effects = self._start_what_may()
            case Spawned(name, pid):
                effects = self._spawned(self.programs[name], pid, now)
            case SpawnFailed(name, reason):
                effects = self._lost(self.programs[name], now, f"could not be started: {reason}", 1)
            case GotReady(name):
                effects = self._ready(self.programs[name], now)
            case Unready(name):
                effects = self._unready(self.programs[name])
            case Exited(name, status):
                effects = self._exited(self.programs[name], status, now)
            case Woke():
                effects = self._woke(now)
            case StopAsked():
                effects = self._stop(now)
            case _:
                assert_never(happening)
        return effects + self._conclude()

    # -- starting

    def _start_what_may(self) -> list[Effect]:
        if not self._node.ever_ready:
            return [self._spawn(self._node)] if self._node.state == "waiting" else []
        may = self._services if self._settled else self._awaited
        return [self._spawn(program) for program in may if program.state == "waiting"]

    def _spawn(self, program: Program) -> Effect:
        if program.state != "failing":
            program.state = "starting"
        program.due, program.is_spawning = None, True
        return Spawn(program.name)

    def _spawned(self, program: Program, pid: int, now: float) -> list[Effect]:
        program.pid, program.since, program.is_spawning = pid, now, False
        if self.is_stopping:  # the request came while the operating system was starting it
            return [self._send(program, "TERM")]
        if program.state == "starting":
            program.due = now + SLOW_AFTER
        return []

    def _ready(self, program: Program, now: float) -> list[Effect]:
        if self.is_stopping or program.state == "ready":
            return []
        if program.state == "reconnecting":
            program.state = "ready"
            return []
        returned = program.restarts > 0 or program.state == "failing"
        program.state, program.since, program.ever_ready, program.due = "ready", now, True, None
        return [
            Tell(program.name, "is ready again" if program.restarts else "is ready")
        ] * returned + self._start_what_may()

    def _unready(self, program: Program) -> list[Effect]:
        """It does not begin anew: how long it is up, and how often it failed, stay as they are."""
        if program.state == "ready" and program.kind == "service":
            program.state = "reconnecting"
        return []

    def _too_slow(self, program: Program, now: float) -> list[Effect]:
        what = f"is not ready after {SLOW_AFTER:.0f} s"
        program.due = None
        if program is self._node and not program.ever_ready:
            return self._give_up(f"the node {what}", 1, now)
        program.state = "failing"
        return [Tell(program.name, what)]

    # -- restarting

    def _exited(self, program: Program, status: int, now: float) -> list[Effect]:
        lasted = now - (program.since if program.since is not None else now)
        if program.state in ("ready", "reconnecting") and lasted >= STABLE_AFTER:
            program.failures = 0
        program.pid, program.last_exit = None, status
        return self._lost(program, now, f"ended ({describe_exit(status)})", status)

    def _lost(self, program: Program, now: float, what: str, status: int) -> list[Effect]:
        program.since, program.due, program.is_spawning = None, None, False
        if self.is_stopping:
            program.state = "ended"
            return self._end_node_if_last()
        if program is self._node and not program.ever_ready:
            return self._give_up(f"the node did not start: it {what}", status, now)
        program.failures += 1
        program.restarts += 1
        never_came = not program.ever_ready and (program.failures >= TRIES or program.state == "failing")
        program.state = "failing" if never_came else "restarting"
        if never_came and program.kind == "aside":
            return [Tell(program.name, f"{what}; it is left alone")]
        delay = self._delay(program.failures)
        program.due = now + delay
        return [Tell(program.name, f"{what}; starting it again in {delay:.1f} s")]

    def _delay(self, failures: int) -> float:
        """Full jitter: anywhere below a ceiling that doubles, so that programs that fell together rise apart."""
        return float(self._random()) * min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))

    def _woke(self, now: float) -> list[Effect]:
        if self._stopping_since is not None:
            return self._run_out_of_patience(now - self._stopping_since)
        effects: list[Effect] = []
        for program in self.programs.values():
            if program.due is not None and program.due <= now and not self.is_stopping:
                effects += self._too_slow(program, now) if program.is_running else [self._spawn(program)]
        return effects

    # -- ending

    def _give_up(self, reason: str, status: int, now: float) -> list[Effect]:
        self._outcome = Finish(status if status > 0 else 1, reason)
        return self._stop(now)

    def _stop(self, now: float) -> list[Effect]:
        if self.is_stopping:
            return [self._send(program, "KILL") for program in self.programs.values() if program.is_running]
        self._stopping_since = now
        for program in self.programs.values():
            program.due = None
            program.state = "stopping" if program.is_running or program.is_spawning else "ended"
        asked = [self._send(program, "TERM") for program in self._services if program.is_running]
        return asked + self._end_node_if_last()

    def _send(self, program: Program, signal: Literal["TERM", "KILL"]) -> Effect:
        program.asked = signal
        return Send(program.name, signal)

    def _end_node_if_last(self) -> list[Effect]:
        if any(program.state != "ended" for program in self._services):
            return []
        return self._ask_node()

    def _ask_node(self) -> list[Effect]:
        node = self._node
        return [self._send(node, "TERM")] if node.is_running and node.asked is None else []

    def _patience(self) -> list[float]:
        """Seconds after the request at which those that have not yet been killed are."""
        late = [program for program in self.programs.values() if program.is_running and program.asked != "KILL"]
        return [NODE_KILLED_AFTER if program is self._node else SERVICES_KILLED_AFTER for program in late]

    def _run_out_of_patience(self, waited: float) -> list[Effect]:
        effects: list[Effect] = []
        for program in self.programs.values():
            limit = NODE_KILLED_AFTER if program is self._node else SERVICES_KILLED_AFTER
            if program.is_running and program.asked != "KILL" and waited >= limit:
                effects += [Tell(program.name, "does not end: killed"), self._send(program, "KILL")]
        return effects + (self._ask_node() if waited >= SERVICES_KILLED_AFTER else [])

    def _conclude(self) -> list[Effect]:
        programs = self.programs.values()
        if self.is_stopping:
            if self._finished or any(program.state != "ended" for program in programs):
                return []
            self._finished = True
            return [self._outcome]
        if self._settled or any(program.state not in ("ready", "failing") for program in self._awaited):
            return []
        self._settled = True
        failing = tuple(program.name for program in self._awaited if program.state == "failing")
        return [Settled(failing), *self._start_what_may()]


def describe_exit(status: int) -> str:
    """``exit 3`` or ``signal 9``, as a person says it."""
    return f"signal {-status}" if status < 0 else f"exit {status}"
