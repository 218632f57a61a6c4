"""The folder of public keys: what counts, what is told, and that a look takes what has changed."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from hopsack.errors import BadRequest, StoreFailed
from hopsack.keys import PrivateKey, public_text
from hopsack_router.access.identity import Identity
from hopsack_router.access.publickeys import MOST_BYTES, PublicKeys

HOST, WATCH = PrivateKey(b"h" * 32), PrivateKey(b"w" * 32)
OLD = 1_700_000_000.0


class Folder:
    """A folder of keys, whose files are old enough to be read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = PublicKeys(path, lambda: OLD + 100)

    def put(self, name: str, key: PrivateKey | None = None, age: float = 50.0, **said: Any) -> Path:
        facts = {"subject": name, "role": "service", "public": public_text((key or HOST).public)} | said
        return self.write(name, json.dumps(facts), age)

    def write(self, name: str, text: str, age: float = 50.0) -> Path:
        path = self.path / f"{name}.pub"
        path.write_text(text)
        os.utime(path, (OLD + 100 - age, OLD + 100 - age))
        return path

    def subjects(self) -> list[str]:
        return [one.subject for one in self.keys.all()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def said() -> Any:
    heard: list[str] = []

    def hear(event: LogEvent) -> None:
        if event["log_namespace"] == "hopsack_router.access.publickeys":
            heard.append(event["what"])

    globalLogPublisher.addObserver(hear)  # type: ignore[arg-type] # whatever takes an event
    yield heard
    globalLogPublisher.removeObserver(hear)  # type: ignore[arg-type]


def test_a_file_that_is_put_there_counts_from_the_next_look_on(folder: Folder) -> None:
    folder.put("host")

    before = folder.keys.find(HOST.public)
    folder.keys.look()
    found = folder.keys.find(HOST.public)

    assert before is None
    assert found is not None
    assert found.identity() == Identity("host", "service", issued=OLD + 50, proof="key", key=found.fingerprint)
    assert folder.keys.stands(found.identity())


def test_a_file_that_is_removed_ends_what_it_said(folder: Folder) -> None:
    path = folder.put("host")
    folder.put("watch", WATCH)
    folder.keys.look()
    host = folder.keys.find(HOST.public)
    assert host is not None

    path.unlink()

    assert folder.keys.look()
    assert not folder.keys.look()
    assert not folder.keys.stands(host.identity())
    assert folder.subjects() == ["watch"]


@pytest.mark.parametrize("change", [{"role": "user"}, {"subject": "other"}, {"role": "trusted"}, {"key": WATCH}])
def test_who_logged_in_as_somebody_else_does_not_stand(folder: Folder, change: dict[str, Any]) -> None:
    folder.put("host")
    folder.keys.look()
    host = folder.keys.find(HOST.public)
    assert host is not None

    folder.put("host", **change)

    assert folder.keys.look()
    assert not folder.keys.stands(host.identity())


def test_a_file_that_was_just_written_is_read_again_whatever_its_date(folder: Folder) -> None:
    path = folder.put("host", age=0.5)
    folder.keys.look()
    before = path.stat()

    path.write_text(path.read_text().replace("host", "post"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    folder.keys.look()

    assert folder.subjects() == ["post"]


@pytest.mark.parametrize(
    ("said_in_file", "why"),
    [
        ({"role": "trusted"}, "its role is 'trusted'"),
        ({"role": "guest"}, "its role is 'guest'"),
        ({"subject": ""}, r"host\.pub does not count: its subject '' is no name: 1 to 200 printable characters"),
        ({"subject": "x" * 201}, "is no name"),
        ({"subject": "ann\nroot"}, r"its subject 'ann\\nroot' is no name"),
        ({"subject": "ann\u202e"}, "is no name"),
        ({"subject": 7}, r"Expected `str`, got `int` - at `\$.subject`"),
        ({"public": "AAAA"}, "32 bytes"),
        ({"public": "00" * 32}, "no Ed25519 key"),
        ({"groups": ["admins"]}, "unknown field `groups`"),
        ({"note": "x" * MOST_BYTES}, "4096 bytes at most"),
    ],
)
def test_what_does_not_count_is_told_once(
    folder: Folder, said: list[str], said_in_file: dict[str, Any], why: str
) -> None:
    folder.put("host", **said_in_file)

    folder.keys.look()
    folder.put("host", age=49, **said_in_file)
    folder.keys.look()

    assert folder.keys.all() == []
    assert len(said) == 1
    assert re.search(why, said[0]), said[0]


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", "[" * 5000 + "]" * 5000])
def test_what_is_no_object_does_not_count(folder: Folder, said: list[str], text: str) -> None:
    folder.write("host", text)

    folder.keys.look()

    assert folder.keys.all() == []
    assert len(said) == 1


def test_a_file_that_everybody_may_write_to_does_not_count(folder: Folder, said: list[str]) -> None:
    folder.put("host").chmod(0o666)

    folder.keys.look()

    assert folder.keys.all() == []
    assert "may write to it" in said[0]


def test_of_two_files_with_one_key_the_first_counts(folder: Folder, said: list[str]) -> None:
    folder.put("b")
    first = folder.put("a")
    folder.keys.look()
    before = folder.keys.find(HOST.public)

    first.unlink()
    changed = folder.keys.look()
    after = folder.keys.find(HOST.public)

    assert before is not None
    assert after is not None
    assert (before.subject, changed, after.subject) == ("a", True, "b")
    assert "a holds the same one" in said[0]


def test_a_pipe_and_a_folder_are_no_keys_and_stop_nobody(folder: Folder, said: list[str]) -> None:
    os.mkfifo(folder.path / "pipe.pub")
    (folder.path / "folder.pub").mkdir()
    folder.put("host")

    folder.keys.look()

    assert folder.subjects() == ["host"]
    assert len(said) == 2


def test_a_key_is_added_by_a_file_that_others_can_read(tmp_path: Path) -> None:
    keys = PublicKeys(tmp_path / "new" / "keys", lambda: OLD)

    added = keys.add("garden/host", "service", HOST.public.hex(), "by the shed")

    assert keys.find(HOST.public) == added
    assert added.name == f"garden%2Fhost-{added.fingerprint[:8]}"
    (file,) = (tmp_path / "new" / "keys").iterdir()
    assert file.name == f"{added.name}.pub"
    assert json.loads(file.read_text()) == {
        "subject": "garden/host",
        "role": "service",
        "public": public_text(HOST.public),
        "added": OLD,
        "note": "by the shed",
    }
    assert PublicKeys(tmp_path / "new" / "keys").all() == [added]


def test_adding_the_same_twice_changes_nothing_and_nobody_gets_somebody_else_s(folder: Folder) -> None:
    first = folder.keys.add("host", "service", HOST.public.hex())

    assert folder.keys.add("host", "service", public_text(HOST.public)) == first
    with pytest.raises(BadRequest, match="this key is host's, as service"):
        folder.keys.add("host", "operator", HOST.public.hex())
    assert len(list(folder.path.iterdir())) == 1


@pytest.mark.parametrize("subject", ["../../etc/passwd", ".hidden", "a/b", "ü" * 200, "-rf", "%2e%2e/"])
def test_a_subject_is_no_path(folder: Folder, subject: str) -> None:
    added = folder.keys.add(subject, "service", HOST.public.hex())

    (file,) = folder.path.iterdir()
    assert file.parent == folder.path
    assert not file.name.startswith(".")
    assert folder.keys.find(HOST.public) == added
    assert added.subject == subject


@pytest.mark.parametrize("subject", ["", "\n", "x" * 201, "a\x1b[2Jb"])
def test_a_key_is_added_for_nobody_without_a_name(folder: Folder, subject: str) -> None:
    with pytest.raises(BadRequest, match="is no name: 1 to 200 printable characters"):
        folder.keys.add(subject, "service", HOST.public.hex())

    assert list(folder.path.iterdir()) == []


def test_a_key_is_revoked_in_whichever_files_it_stands(folder: Folder) -> None:
    folder.put("a")
    folder.put("b")
    folder.put("watch", WATCH)
    folder.keys.look()
    key = folder.keys.named("b")
    assert key is not None

    folder.keys.revoke(key)

    assert folder.subjects() == ["watch"]
    assert [one.name for one in folder.path.iterdir()] == ["watch.pub"]


def test_all_keys_of_a_subject_are_revoked_at_once(folder: Folder) -> None:
    folder.keys.add("host", "service", HOST.public.hex())
    folder.keys.add("host", "user", WATCH.public.hex())

    assert folder.keys.revoke_subject("host") == 2
    assert folder.keys.revoke_subject("host") == 0
    assert folder.keys.all() == []


def test_a_folder_that_is_read_only_stops_no_revocation(
    folder: Folder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("host")
    folder.keys.look()

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", unlink)

    assert folder.keys.revoke_subject("host") == 0
    assert said == ["cannot remove host.pub: Read-only file system"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_who_takes_the_last_descriptor_ends_no_service(
    folder: Folder, said: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder.put("host")
    folder.keys.look()

    def scandir(path: Path) -> Any:
        raise OSError(number, "no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir)
        is_gone = [folder.keys.look(), folder.keys.look()]
    (folder.path / "host.pub").unlink()

    assert is_gone == [False, False]
    assert said == [f"{folder.path} cannot be looked at: no; the keys of before go on"]
    assert folder.keys.look()


def test_a_file_that_no_descriptor_is_left_for_is_read_when_there_is_one(
    folder: Folder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("host")
    folder.keys.look()
    folder.put("host", age=40.0)
    folder.put("watch", WATCH)

    def full(*_: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        is_gone = folder.keys.look()
        during = folder.subjects()
    folder.keys.look()

    assert not is_gone
    assert (during, folder.subjects(), said) == (["host"], ["host", "watch"], [])


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreFailed, match="cannot write to the folder of keys"):
        PublicKeys(tmp_path / "file" / "keys").add("host", "service", HOST.public.hex())
