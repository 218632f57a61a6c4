"""What revoking a subject means for the proofs of before and after, for the disk, and while clocks are wrong."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from hopsack.errors import Revoked, TooMany
from hopsack.settings import ConfigError
from hopsack_router.access import revocations
from hopsack_router.access.identity import Identity
from hopsack_router.access.revocations import Revocation, Revocations, keep_in, read

ANN = Identity("ann", "user", proof="token", issued=1000.0)


class Wall:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_who_is_not_revoked_may_come() -> None:
    assert Revocations(Clock().seconds).refusal(ANN) is None


@pytest.mark.parametrize(
    ("issued", "comes"), [(1000.0, False), (1999.0, False), (2000.0, False), (2001.0, True), (None, False)]
)
def test_what_was_issued_before_does_not_count_and_what_does_not_say_neither(issued: float | None, comes: bool) -> None:
    known = Revocations(Wall(2000.4))

    known.revoke("ann", "her laptop is gone")

    refusal = known.refusal(replace(ANN, issued=issued))
    assert (refusal is None) is comes
    assert comes or isinstance(refusal, Revoked)
    assert known.refusal(replace(ANN, subject="bob")) is None


def test_a_refusal_tells_a_stranger_nothing() -> None:
    known = Revocations(Wall(2000.0))
    known.revoke("ann", "stole a spoon")

    refusal = known.refusal(ANN)

    assert refusal is not None
    assert "spoon" not in str(refusal.details())
    assert "ann" not in str(refusal.details())


@pytest.mark.parametrize("proof", ["key", "ticket", "scram", "tls", "cookie"])
def test_it_holds_for_every_proof(proof: str) -> None:
    known = Revocations(Wall(2000.0))
    known.revoke("ann")

    assert known.refusal(Identity("ann", "service", proof=proof)) is not None  # type: ignore[arg-type]


def test_restored_counts_again() -> None:
    known = Revocations(Wall(2000.0))
    known.revoke("ann")

    assert known.restore("ann")
    assert not known.restore("ann")
    assert known.refusal(ANN) is None


def test_a_clock_that_was_set_back_lets_nobody_in() -> None:
    wall = Wall(10_000.0)
    known = Revocations(wall)
    token = replace(ANN, issued=9_990.0)
    assert known.refusal(token) is None

    wall.now -= 3600
    known.revoke("ann")
    wall.now += 3600

    assert known.refusal(token) is not None


def test_they_outlast_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data" / "revoked.json"
    first = Revocations(Wall(2000.0), read(path), keep_in(path))
    first.revoke("ann", "gone")
    first.revoke("bob")
    first.restore("bob")

    second = Revocations(Wall(5000.0), read(path), keep_in(path))

    assert list(second) == [Revocation("ann", 2000.0, "gone")]
    assert second.refusal(ANN) is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["revoked.json"]


def test_what_cannot_be_written_is_in_force_all_the_same() -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    known = Revocations(Wall(2000.0), keep=full)

    with pytest.raises(OSError, match="No space"):
        known.revoke("ann")
    assert known.refusal(ANN) is not None


@pytest.mark.parametrize("text", ["", "{", '{"revoked": [{"subject": 1}]}', "[]"])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "revoked.json").write_text(text)

    with pytest.raises(ConfigError, match=r"^.*revoked\.json says who is revoked.*\(mend it"):
        read(tmp_path / "revoked.json")


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MOST", 2)
    known = Revocations(Wall(1.0))
    known.revoke("a")
    known.revoke("b")

    with pytest.raises(TooMany):
        known.revoke("c")
    known.revoke("a")
