"""The audit log: what is written, what is summed, and that no token is ever in it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from hopsack.tokens import mint
from hopsack_router.access import audit
from hopsack_router.access.audit import Audit, Rotated, Source, Sums


class Written:
    """A log in a list, whose disk may be full."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.text = b""
        self.is_full = False
        self.audit = Audit(self.append, self.clock, self.clock.seconds)

    def append(self, data: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.text += data

    def note(self, event: str, **facts: Any) -> None:
        self.audit.note(event, **facts)
        self.clock.advance(0)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.text.splitlines()]


ANN = {"subject": "ann", "role": "user", "address": "tcp4:192.0.2.7:4711"}


def test_a_line_says_when_what_and_who() -> None:
    log = Written()

    log.note("login", **ANN, door="raw", proof="token", key=None)

    assert log.lines == [
        {
            "time": "2023-11-14T22:13:20.000Z",
            "event": "login",
            "subject": "ann",
            "role": "user",
            "address": "192.0.2.7",
            "door": "raw",
            "proof": "token",
        }
    ]


def test_a_flood_of_one_source_is_summed_and_others_are_not() -> None:
    log = Written()

    for _ in range(1000):
        log.note("denied", **ANN)
    log.note("denied", **ANN | {"subject": "bob"})
    log.clock.advance(audit.WINDOW)
    log.clock.advance(0)

    assert [one["subject"] for one in log.lines] == ["ann"] * audit.WRITTEN_OUT + ["bob", "ann"]
    assert log.lines[-1] == {
        "time": "2023-11-14T22:14:20.000Z",
        "event": "denied",
        "subject": "ann",
        "address": "192.0.2.7",
        "repeated": 1000 - audit.WRITTEN_OUT,
        "since": "2023-11-14T22:13:20.000Z",
    }


def test_guests_are_one_source_for_each_address() -> None:
    log = Written()

    for number in range(100):
        log.note("login", subject=f"guest-{number}", role="guest", address=f"tcp4:192.0.2.7:{number}")

    assert len(log.lines) == audit.WRITTEN_OUT


def test_a_flood_from_everywhere_is_summed() -> None:
    log = Written()

    for number in range(20 * audit.OF_A_KIND):
        log.note("login_refused", address=f"tcp4:10.0.{number // 250}.{number % 250}:1")
    log.note("admin", **ANN | {"role": "operator"})
    log.clock.advance(audit.WINDOW)
    log.clock.advance(0)

    lines = log.lines
    assert len(lines) == audit.OF_A_KIND + 2
    assert lines[-2]["event"] == "admin"
    assert lines[-1]["repeated"] == 19 * audit.OF_A_KIND


def test_what_operators_do_is_never_summed() -> None:
    log = Written()

    for number in range(100):
        log.note("ended", **ANN, session=number)

    assert len(log.lines) == 100


def test_sources_are_bounded() -> None:
    sums = Sums()

    for event in range(100):
        for number in range(500):
            for _ in range(audit.WRITTEN_OUT + 1):
                sums.passes(Source(f"event-{event}", address=str(number)), 0.0)

    told = sums.close()
    assert len(told) <= audit.SOURCES + 100
    assert sum(one.repeated for one in told) == 100 * (500 * (audit.WRITTEN_OUT + 1) - audit.OF_A_KIND)
    assert sums.close() == []


@pytest.mark.parametrize("alone", [True, False])
def test_no_token_is_written_wherever_it_stands(alone: bool) -> None:
    log, token = Written(), mint("s" * 32, sub="ann", role="user")
    text = token if alone else f"failed for Bearer {token}, sorry"

    log.note("denied", subject=text, role="user", address=text, uri=[text], why=ValueError(text))

    for part in token.split("."):
        assert part.encode() not in log.text


def test_a_name_cannot_forge_a_line() -> None:
    log = Written()

    log.note("login", subject='x"}\n{"event": "admin"}\u2028', role="user")

    assert len(log.lines) == 1
    assert len(log.text.splitlines()) == 1


def test_a_terminal_that_shows_it_obeys_nobody() -> None:
    log = Written()
    uri = "lab.\x1b[2J\x9b2J\x7f\u202e\u2066\ufeffé"

    log.note("denied", subject="ann", role="user", uri=uri)

    assert log.text.decode().rstrip("\n").isprintable()
    assert "é".encode() in log.text
    assert log.lines[0]["uri"] == uri


def test_a_line_is_short() -> None:
    log = Written()

    log.note("denied", subject="x" * 100_000, uri=["y" * 100_000] * 1000)

    assert len(log.text) < 100 * audit.MOST_TEXT + 1000


def test_a_full_disk_is_counted() -> None:
    log = Written()

    log.is_full = True
    for number in range(3):
        log.note("admin", subject=str(number))
    log.is_full = False
    log.note("admin", subject="3")

    assert [(one["event"], one.get("lines")) for one in log.lines] == [("lost", 3), ("admin", None)]


def test_what_is_summed_is_written_at_the_end() -> None:
    log = Written()
    for _ in range(10):
        log.audit.note("denied", **ANN)

    log.audit.close()

    assert log.lines[-1]["repeated"] == 10 - audit.WRITTEN_OUT


def test_files_are_rotated_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    file = Rotated(tmp_path / "data" / "audit.jsonl", most=100, files=3)

    for number in range(50):
        file(b"%020d\n" % number)
    file.close()

    kept = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert kept == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    told = b"".join((tmp_path / "data" / name).read_bytes() for name in reversed(kept))
    assert [int(one) for one in told.splitlines()] == list(range(50 - len(told) // 21, 50))
    for path in (tmp_path / "data").iterdir():
        assert path.stat().st_size <= 100
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"old\n")
    path.chmod(0o644)

    file = Rotated(path)
    file(b"new\n")
    file.close()

    assert path.read_bytes() == b"old\nnew\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        Rotated(tmp_path / "audit.jsonl")(b"x\n")
