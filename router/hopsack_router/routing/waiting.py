"""Calls that wait at the node, first come first served: for a callee where there is none, for room where all are full.

    enters   -> in its line, if its procedure may have one more waiting; else it is refused (``hopsack.overloaded``)
    leaves   -> its turn has come, its time is over, its caller cancels or goes, the node stops

A line is who waits for the same thing: a procedure's URI, or a registration. The shell looks at a line when a callee
registers and when one gets room, and takes out whom it can place; whom it cannot place keeps its turn. Pure.

Bounds: :data:`MOST` calls in all, and for each procedure what its contract says (``queue``).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import TypeVar

MOST = 10_000

C = TypeVar("C", bound=Hashable)


class Waiting(dict[C, tuple[Hashable, str]]):
    """The calls of one realm that wait: each with its line, and the procedure that counts it.

    Empty is the normal case, and every answer asks: that is why it is a dictionary itself.

    :param most: in all.
    """

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most
        self._lines: dict[Hashable, dict[C, int]] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def of(self, procedure: str) -> int:
        """How many of a procedure wait."""
        return self._counts.get(procedure, 0)

    def enter(self, call: C, number: int, line: Hashable, procedure: str, bound: int) -> bool:
        """
        :param number: calls that came before have lower ones: who comes from another line keeps its turn.
        :param procedure: whose calls the bound counts.
        :returns: whether there was a place.
        """
        if len(self) >= self._most or self.of(procedure) >= bound:
            return False
        assert call not in self
        calls = self._lines.setdefault(line, {})
        is_last = not calls or number > next(reversed(calls.values()))
        calls[call] = number
        if not is_last:
            self._lines[line] = dict(sorted(calls.items(), key=itemgetter(1)))
        self[call] = line, procedure
        self._counts[procedure] += 1
        return True

    def leave(self, call: C) -> bool:
        """:returns: whether it was waiting."""
        place = self.pop(call, None)
        if place is None:
            return False
        line, procedure = place
        del self._lines[line][call]
        if not self._lines[line]:
            del self._lines[line]
        self._counts[procedure] -= 1
        if not self._counts[procedure]:
            del self._counts[procedure]
        return True

    def line(self, line: Hashable) -> tuple[C, ...]:
        """Who waits there, in order."""
        return tuple(self._lines.get(line, ()))

    def has(self, line: Hashable) -> bool:
        """Whether anybody waits there."""
        return line in self._lines

    def in_order(self, lines: Iterable[Hashable], but: Container[Hashable] = ()) -> Iterator[tuple[C, Hashable]]:
        """Who waits in any of these lines, and where, in the order in which they came.

        Lines may change meanwhile: who left may come, who comes does not. The cost is that of those who are looked at.

        :param but: lines that are looked at no further.
        """
        each = [self._walk(line, but) for line in lines if line in self._lines]
        walked = each[0] if len(each) == 1 else heapq.merge(*each, key=itemgetter(0))
        return ((call, line) for _, call, line in walked)

    def _walk(self, line: Hashable, but: Container[Hashable]) -> Iterator[tuple[int, C, Hashable]]:
        """In pieces, each twice as long as the one before."""
        seen, last, length = -1, next(reversed(self._lines[line].values())), 4
        while line not in but:
            there = self._lines.get(line, {}).items()
            piece = list(islice(((number, call) for call, number in there if seen < number <= last), length))
            if not piece:
                return
            for number, call in piece:
                if line in but:
                    return
                yield number, call, line
            seen, length = piece[-1][0], length * 2

    def lines(self) -> tuple[Hashable, ...]:
        return tuple(self._lines)
