"""Whether calls ended as promised. Pure: it is told what happened, and says what should not have.

    begun, ended, left          what a caller did and saw
    answered_again              an answer that nobody waits for
    executed                    a line that a callee wrote before and after it did the work
    held, killed                a line that the holder of a lock wrote; its end by SIGKILL
    judge(stalls)            -> everything that was not as promised

Times count on the machine's monotonic clock, which all processes share. A call may end :data:`GRACE` after its
deadline, not counting the time in which the machine let caller or node not run: :class:`Stalls` knows it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hopsack_bench.checker import SHOWN

Kind = Literal[
    "late", "unanswered", "answered twice", "done twice", "tried too often", "altered", "shared", "went back"
]

GRACE = 0.05
"""Seconds after its deadline in which a call must have ended."""
ARRIVING = 0.1
"""Seconds after a call began in which a stall keeps its deadline from beginning at the node."""

OK = "ok"
LINK_LOST = "link lost"
"""What a caller without a library knows of its calls when its connection is gone."""

RETRIES = 2
"""Of ``chaos.again``."""


class Stalls:
    """When the machine let the caller, or the node, not run. Told beat by beat."""

    def __init__(self) -> None:
        self._at: list[float] = []
        self._sum: list[float] = []

    def beat(self, at: float, lost: float) -> None:
        """:param lost: seconds since the beat before in which one of them wanted to run and could not."""
        self._at.append(at)
        self._sum.append(lost + (self._sum[-1] if self._sum else 0.0))

    def between(self, since: float, until: float) -> float:
        """Seconds lost in the beats that touch this time."""
        if not self._at or until <= since:
            return 0.0
        first = bisect_right(self._at, since) - 1
        last = min(bisect_left(self._at, until), len(self._at) - 1)
        return self._sum[last] - (self._sum[first] if first >= 0 else 0.0)

    @property
    def total(self) -> float:
        return self._sum[-1] if self._sum else 0.0


@dataclass(slots=True)
class Asked:
    """One call, as its caller saw it.

    :ivar work: what it asks to be done; a repeat with the same key asks for the same.
    :ivar due: its deadline. :ivar sends: how often its library may have sent it.
    :ivar run: the execution that its result names.
    """

    work: str
    procedure: str
    who: str
    began: float
    due: float
    sends: int = 1
    ended: float | None = None
    code: str = ""
    run: str | None = None


@dataclass(slots=True)
class _Work:
    """Its executions: of which procedure, and by name what each answered."""

    procedure: str = ""
    runs: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    kind: Kind
    who: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """:ivar codes: how calls ended. :ivar late: seconds after their deadlines that the latest took, stalls taken off.

    :ivar late_at_all: the same with them. :ivar begun_late: executions that began after the call's deadline.
    """

    calls: int
    executions: int
    grants: int
    codes: Mapping[str, int]
    late: float
    late_at_all: float
    begun_late: int
    faults: tuple[Fault, ...]
    counts: Mapping[Kind, int]

    @property
    def is_clean(self) -> bool:
        return not self.counts


class Ledger:
    """What happened."""

    def __init__(self) -> None:
        self.calls: list[Asked] = []
        self._works: dict[str, _Work] = defaultdict(_Work)
        self._run_of: dict[str, str] = {}
        self._begun_at: dict[str, float] = {}
        self._locks: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._killed: dict[int, float] = {}
        self._faults: list[Fault] = []
        self._counts: Counter[Kind] = Counter()

    # ---- what happens ------------------------------------------------------------------------------------------------

    def begun(self, who: str, procedure: str, work: str, at: float, timeout: float) -> Asked:
        asked = Asked(work, procedure, who, at, at + timeout)
        self.calls.append(asked)
        return asked

    def ended(self, asked: Asked, at: float, code: str, value: Any = None) -> None:
        if asked.ended is not None:
            self._fault("answered twice", asked.who, f"{asked.work}: {asked.code}, then {code}")
            return
        asked.ended, asked.code = at, code
        if code == OK:
            self._check_result(asked, value)

    def answered_again(self, who: str, words: str) -> None:
        self._fault("answered twice", who, words)

    def _check_result(self, asked: Asked, value: Any) -> None:
        match value:
            case {"id": asked.work, "run": "steady"}:
                pass
            case {"id": asked.work, "run": str(run), "value": int()}:
                asked.run = run
                runs = self._works[asked.work].runs
                before = runs.get(run)
                runs[run] = value["value"]
                if before not in (None, value["value"]):
                    self._fault("altered", asked.who, f"{asked.work}: {value}, where {before} was answered before")
            case _:
                self._fault("altered", asked.who, f"{asked.work}: its result is {value!r:.200}")

    def executed(self, facts: Mapping[str, Any]) -> None:
        """To be told after the last call has ended: results were looked at before."""
        match facts:
            case {"run": str(run), "id": str(work), "procedure": str(procedure), "at": float(at)}:
                self._run_of[run], self._begun_at[run] = work, at
                self._works[work].procedure = procedure
                self._works[work].runs.setdefault(run, None)
            case {"run": str(run), "value": int(value)} if run in self._run_of:
                runs = self._works[self._run_of[run]].runs
                if runs[run] not in (None, value):
                    self._fault("altered", run, f"{self._run_of[run]}: answered {value}, came as {runs[run]}")
            case other:
                raise ValueError(f"no line of a callee: {other!r:.200}")

    def held(self, facts: Mapping[str, Any]) -> None:
        """In the order in which the lines stand in the file, which is that of time."""
        self._locks[facts["lock"]].append(facts)

    def killed(self, pid: int, at: float) -> None:
        """A holder, before it was killed."""
        self._killed[pid] = at

    def _fault(self, kind: Kind, who: str, words: str) -> None:
        self._counts[kind] += 1
        if len(self._faults) < SHOWN:
            self._faults.append(Fault(kind, who, words))

    # ---- the end -----------------------------------------------------------------------------------------------------

    def judge(self, stalls: Stalls, slots: Mapping[str, int], grace: float = GRACE) -> Verdict:
        """What came of it. To be asked once.

        :param slots: of each lock. :param grace: seconds that a call may end after its deadline.
        """
        late = [self._lateness(one, stalls, grace) for one in self.calls]
        self._judge_works()
        for lock, lines in self._locks.items():
            self._judge_lock(lock, slots[lock], lines)
        dues = {one.work: one.due for one in self.calls}
        begun_late = sum(at > dues.get(self._run_of[run], at) + GRACE for run, at in self._begun_at.items())
        grants = sum(facts.get("holds") is True for lines in self._locks.values() for facts in lines)
        return Verdict(
            len(self.calls),
            len(self._run_of),
            grants,
            Counter(one.code or "none" for one in self.calls),
            max((one for one, _ in late), default=0.0),
            max((one for _, one in late), default=0.0),
            begun_late,
            tuple(self._faults),
            dict(self._counts),
        )

    def _lateness(self, asked: Asked, stalls: Stalls, grace: float) -> tuple[float, float]:
        """Seconds after its deadline, without what the machine took, and with it."""
        if asked.ended is None:
            self._fault("unanswered", asked.who, f"{asked.work}: {asked.procedure} never ended")
            return 0.0, 0.0
        over = asked.ended - asked.due
        if over <= 0:
            return 0.0, 0.0
        taken = stalls.between(asked.began, asked.began + ARRIVING) + stalls.between(asked.due, asked.ended)
        net = max(over - taken, 0.0)
        if net > grace:
            words = f"{asked.work}: {asked.procedure} ended with {asked.code} {over * 1000:.0f} ms after its deadline"
            self._fault("late", asked.who, f"{words}, of which the machine took {taken * 1000:.0f}")
        return net, over

    def _judge_works(self) -> None:
        sends: Counter[str] = Counter()
        answers: dict[str, set[str]] = defaultdict(set)
        for one in self.calls:
            sends[one.work] += one.sends
            if one.run is not None:
                answers[one.work].add(one.run)
        for work, known in self._works.items():
            for run in answers[work] - self._begun_at.keys():
                self._fault("altered", work, f"{run} answered, and no callee wrote that it ran")
            if known.procedure == "chaos.again":
                # An inner call is made by a callee's library, which may send it again over a new connection.
                most = (1 + RETRIES) * (sends[work] or 2)
                if len(known.runs) > most:
                    self._fault("tried too often", work, f"executed {len(known.runs)} times, {most} were allowed")
            elif len(known.runs) > 1:
                self._fault("done twice", work, f"{known.procedure} was executed {len(known.runs)} times")
            if len(answers[work]) > 1:
                self._fault("done twice", work, f"{len(answers[work])} executions were answered")

    def _judge_lock(self, lock: str, slots: int, lines: list[Mapping[str, Any]]) -> None:
        newest = 0
        holders: dict[int, int] = {}
        for facts in lines:
            pid, token, at = facts["pid"], facts["token"], facts["at"]
            for gone in [one for one, of in holders.items() if self._killed.get(of, at + 1) <= at]:
                del holders[gone]
            if facts.get("holds") is False:
                holders.pop(token, None)
                continue
            if slots == 1 and token < newest:
                self._fault("went back", lock, f"{token} of {pid} after {newest}")
            newest = max(newest, token)
            if facts.get("holds"):
                holders[token] = pid
                if len(holders) > slots:
                    self._fault("shared", lock, f"{len(holders)} hold it: {dict(holders)}")


def lines_of(text: bytes) -> Iterator[bytes]:
    """Those that are whole: the last may be cut off by the end of its process."""
    *whole, _ = text.split(b"\n")
    yield from whole
