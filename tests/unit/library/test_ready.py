"""The file that vouches for a process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hopsack.ready import BEAT, vouch


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
