"""The file that vouches for a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hopsack import session as on
from hopsack.keeper import Closed, Connected, Connecting, State
from hopsack.ready import BEAT, LOOK, changes, vouch


class Beats:
    """A clock that stops the task after as many beats as there are answers, and notes what each beat found."""

    def __init__(self, path: Path, answers: list[bool]) -> None:
        self.found: list[bool] = []
        self._path = path
        self._answers = iter(answers)

    def is_ready(self) -> bool:
        answer = next(self._answers, None)
        if answer is None:
            raise asyncio.CancelledError
        return answer

    async def sleep(self, seconds: float) -> None:
        assert seconds == BEAT
        self.found.append(self._path.exists())


def test_the_file_is_there_while_everything_is_served(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    beats = Beats(path, [False, True, True, False, True])

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(vouch(path, beats.is_ready, beats.sleep))

    assert beats.found == [False, True, True, False, True]
    assert not path.exists()


def test_a_file_of_a_former_life_vouches_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.touch()
    beats = Beats(path, [False])

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(vouch(path, beats.is_ready, beats.sleep))

    assert beats.found == [False]


def test_a_folder_that_is_not_there_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "nowhere" / "ready"
    beats = Beats(path, [True])

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(vouch(path, beats.is_ready, beats.sleep))

    assert f"cannot keep {path}" in caplog.text


CONNECTED = Connected(on.Identity(session=1, authid="host", role="service", realm="hopsack", server=""))
GONE = Connecting(0)


class Told:
    """A connection whose states are written down beforehand.

    :param story: each state, and how many looks it takes until everything is granted; ``None``: it never is.
    """

    def __init__(self, *story: tuple[State, int | None]) -> None:
        self.state: State = GONE
        self.looks = 0
        self._story = story
        self._to_wait: int | None = None

    @property
    def is_restored(self) -> bool:
        return isinstance(self.state, Connected) and self._to_wait == 0

    async def states(self) -> AsyncIterator[State]:
        for state, to_wait in self._story:
            self.state, self._to_wait = state, to_wait
            yield state

    async def sleep(self, seconds: float) -> None:
        assert seconds == LOOK
        self.looks += 1
        if self._to_wait is None:
            self.state = GONE  # it was lost while it was being restored
        else:
            self._to_wait -= 1

    def changes(self) -> list[bool]:
        async def collect() -> list[bool]:
            return [change async for change in changes(self, self.sleep)]

        return asyncio.run(collect())


def test_a_connection_that_stays_has_no_changes() -> None:
    assert Told((CONNECTED, 0), (Closed(None), None)).changes() == []


def test_a_lost_node_is_told_once_and_its_return_when_everything_is_granted() -> None:
    told = Told((CONNECTED, 0), (GONE, None), (GONE, None), (CONNECTED, 3), (Closed(None), None))

    assert told.changes() == [False, True]
    assert told.looks == 3


def test_a_loss_too_short_to_be_seen_is_told_by_what_is_not_granted_again() -> None:
    assert Told((CONNECTED, 0), (CONNECTED, 1), (Closed(None), None)).changes() == [False, True]


def test_a_link_lost_before_everything_is_granted_changes_nothing() -> None:
    told = Told((CONNECTED, 0), (GONE, None), (CONNECTED, None), (CONNECTED, 1), (Closed(None), None))

    assert told.changes() == [False, True]
